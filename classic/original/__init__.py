"""The original system's command lines on attar: flags become a recipe, attar's stages do the work."""

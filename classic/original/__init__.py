"""The original system's command lines over attar: flags in, a recipe out, attar's stages do the work."""

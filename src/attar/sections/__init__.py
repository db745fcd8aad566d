"""The sections of a recipe: one frozen model a stage. ``attar.recipe`` puts them together."""

"""A TOML file as one frozen model a stage."""

"""Term lists: read, found in reviews, and proposed from reviews."""

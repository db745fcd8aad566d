"""``attar init``: a commented recipe that runs, guessed from a user's own files."""

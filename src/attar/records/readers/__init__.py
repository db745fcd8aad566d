"""Files of every format that labelled reviews come in."""

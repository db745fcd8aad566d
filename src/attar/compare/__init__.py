"""Models or annotators side by side."""

"""What the original system's files, checkpoints and routes need."""

"""What a student learns from beside the labelled examples."""

"""The transfer set: what a student learns from beside the labelled examples."""

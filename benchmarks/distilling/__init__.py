"""What benchmarks/distill_speed.py compares: the files, the ways of distilling, and their processes."""

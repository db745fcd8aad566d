"""What benchmarks/inference.py compares: the models, the ways of running them, and how they are timed."""

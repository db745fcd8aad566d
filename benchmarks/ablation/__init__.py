"""What benchmarks/strength.py trains and compares: the plan, its data, its queue, its tables."""

"""What scored reviews say, by the columns of their owner, and how far to trust it."""

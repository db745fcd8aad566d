"""From sources to a prepared folder: read, audit, split, write."""

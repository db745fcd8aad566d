"""Train, dev and test without near duplicates between them."""

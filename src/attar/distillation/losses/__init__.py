"""Pure losses: tensors in, one loss an example out."""

"""From a checkpoint to a verified int8 artifact."""

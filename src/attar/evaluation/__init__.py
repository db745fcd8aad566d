"""Quality, uncertainty and speed of callables (examples -> probs), never of models."""

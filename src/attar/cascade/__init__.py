"""Making cascades: ``attar cascade``."""

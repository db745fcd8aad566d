"""Serving over HTTP: the /v1 routes, and those of the original system. No torch."""

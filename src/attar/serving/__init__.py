"""Serving over HTTP: the /v1 routes, admission queue and limits. No torch."""

"""Limits that an environment variable raises, in GB of 10^9 bytes."""

from __future__ import annotations

import os

from attar.errors import RecipeError

__all__ = ["limit_bytes"]


def limit_bytes(variable: str, default_gb: float) -> int:
    """A limit in bytes.

    Args:
        variable: Environment variable that sets it, in GB.
        default_gb: Where that is not set.

    Raises:
        RecipeError: The variable is no number above 0.
    """
    given = os.environ.get(variable, str(default_gb))
    try:
        num_bytes = int(float(given) * 1e9)
    except (ValueError, OverflowError):
        num_bytes = 0
    if num_bytes <= 0:
        raise RecipeError(f"{variable} = {given!r}; expected a number of gigabytes above 0")
    return num_bytes

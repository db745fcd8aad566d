"""The recipes of the sets on which the ways from labels to a student are compared."""

from __future__ import annotations

from pathlib import Path

__all__ = ["OWN", "SETS"]

_RECIPES = Path(__file__).resolve().parents[2] / "recipes"
OWN = "own"
"""The project's own reviews; the others are read from ``$ATTAR_DATA``."""
SETS = {
    "makeup": _RECIPES / "sets" / "zhijiang2019_makeup.toml",
    "laptop": _RECIPES / "sets" / "zhijiang2019_laptop.toml",
    "cars": _RECIPES / "sets" / "bdci2016_cars_first.toml",
    "restaurants": _RECIPES / "sets" / "aste_chinese_zhang.toml",
    "phone": _RECIPES / "sets" / "absadatasets_phone.toml",
    OWN: _RECIPES / "quickstart.toml",
}
"""Name of a set -> its recipe."""

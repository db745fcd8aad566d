"""Cells of a source as the values of a Record, whatever type the source gave them."""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["as_label", "as_meta", "as_offset", "as_text"]


def as_text(value: object) -> str:
    """A cell as text; nothing at all is ""."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        # Nullable integer columns often arrive as floats.
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def as_label(value: object) -> str | None:
    """A label's spelling, or None where there is none."""
    return as_text(value) or None


def as_meta(values: Mapping[str, object]) -> dict[str, str]:
    """Metadata as strings, without the empty ones."""
    texts = {str(key): as_text(value) for key, value in values.items()}
    return {key: text for key, text in texts.items() if text}


def as_offset(value: object) -> int | None:
    """A code-point offset, or None where there is none.

    Raises:
        ValueError: Something that is no whole number.
    """
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    raise ValueError("start and end must be whole numbers (Unicode code points), or both be left out")

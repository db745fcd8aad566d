"""Cells as text, offsets and labels, whatever type the format gave them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time

__all__ = ["as_label", "as_meta", "as_offset", "as_string", "as_text"]

_WHOLE = re.compile(r"\s*([+-]?\d+)\.0*\s*")


def as_text(value: object) -> str:
    """A cell as text; nothing at all is "", a date is ISO 8601, what has parts is JSON."""
    if isinstance(value, str):
        return value
    if value is None or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return ""
    match value:
        case float() if value.is_integer():
            # Nullable integer columns often arrive as floats.
            text = str(int(value))
        case bool() | int() | float() | list() | tuple() | dict():
            text = json.dumps(value, ensure_ascii=False, default=as_text)
        case datetime(hour=0, minute=0, second=0, microsecond=0):
            # Spreadsheets have no other way to write a day.
            text = value.date().isoformat()
        case datetime() | date() | time():
            text = value.isoformat()
        case _:
            text = str(value)
    return text


def as_string(value: object) -> str:
    """A review or a term as text; numbers and dates are written out.

    Raises:
        ValueError: Something that has parts, or bytes.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | dict | bytes):
        raise ValueError(f"a {type(value).__name__}, not a string")
    return as_text(value)


def as_label(value: object) -> str | None:
    """A label's spelling, or None where there is none."""
    return as_text(value) or None


def as_meta(values: Mapping[str, object]) -> dict[str, str]:
    """Metadata as strings, without the empty ones."""
    return {str(key): text for key, value in values.items() if (text := as_text(value))}


def as_offset(value: object) -> int | None:
    """A code-point offset, or None where there is none; ``3.0`` is 3, as a number and as text.

    Raises:
        ValueError: Something that is no whole number.
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            if not value.strip():
                return None
            if found := _WHOLE.fullmatch(value):
                return int(found[1])
    raise ValueError("start and end must be whole numbers (Unicode code points), or both be left out")

r"""Cells whose text is a value as a program writes it: ``['好', '用']``, ``{"zh": "好用"}``, ``b'\xe5'``.

Whoever saves a table of such values as CSV gets them so, and a term is found between the brackets, too:
unless somebody looks, the brackets and quotes are taken for a part of the review.
"""

from __future__ import annotations

import ast

from attar.io.json_text import parse_json

__all__ = ["parse_written", "written_value"]

_ENDS = {"[": "]", "{": "}", "(": ")", "b": "'\""}
_MOST_CHARS = 100_000  # of what Python is asked to read; JSON may be longer


def written_value(text: str) -> str:
    """What a text is as a program wrote it (``a list``, ``an object``, ``bytes``); "" for any other text.

    A list or an object counts if it holds a string somewhere at its top: ``[1]`` and ``(好)`` are texts.
    """
    ends = _ENDS.get(text[:1])
    if ends is None or text[-1] not in ends or len(text) < 3:
        return ""
    match parse_written(text):
        case bytes():
            return "bytes"
        case dict() as value if any(isinstance(each, str) for pair in value.items() for each in pair):
            return "an object"
        case list() | tuple() as value if any(isinstance(each, str) for each in value):
            return "a list"
    return "bytes" if text[:2] in ("b'", 'b"') and text[-1] == text[1] else ""


def parse_written(text: str) -> object:
    """The value that JSON or Python wrote as this text; None where it is neither's."""
    if text[0] in "[{":
        try:
            return parse_json(text)
        except ValueError:
            pass
    if len(text) > _MOST_CHARS:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None

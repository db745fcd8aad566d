"""JSONL: one JSON object a line, read and written; a JSON list of objects is read as the same rows."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attar.io.encodings import Encoding, bad_line, find_encoding, line_decoder
from attar.io.files import atomic_write
from attar.io.json_list import OBJECTS, list_items
from attar.io.json_text import MAX_DEPTH, TOO_DEEP, is_too_deep
from attar.io.lines import count_lines, raw_lines
from attar.io.tables.rows import Problem, Row, Table, as_text

__all__ = [
    "column_names",
    "finite",
    "json_line",
    "json_rows",
    "open_jsonl",
    "write_jsonl",
    "write_jsonl_draft",
]

_HEAD = 100
# One for all: json.dumps would make a new one for each row.
_ENCODE = json.JSONEncoder(ensure_ascii=False, default=as_text, allow_nan=False).encode
_NO_OBJECT = "the line is not a JSON object; expected one row a line"
_NO_ROW = "the item is not a JSON object; expected one row an item"
_START_BYTES = 1 << 16
_DEEP = f"the line is {TOO_DEEP}; expected one row a line, with plain values"


def open_jsonl(path: Path, encoding: str | Encoding | None = None) -> Table:
    """Open a JSONL file, or one that is a JSON list of objects.

    Args:
        path: A file.
        encoding: See ``find_encoding``.

    Raises:
        DataError: The file cannot be opened, or its encoding is not read.
    """
    found = find_encoding(path, encoding)
    if _is_list(path, found):
        read = partial(_list_rows, path, found)
        return Table(str(path), "jsonl", column_names(read()), read, _unknown, encoding=found.shown)
    read, count = partial(json_rows, path, found), partial(count_lines, path, found)
    return Table(str(path), "jsonl", column_names(read()), read, count, encoding=found.shown)


def column_names(rows: Iterator[Row]) -> tuple[str, ...]:
    """Names of the columns of the first rows."""
    return tuple(dict.fromkeys(name for row in itertools.islice(rows, _HEAD) for name in row.values))


def json_rows(path: Path, encoding: Encoding | None = None) -> Iterator[Row]:
    """The objects of a JSONL file, blank lines left out.

    Args:
        path: A file.
        encoding: Its encoding; None finds it.

    Raises:
        DataError: The file cannot be opened, or its encoding is not read.
    """
    encoding = encoding or find_encoding(path)
    source, text, decode = str(path), line_decoder(encoding), json.JSONDecoder().raw_decode
    for number, raw in raw_lines(path, encoding):
        try:
            line = text(raw).strip()
        except UnicodeDecodeError as error:
            shown = raw.decode(encoding.codec, "backslashreplace").rstrip("\r\n")
            yield Row(source, number, {}, Problem("not_utf8", bad_line(error, encoding), [shown]))
            continue
        if not line:
            continue
        message = _NO_OBJECT
        try:
            # Faster than json.loads, which looks for blanks on both sides of the object.
            values, end = decode(line)
        except ValueError:
            values, end = None, 0
        except RecursionError:
            values, end, message = None, 0, _DEEP
        if not isinstance(values, dict) or end != len(line):
            yield Row(source, number, {}, Problem("bad_row", message, [line]))
        elif line.count("[") + line.count("{") > MAX_DEPTH and is_too_deep(values, line):
            yield Row(source, number, {}, Problem("bad_row", _DEEP, [line]))
        else:
            yield Row(source, number, values)


def _unknown() -> None:
    """How many items a list has, only reading would tell."""


def _is_list(path: Path, encoding: Encoding) -> bool:
    """Whether a file begins as a JSON list of objects does."""
    with path.open("rb") as stream:
        stream.seek(len(encoding.mark))
        start = codecs.getincrementaldecoder(encoding.codec)("replace").decode(stream.read(_START_BYTES))
    return OBJECTS.match(start) is not None


def _list_rows(path: Path, encoding: Encoding) -> Iterator[Row]:
    """The objects of a JSON list, by their number from 1.

    Raises:
        DataError: It cannot be read, or is no JSON list to its end.
    """
    for number, (_, item) in enumerate(list_items(path, "rows", "expected one object a row", encoding), 1):
        if isinstance(item, dict):
            yield Row(str(path), number, item)
        else:
            yield Row(str(path), number, {}, Problem("bad_row", _NO_ROW, [item]))


@contextlib.contextmanager
def write_jsonl(path: Path) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Yield a function that writes one row a line; the file is there when the block ends well.

    Halves of surrogate pairs are written as the JSON escapes that they were.
    """
    with atomic_write(path) as draft, write_jsonl_draft(draft) as write:
        yield write


@contextlib.contextmanager
def write_jsonl_draft(draft: Path) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """As ``write_jsonl``, into a file that is half written if the block fails."""
    with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:

        def write(row: Mapping[str, object]) -> None:
            stream.write(json_line(row) + "\n")

        yield write


def json_line(value: object) -> str:
    """A value as strict JSON on one line: NaN and the infinities are null, dates ISO 8601."""
    try:
        return _ENCODE(value)
    except ValueError:
        return _ENCODE(finite(value))


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same value with None for every number that JSON cannot write."""
    if isinstance(value, Mapping):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The row form: a JSON list of rows, as the original system had it and ``attar prepare`` writes it.

Seven columns ``[text, term, start, end, label, channel, wordtype]``, or three
``[text, term, label]`` whose offsets are found later if the term occurs once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from attar.errors import DataError
from attar.files import whole_file
from attar.records.audit import Rejection
from attar.records.lines import read_text
from attar.records.record import Record
from attar.records.values import as_label, as_meta, as_offset
from attar.task import Example

__all__ = ["example_row", "read_rows", "write_rows"]

_FORMS = "expected [text, term, start, end, label, channel, wordtype] or [text, term, label]"
_BETWEEN = re.compile(r"[\s,]*")


def read_rows(path: Path) -> Iterator[Record | Rejection]:
    """Read a JSON list of rows; a row of another form is rejected.

    Yields:
        One Record or Rejection a row.

    Raises:
        DataError: The file cannot be read, is not UTF-8 or not a JSON list.
    """
    text = read_text(path)
    try:
        for number, row in _items(text):
            yield _read_row(row, f"{path}:{number}")
    except (json.JSONDecodeError, RecursionError) as error:
        spot = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise DataError(f"{path}{spot}: not a JSON list of rows ({reason}); {_FORMS}") from error


def write_rows(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as seven-column rows, one a line, whole or not at all.

    Of the metadata only channel and wordtype have a column; the rest is dropped.
    """
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as stream:
        comma = ""
        stream.write("[")
        for example in examples:
            stream.write(f"{comma}\n{json.dumps(example_row(example), ensure_ascii=False)}")
            comma = ","
        stream.write("\n]\n")


def example_row(example: Example) -> list[object]:
    """The seven columns of an example."""
    channel, wordtype = example.meta.get("channel", ""), example.meta.get("wordtype", "")
    return [example.text, example.term, example.start, example.end, example.label, channel, wordtype]


def _items(text: str) -> Iterator[tuple[int, object]]:
    """Yield (line number, item) of a JSON list: the whole parser would not say where an item stood."""
    decoder = json.JSONDecoder()
    position = _skip(text, 0)
    if not text.startswith("[", position):
        raise json.JSONDecodeError("expected [", text, position)
    line, counted = 1, 0
    position = _skip(text, position + 1)
    while not text.startswith("]", position):
        line, counted = line + text.count("\n", counted, position), position
        item, end = decoder.raw_decode(text, position)
        yield line, item
        between = _BETWEEN.match(text, end)
        assert between is not None
        position = between.end()
        if between[0].count(",") != (0 if text.startswith("]", position) else 1):
            raise json.JSONDecodeError("expected one comma between rows", text, end)
    if text[position + 1 :].strip():
        raise json.JSONDecodeError("text after the list", text, position + 1)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_row(row: object, where: str) -> Record | Rejection:
    if not isinstance(row, list) or len(row) not in (3, 7):
        found = f"a list of {len(row)}" if isinstance(row, list) else f"a {type(row).__name__}"
        return Rejection("bad_row", f"found {found}; {_FORMS}", where, [row])
    text, term, *offsets, label, channel, wordtype = row if len(row) == 7 else [*row, "", ""]
    if not isinstance(text, str) or not isinstance(term, str):
        return Rejection("bad_row", f"text and term must be strings; {_FORMS}", where, row)
    try:
        start, end = map(as_offset, offsets or (None, None))
    except ValueError as error:
        return Rejection("bad_offsets", str(error), where, row)
    meta = as_meta({"channel": channel, "wordtype": wordtype})
    return Record(text, term, start, end, as_label(label), meta, where)

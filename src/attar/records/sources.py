"""Sources: a file or a folder of any known form, as records.

The form is told by the extension and, for ``.json`` and ``.txt``, by a look at the start.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from attar.errors import DataError
from attar.records.audit import Rejection
from attar.records.lines import numbered_lines
from attar.records.markup import MARK, METADATA, read_markup
from attar.records.record import Record
from attar.records.rows import read_rows
from attar.records.tables import read_csv, read_jsonl, read_parquet

__all__ = ["read_source", "source_files"]

Form = Literal["markup", "rows", "jsonl", "csv", "tsv", "parquet"]

_BY_EXTENSION: Mapping[str, Form] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_LOOK = (".json", ".txt")
_EXTENSIONS = ", ".join((*_BY_EXTENSION, *_LOOK))
_LOOK_LINES = 20
_ROWS_START = re.compile(r"\[\s*(\[|\])")


def read_source(path: Path, columns: Mapping[str, str | None]) -> Iterator[Record | Rejection]:
    """Read a source.

    Args:
        path: A file, or a folder whose files of a known extension are read in the order of
            their names (subfolders are not).
        columns: Our column names to those of a table; see ``attar.records.tables``.

    Yields:
        Records, and a Rejection for each row that no Record can be made of.

    Raises:
        DataError: Missing, empty, not UTF-8, of unknown form, or without a needed column.
    """
    for file in source_files(path):
        count = 0
        for record in _read_file(file, columns):
            count += 1
            yield record
        if not count:
            raise DataError(f"{file}: holds no rows; fill it or leave it out of data.sources")


def source_files(path: Path) -> list[Path]:
    """The files that a source consists of, sorted by name.

    Raises:
        DataError: Nothing there, or a folder without a file of a known extension.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder{_neighbours(path)}")
    files = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and not file.name.startswith(".") and _is_known(file)
    )
    if not files:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:10]) or "nothing"
        raise DataError(f"{path}: no file to read in this folder (known: {_EXTENSIONS}); there is {there}")
    return files


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; nor is there a folder {path.parent}"
    names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3)
    return f"; beside it: {', '.join(near or names[:5])}" if names else f"; {path.parent} is empty"


def _is_known(file: Path) -> bool:
    return file.suffix.lower() in (*_BY_EXTENSION, *_LOOK)


def _read_file(file: Path, columns: Mapping[str, str | None]) -> Iterator[Record | Rejection]:
    match _form(file):
        case "markup":
            return read_markup(file)
        case "rows":
            return read_rows(file)
        case "jsonl":
            return read_jsonl(file, columns)
        case "csv":
            return read_csv(file, columns)
        case "tsv":
            return read_csv(file, columns, delimiter="\t")
        case "parquet":
            return read_parquet(file, columns)


def _form(file: Path) -> Form:
    extension = file.suffix.lower()
    if not _is_known(file):
        raise DataError(f"{file}: unknown extension {extension!r}; expected one of {_EXTENSIONS}")
    if not file.stat().st_size:
        raise DataError(f"{file}: the file is empty; fill it or leave it out of data.sources")
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    lines = (line.strip() for _, line in numbered_lines(file))
    start = list(itertools.islice((line for line in lines if line), _LOOK_LINES))
    if not start:
        raise DataError(f"{file}: the file holds only blank lines; fill it or leave it out of data.sources")
    if _ROWS_START.match("".join(start)):
        return "rows"
    if _is_object(start[0]):
        return "jsonl"
    if extension == ".txt" and (METADATA.fullmatch(start[0]) or any(map(MARK.search, start))):
        return "markup"
    raise DataError(
        f"{file}: its start looks like no known form; expected a JSON list of rows, one JSON object a line, "
        "or (.txt) reviews with marks like [term|label]"
    )


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False

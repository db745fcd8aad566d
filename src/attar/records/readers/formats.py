"""The form of a file: told by its ending, by a look at its start, or by the recipe."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from attar.errors import DataError
from attar.recipe.load import SourceFormat, SourceRecipe
from attar.records.readers.bio import TAGGED
from attar.records.readers.json_list import list_items
from attar.records.readers.lines import read_text
from attar.records.readers.markup import MARK, METADATA
from attar.records.readers.target import PLACE
from attar.records.readers.triplets import BEFORE_TRIPLETS

__all__ = ["KNOWN_ENDINGS", "TABLES", "check_options", "detect_format", "plain_text"]

TABLES: frozenset[SourceFormat] = frozenset({"csv", "tsv", "jsonl", "excel", "parquet"})
_BY_ENDING: Mapping[str, SourceFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".parquet": "parquet",
}
_LOOK = (".json", ".txt")
KNOWN_ENDINGS = (*_BY_ENDING, *_LOOK)
_LOOK_BYTES = 1 << 20
_LOOK_LINES = 20
_ROWS_START = re.compile(r"\[\s*(\[|\])")
_OBJECTS_START = re.compile(r"\[\s*\{")
_SAY = f'say which it is in the source, as format = "...", one of {", ".join(get_args(SourceFormat))}'

# An option that means nothing for a form would be a mistake that nobody notices.
_FORMS_WITH: Mapping[str, frozenset[SourceFormat]] = {
    "columns": TABLES | {"mongodb"},
    "names": frozenset({"csv", "tsv", "excel"}),
    "delimiter": frozenset({"csv", "tsv"}),
    "quoted": frozenset({"csv", "tsv"}),
    "join": TABLES,
    "empty": TABLES | {"mongodb"},
    "occurrence": TABLES | {"rows", "label_studio", "mongodb"},
    "query": frozenset({"mongodb"}),
}


def check_options(source: SourceRecipe, form: SourceFormat) -> None:
    """Check that a source says nothing that its form has no use for.

    Raises:
        DataError: It does, or its delimiter is empty.
    """
    for option, forms in _FORMS_WITH.items():
        default = SourceRecipe.model_fields[option].default
        if form not in forms and getattr(source, option) != default:
            raise DataError(
                f"{source.path}: {option} means nothing for the form {form!r}, only for "
                f'{", ".join(sorted(forms))}; leave it out, or say which it is as format = "..."'
            )
    if source.delimiter == "":
        raise DataError(f"{source.path}: delimiter is empty; expected what stands between two cells")


def plain_text(source: SourceRecipe) -> SourceRecipe:
    """A source whose text alone is wanted: a ``.txt`` file without a form holds one text a line."""
    is_plain = source.format is None and not source.is_remote and source.path.lower().endswith(".txt")
    return source.model_copy(update={"format": "lines"}) if is_plain else source


def detect_format(file: Path) -> SourceFormat:
    """The form of a file that is there.

    Raises:
        DataError: It cannot be told, the file is empty or cannot be read.
    """
    ending = file.suffix.lower()
    if ending not in KNOWN_ENDINGS:
        raise DataError(
            f"{file}: unknown ending {ending!r}; known are {', '.join(KNOWN_ENDINGS)}; else {_SAY}"
        )
    if not file.stat().st_size:
        raise DataError(f"{file}: the file is empty; fill it or leave it out of data.sources")
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    start = _start(file)
    if not start:
        raise DataError(f"{file}: the file holds only blank lines; fill it or leave it out of data.sources")
    form = _json_form(file, start) or (_text_form(start) if ending == ".txt" else None)
    if form is None:
        raise DataError(f"{file}: its start looks like no known form; {_SAY}")
    return form


def _start(file: Path) -> list[str]:
    """The first lines that are not blank, the last perhaps cut short."""
    try:
        with file.open("rb") as stream:
            text = codecs.getincrementaldecoder("utf-8-sig")().decode(stream.read(_LOOK_BYTES))
    except (OSError, UnicodeDecodeError):
        text = read_text(file)  # which says what is wrong, and where
    return [line.strip() for line in text.split("\n") if line.strip()][:_LOOK_LINES]


def _json_form(file: Path, start: list[str]) -> SourceFormat | None:
    joined = "".join(start)
    if _ROWS_START.match(joined):
        return "rows"
    if _OBJECTS_START.match(joined):
        from attar.records.readers.label_studio import is_label_studio

        _, first = next(list_items(file, "rows", "expected a JSON list"))
        if is_label_studio(first):
            return "label_studio"
        raise DataError(
            f"{file}: a JSON list of objects, but no export of Label Studio; "
            "write one object a line (jq -c '.[]') for a table, or say format = \"label_studio\""
        )
    return "jsonl" if _is_object(start[0]) else None


def _text_form(start: list[str]) -> SourceFormat | None:
    if METADATA.fullmatch(start[0]) or any(map(MARK.search, start)):
        return "markup"
    if PLACE in start[0]:
        return "target"
    if BEFORE_TRIPLETS in start[0]:
        return "triplets"
    # A line may be cut short by the end of what was read, but never the first.
    return "bio" if all(map(TAGGED.fullmatch, start[:-1] or start)) else None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False

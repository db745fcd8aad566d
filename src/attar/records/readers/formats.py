"""The format of a file: detected by its ending, by its start, or set by the recipe."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from attar.errors import DataError
from attar.io.encodings import Encoding, find_encoding
from attar.io.json_list import OBJECTS, list_items
from attar.io.json_text import parse_json
from attar.io.lines import read_text
from attar.io.tables.table_files import TABLE_ENDINGS, save_as
from attar.recipe.load import SourceFormat, SourceRecipe
from attar.records.readers.label_studio import is_label_studio
from attar.records.readers.text_formats import BEFORE_TRIPLETS, MARK, METADATA, PLACE, TAGGED

__all__ = ["KNOWN_ENDINGS", "TABLES", "check_options", "detect_format", "has_encoding", "plain_text"]

TABLES: frozenset[SourceFormat] = frozenset(TABLE_ENDINGS.values())
_AMBIGUOUS = (".json", ".txt")
KNOWN_ENDINGS = (*TABLE_ENDINGS, *_AMBIGUOUS)
_START_BYTES = 1 << 20
_START_LINES = 20
_ROWS_START = re.compile(r"\[\s*(\[|\])")
_HINT = f'set it in the source, as format = "...", one of {", ".join(get_args(SourceFormat))}'

_WITHOUT_ENCODING: frozenset[SourceFormat] = frozenset({"excel", "parquet", "mongodb"})

# An option that means nothing for a format would be a mistake that nobody notices.
_FORMATS_WITH: Mapping[str, frozenset[SourceFormat]] = {
    "columns": TABLES | {"mongodb", "label_studio"},
    "names": frozenset({"csv", "tsv", "excel"}),
    "delimiter": frozenset({"csv", "tsv"}),
    "quoted": frozenset({"csv", "tsv"}),
    "join": TABLES,
    "encoding": frozenset(get_args(SourceFormat)) - _WITHOUT_ENCODING,
    "empty": TABLES | {"mongodb"},
    "occurrence": TABLES | {"rows", "label_studio", "mongodb"},
    "query": frozenset({"mongodb"}),
}


def check_options(source: SourceRecipe, file_format: SourceFormat) -> None:
    """Check that a source sets no option that its format does not have.

    Raises:
        DataError: It does, or its delimiter is empty.
    """
    for option, formats in _FORMATS_WITH.items():
        default = SourceRecipe.model_fields[option].default
        if file_format not in formats and getattr(source, option) != default:
            raise DataError(
                f"{source.path}: {option} means nothing for the format {file_format!r}, only for "
                f'{", ".join(sorted(formats))}; leave it out, or say which format it is as format = "..."'
            )
    if source.delimiter == "":
        raise DataError(f"{source.path}: delimiter is empty; expected what separates two cells")


def has_encoding(file_format: SourceFormat) -> bool:
    """Whether files of a format are text, of which the encoding may be asked."""
    return file_format not in _WITHOUT_ENCODING


def plain_text(source: SourceRecipe) -> SourceRecipe:
    """A source whose text alone is wanted: a ``.txt`` file without a format holds one text a line."""
    is_plain = source.format is None and not source.is_remote and source.path.lower().endswith(".txt")
    return source.model_copy(update={"format": "lines"}) if is_plain else source


def detect_format(file: Path, encoding: str | Encoding | None = None) -> SourceFormat:
    """The format of a file that is there.

    Args:
        file: The file.
        encoding: See ``find_encoding``.

    Raises:
        DataError: It cannot be told, the file is empty or cannot be read.
    """
    ending = file.suffix.lower()
    if ending == ".toml":
        raise DataError(f"{file}: this is a recipe, not data; name it with --recipe {file}")
    if ending not in KNOWN_ENDINGS:
        known = f"known are {', '.join(KNOWN_ENDINGS)}"
        raise DataError(f"{file}: unknown ending {ending!r}; {known}{save_as(file) or f'; else {_HINT}'}")
    if not file.stat().st_size:
        raise DataError(f"{file}: the file is empty; fill it or leave it out of data.sources")
    if ending in TABLE_ENDINGS:
        return TABLE_ENDINGS[ending]
    found_encoding = find_encoding(file, encoding)
    start = _start(file, found_encoding)
    if not start:
        raise DataError(f"{file}: the file holds only blank lines; fill it or leave it out of data.sources")
    found = _json_format(file, start, found_encoding) or (_text_format(start) if ending == ".txt" else None)
    if found is None:
        raise DataError(f"{file}: its start looks like no known format; {_HINT}")
    return found


def _start(file: Path, encoding: Encoding) -> list[str]:
    """The first lines that are not blank, the last perhaps cut short; a blank may be a character."""
    try:
        with file.open("rb") as stream:
            stream.seek(len(encoding.mark))
            text = codecs.getincrementaldecoder(encoding.codec)().decode(stream.read(_START_BYTES))
    except (OSError, UnicodeDecodeError):
        text = read_text(file, encoding)  # which says what is wrong, and where
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()][:_START_LINES]


def _json_format(file: Path, start: list[str], encoding: Encoding) -> SourceFormat | None:
    joined = "".join(start).lstrip()
    if _ROWS_START.match(joined):
        return "rows"
    if OBJECTS.match(joined):
        _, first = next(list_items(file, "rows", "expected a JSON list", encoding))
        return "label_studio" if is_label_studio(first) else "jsonl"
    return "jsonl" if _is_object(start[0]) else None


def _text_format(start: list[str]) -> SourceFormat | None:
    if METADATA.fullmatch(start[0].strip()) or any(map(MARK.search, start)):
        return "markup"
    if PLACE in start[0]:
        return "target"
    if BEFORE_TRIPLETS in start[0]:
        return "triplets"
    # A line may be cut short by the end of what was read, but never the first; another may lack its tag.
    lines = start[:-1] or start
    return "bio" if sum(map(bool, map(TAGGED.fullmatch, lines))) > 0.8 * len(lines) else None


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False

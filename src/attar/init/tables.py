"""How a table is to be opened: the sheet, what stands between two cells, quotes, and whether it has a header.

Tried in the order in which ``attar prepare`` would take it for granted; something else is guessed only
where that gives no columns that are a text and a label, and comes out better.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from attar.errors import DataError
from attar.init.columns import ColumnGuess, guess_columns
from attar.init.profiles import TableProfile, profile_of
from attar.io.encodings import Encoding
from attar.io.lines import numbered_lines
from attar.io.tables.columns import OURS
from attar.io.tables.excel import ALL_SHEETS
from attar.io.tables.rows import TableFormat
from attar.io.tables.table_files import TableOptions, open_file
from attar.io.tables.usual_names import SECOND, named
from attar.task import Task

__all__ = ["TableGuess", "delimiter_of", "head_lines", "understand_table"]

_DELIMITERS = ("\t", "###", "|||", ",", ";", "|", "，")
_HEAD_LINES = 200
_SAME = 0.95  # of the lines have as many cells
_FEW_BAD = 0.01  # of the rows
_LONG_NAME = 12
_SENTIMENT = Task("sentiment", ("消极", "中性", "积极"))


@dataclass(slots=True)
class TableGuess:
    """A table, and how it is to be read.

    Attributes:
        path: The file.
        format: As a recipe names it.
        profile: What was counted of it.
        guess: Which of its columns are ours.
        sheet: Of a workbook, where it has to be named.
        settings: Keys of its source beside path and columns.
        why: What these were guessed from, by key.
    """

    path: Path
    format: TableFormat
    profile: TableProfile
    guess: ColumnGuess
    sheet: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Our columns to the table's, as a recipe has to say them."""
        return {
            ours: theirs
            for ours, theirs in self.guess.columns.items()
            if ours != theirs and not (ours == "label" and theirs in _SPAN_COLUMNS)
        }

    def reads_also(self, other: TableGuess) -> bool:
        """Whether what its source says of the reading is right for another table that is joined, too."""
        own, others = dict(self.settings), dict(other.settings)
        encoding, other_encoding = own.pop("encoding", None), others.pop("encoding", None)
        # A joined table that is UTF-8 stays so.
        is_decoded = other_encoding in (None, encoding)
        return is_decoded and own == others and (self.format == other.format or not own)

    @property
    def is_whole(self) -> bool:
        """Whether it has a text and a label."""
        return not self.guess.lacking


_SPAN_COLUMNS = ("labels", "entities", "spans")  # the reader knows them


def understand_table(
    path: Path,
    table_format: TableFormat,
    chosen: Mapping[str, str],
    sheet: str = "",
    encoding: Encoding | None = None,
    *,
    named_so: bool = True,
) -> TableGuess:
    """Guess how a table is to be read.

    Args:
        path: A file.
        table_format: Of it.
        chosen: Our columns to those of the table, which the user names.
        sheet: That the user names, "" for none.
        encoding: Of a file of text; None finds it.
        named_so: Whether the file's ending tells the format.

    Raises:
        DataError: It cannot be read.
    """
    if table_format == "excel":
        found = _of_workbook(path, chosen, sheet)
    elif table_format in ("csv", "tsv"):
        found = _of_delimited(path, table_format, chosen, encoding)
    else:
        found = _opened(path, table_format, chosen, TableOptions(encoding=encoding))
    if not named_so:
        found.settings = {"format": table_format} | found.settings
        found.why["format"] = "its lines have as many cells each"
    return found


def _opened(
    path: Path, table_format: TableFormat, chosen: Mapping[str, str], options: TableOptions
) -> TableGuess:
    table = open_file(path, table_format, options)[0]
    profile = profile_of(table)
    return TableGuess(path, table_format, profile, guess_columns(profile, chosen))


def _of_workbook(path: Path, chosen: Mapping[str, str], sheet: str) -> TableGuess:
    """The sheet that prepare reads, or the first visible one with a text and a label."""
    needed = [{theirs} for theirs in chosen.values() if theirs]
    first = _opened(path, "excel", chosen, TableOptions(sheet=sheet, needed=needed))
    if sheet == ALL_SHEETS or first.is_whole or not first.profile.table.sheets_left_out:
        return first
    if sheet:
        return first
    for table in open_file(path, "excel", TableOptions(sheet=ALL_SHEETS)):
        if table.sheet == first.profile.table.sheet:
            continue
        profile = profile_of(table)
        found = TableGuess(path, "excel", profile, guess_columns(profile, chosen), sheet=table.sheet)
        if found.is_whole:
            found.why["path"] = f"the first visible sheet with a text and a label is {table.sheet}"
            return found
    return first


def _of_delimited(
    path: Path, table_format: TableFormat, chosen: Mapping[str, str], encoding: Encoding | None
) -> TableGuess:
    settings, why = dict[str, Any](), dict[str, str]()
    delimiter = "\t" if table_format == "tsv" else ","
    head = head_lines(path, encoding)
    likely = delimiter_of(head)
    if likely and likely != delimiter and not any(delimiter in line for line in head[:1]):
        settings["delimiter"], delimiter = likely, likely
        why["delimiter"] = "the first line and those below have as many of it"
    options = TableOptions(delimiter=settings.get("delimiter"), encoding=encoding)
    if len(delimiter) == 1 and not _reads_quoted(path, table_format, options):
        settings["quoted"] = False
        why["quoted"] = "a quote in it is never closed, so quotes are text"
        options = replace(options, quoted=False)
    cells = [line.split(delimiter) for line in head[:1]]
    if cells and _is_data(cells[0], chosen):
        names = [f"column {place}" for place in range(1, len(cells[0]) + 1)]
        found = _opened(path, table_format, chosen, replace(options, names=names))
        if found.is_whole:
            _name_columns(found, names)
            return _with(found, settings, why | {"names": "its first line is no header; by the cells"})
    return _with(_opened(path, table_format, chosen, options), settings, why)


def _with(found: TableGuess, settings: dict[str, Any], why: dict[str, str]) -> TableGuess:
    found.settings = {**settings, **found.settings}
    found.why = {**why, **found.why}
    return found


def _name_columns(found: TableGuess, names: Sequence[str]) -> None:
    """Call the columns of a table without a header as ours."""
    ours_of = {theirs: ours for ours, theirs in found.guess.columns.items()}
    found.settings["names"] = [ours_of.get(name, name) for name in names]
    found.guess.why = {ours: why for ours, why in found.guess.why.items() if ours in ours_of.values()}
    found.guess.columns = {ours: ours for ours in found.guess.columns if ours in OURS}


def head_lines(path: Path, encoding: Encoding | None = None) -> list[str]:
    """The first lines of a file that are not blank.

    Args:
        path: The file.
        encoding: Its encoding; None finds it.

    Raises:
        DataError: It cannot be read.
    """
    with closing(numbered_lines(path, encoding)) as lines:  # type: ignore[type-var]
        head = (line.rstrip("\r\n") for _, line in lines)
        return list(itertools.islice((line for line in head if line.strip()), _HEAD_LINES))


def delimiter_of(lines: Sequence[str]) -> str:
    """What nearly all lines have as often as the first, "" for nothing."""
    for delimiter in _DELIMITERS:
        num = lines[0].count(delimiter) if lines else 0
        same = sum(line.count(delimiter) == num for line in lines)
        if num and same >= _SAME * len(lines):
            return delimiter
    return ""


def _reads_quoted(path: Path, table_format: TableFormat, options: TableOptions) -> bool:
    """Whether a file can be read with quotes; if not, without them its rows must be whole."""
    try:
        for _ in _rows(path, table_format, options):
            pass
    except DataError:
        bad = [problem is not None for problem in _rows(path, table_format, replace(options, quoted=False))]
        if not bad or sum(bad) > _FEW_BAD * len(bad):
            raise
        return False
    return True


def _rows(path: Path, table_format: TableFormat, options: TableOptions) -> Iterator[object]:
    for table in open_file(path, table_format, options):
        yield from (row.problem for row in table.rows())


def _is_data(cells: Sequence[str], chosen: Mapping[str, str]) -> bool:
    """Whether a first line looks like a row rather than names of columns."""
    said = [cell.strip().strip('"') for cell in cells]
    if any(named(role, said) for role in (*OURS, SECOND)) or set(chosen.values()) & set(said):
        return False
    return any(len(cell) > _LONG_NAME or _is_label(cell) for cell in said)


def _is_label(cell: str) -> bool:
    return bool(_SENTIMENT.label_of(cell)) or cell.lstrip("+-").isdigit()

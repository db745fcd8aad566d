"""The sources of a recipe: each file that was named, how it is read, and which belong together.

Of two tables of which one has the labels and the other the texts, with a column in common, the second is
joined to the first. Files called train, dev and test keep their parts.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from attar.errors import DataError
from attar.init.columns import GIVEN, column_facts, guess_columns
from attar.init.profiles import TableProfile
from attar.init.tables import TableGuess, delimiter_of, head_lines, understand_table
from attar.io.encodings import Encoding, of_several_files
from attar.io.tables.excel import workbook_path
from attar.io.tables.rows import TableFormat, as_text
from attar.io.tables.table_files import TABLE_ENDINGS, data_files
from attar.recipe.load import SourceFormat
from attar.records.readers.formats import KNOWN_ENDINGS, TABLES, detect_format, has_encoding
from attar.task import BUILT_IN_TASKS, Task

__all__ = ["SourceGuess", "guess_sources", "is_part_name"]

_SPLIT_NAMES = (
    ("test", re.compile(r"(?:^|[^a-z])(?:new)?test(?:ing|set)?(?:[^a-z]|$)|测试")),
    ("dev", re.compile(r"(?:^|[^a-z])(?:dev|valid|validation|val|eval)(?:set)?(?:[^a-z]|$)|验证|开发集")),
    ("train", re.compile(r"(?:^|[^a-z])train(?:ing|set)?(?:[^a-z]|$)|训练")),
)
_LOG = logging.getLogger(__name__)
_SHORT_NAME = 8
_SENTIMENT = Task("sentiment", BUILT_IN_TASKS["cosmetics"].labels)
_IN_OTHER = 0.9  # of the sampled keys


@dataclass(slots=True)
class SourceGuess:
    """One source of the recipe.

    Attributes:
        path: A file, a sheet of a workbook, or an address; as the user named it or below a folder of theirs.
        format: What its reader takes it for.
        columns: Our columns to theirs.
        settings: Other keys of the source.
        why: What they and the columns were guessed from, by key and by our column.
        is_pair: Whether its terms are second sentences.
        left_out: Why it is not read, "" where it is.
        folder: The folder that the user named, where it is a file of one.
    """

    path: str
    format: SourceFormat
    columns: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    is_pair: bool = False
    left_out: str = ""
    folder: str = ""

    def keys(self) -> dict[str, Any]:
        """The source as a recipe has it, but for its path."""
        return {**self.settings, **({"columns": self.columns} if self.columns else {})}


def guess_sources(
    places: Sequence[str], chosen: Mapping[str, str], asked: str | None = None
) -> list[SourceGuess]:
    """Guess how files and folders are to be read.

    Args:
        places: Files, ``FILE.xlsx#SHEET`` and folders.
        chosen: Our columns to theirs, which the user names.
        asked: What the user names as the encoding of the files of text that are not UTF-8; None finds it.

    Raises:
        DataError: A file cannot be read, or it cannot be told which column is which; the message has
            every column with what may be said of it.
    """
    tables, found = list[TableGuess](), list[SourceGuess]()
    named, folder_of, unreadable = set[Path](), dict[str, str](), list[DataError]()
    for place in places:
        path, sheet = workbook_path(Path(place))
        files = data_files(path, KNOWN_ENDINGS)
        if path.is_file():
            named.add(path)
        else:
            folder_of |= dict.fromkeys(map(str, files), place)
        for file in files:
            try:
                written = _written(file, asked)
            except DataError as error:
                if file in named:
                    raise
                unreadable.append(error)
                found.append(SourceGuess(str(file), "lines", left_out=_reason(file, error)))
                continue
            one = _of_file(file, sheet, chosen, written)
            if isinstance(one, TableGuess):
                tables.append(one)
            else:
                found.append(one)
    found += _of_tables(tables, chosen, named)
    if not any(not source.left_out for source in found):
        raise unreadable[0]
    for source in found:
        source.folder = folder_of.get(source.path, "")
    _keep_parts(found)
    return _whole_folders(found, folder_of)


def _whole_folders(found: Sequence[SourceGuess], folder_of: Mapping[str, str]) -> list[SourceGuess]:
    """The sources, with the folder in place of its files where they are all read alike."""
    kept = list[SourceGuess]()
    for source in found:
        same = [other for other in found if other.folder and other.folder == source.folder]
        is_all = len(same) == sum(folder == source.folder for folder in folder_of.values())
        if not same or not is_all or any(one.keys() != source.keys() or one.left_out for one in same):
            kept.append(source)
        elif source is same[0]:
            kept.append(replace(source, path=source.folder))
    return kept


class _Written(NamedTuple):
    """How a file is written.

    Attributes:
        format: What its reader takes it for.
        named_so: Whether that needs no word in the recipe.
        encoding: Of a file of text, where the user names one; None finds it.
        asked: That encoding's name, where the recipe has to say it; else "".
    """

    format: SourceFormat
    named_so: bool
    encoding: Encoding | None
    asked: str


def _written(file: Path, asked: str | None) -> _Written:
    """How a file is written: by its ending and its start."""
    encoding, is_text = None, has_encoding(TABLE_ENDINGS.get(file.suffix.lower(), "lines"))
    if asked is not None and is_text:
        encoding = of_several_files(file, asked)
    said = asked if asked is not None and encoding is not None and encoding.name == asked else ""
    try:
        return _Written(detect_format(file, encoding), True, encoding, said)
    except DataError:
        if file.suffix.lower() != ".txt":
            raise
        if _SENTIMENT.label_of(file.stem):
            return _Written("lines", False, encoding, said)
        delimiter = delimiter_of(head_lines(file, encoding))
        if not delimiter:
            raise
    return _Written("tsv" if delimiter == "\t" else "csv", False, encoding, said)


def _of_file(
    file: Path, sheet: str, chosen: Mapping[str, str], written: _Written
) -> TableGuess | SourceGuess:
    """A file by itself."""
    found: TableGuess | SourceGuess
    if written.format in TABLES:
        _LOG.info("%s: looking at what is in its columns", file)
        table_format = cast("TableFormat", written.format)
        found = understand_table(
            file, table_format, chosen, sheet, written.encoding, named_so=written.named_so
        )
        found.sheet = sheet or found.sheet
    elif written.format == "lines":
        found = _of_lines(file)
    else:
        found = _of_format(file, written.format, chosen)
    if written.asked:
        found.settings["encoding"] = written.asked
        found.why["encoding"] = GIVEN
    return found


def _of_format(file: Path, file_format: SourceFormat, chosen: Mapping[str, str]) -> SourceGuess:
    """A file whose format says what is what, but for the controls of Label Studio that the user names."""
    columns = dict(chosen) if file_format == "label_studio" else {}
    return SourceGuess(str(file), file_format, columns, why=dict.fromkeys(columns, GIVEN))


def _of_lines(file: Path) -> SourceGuess:
    """A file of one text a line, whose name is the label of all of them."""
    constants = {"label": file.stem}
    why = {"format": "one text a line", "constants": "its name is a label"}
    return SourceGuess(str(file), "lines", settings={"format": "lines", "constants": constants}, why=why)


def _of_tables(
    tables: Sequence[TableGuess], chosen: Mapping[str, str], named: set[Path]
) -> list[SourceGuess]:
    """The sources that tables make, those joined that belong together."""
    whole = [table for table in tables if table.is_whole]
    texts = [table for table in tables if "label" in table.guess.lacking and "text" in table.guess.columns]
    joined, used = list[SourceGuess](), set[Path]()
    for table in tables:
        if table.is_whole:
            joined.append(_source_of(table))
            continue
        if "label" in table.guess.lacking:
            continue
        pairs = [pair for one in texts if (pair := _joined(table, one, chosen))]
        if pairs:
            # Ids of two files may be the same by chance; then the terms are not in the texts.
            best = max(pairs, key=lambda pair: (pair.num_columns, _likeness(table.path, pair.texts)))
            joined.append(best.source)
            used |= {table.path, best.texts}
    for table in tables:
        if table in whole or table.path in used:
            continue
        problem = _problem(table)
        if table.path in named or not joined:
            raise DataError(problem)
        joined.append(SourceGuess(str(table.path), table.format, left_out=_lacking(table)))
    return joined


def _problem(table: TableGuess) -> str:
    advice = " and ".join(f"--column {ours}=NAME" for ours in table.guess.lacking)
    return (
        f"{table.path}: it cannot be told which column is what ({_lacking(table)}). Its columns: "
        f"{column_facts(table.profile)}. Say which with {advice}"
    )


def _reason(file: Path, error: DataError) -> str:
    """Why a file is not read, without the advice for those who want it read."""
    return str(error).removeprefix(f"{file}: ").partition("; ")[0]


def _lacking(table: TableGuess) -> str:
    return "; ".join(f"no {ours}: {why}" for ours, why in table.guess.lacking.items())


def _source_of(table: TableGuess) -> SourceGuess:
    """A table as a source."""
    guess = table.guess
    path = f"{table.path}#{table.sheet}" if table.sheet else str(table.path)
    settings, why = dict(table.settings), {**guess.why, **table.why}
    if guess.placeholders:
        settings["empty"] = guess.placeholders
        why["empty"] = "cells that mean nothing"
    if guess.separator:
        settings["explode"] = guess.separator
        why["explode"] = "terms of one cell stand in the text one by one"
    return SourceGuess(path, table.format, table.columns, settings, why, guess.is_pair)


class _Join(NamedTuple):
    """A table of labels with the texts of another one."""

    source: SourceGuess
    texts: Path
    num_columns: int  # of ours, that were told of both together


def _likeness(one: Path, other: Path) -> float:
    return difflib.SequenceMatcher(None, one.stem, other.stem).ratio()


def _joined(labels: TableGuess, texts: TableGuess, chosen: Mapping[str, str]) -> _Join | None:
    """A table of labels with the texts of another one, if they have a key in common."""
    if not labels.reads_also(texts):
        return None
    for key in labels.profile.columns:
        if key not in texts.profile.columns:
            continue
        rows = dict[str, Mapping[str, Any]]()
        num = 0
        for row in texts.profile.table.rows():
            if not row.problem:
                num += 1
                rows[as_text(row.values.get(key))] = row.values
        sample = [(row, rows.get(as_text(row.get(key)))) for row in labels.profile.rows]
        together: list[Mapping[str, Any]] = [{**other, **row} for row, other in sample if other is not None]
        if len(rows) != num or len(together) < _IN_OTHER * len(sample):
            continue
        profile = TableProfile(
            labels.profile.table, labels.profile.num_rows, labels.profile.num_problems,
            {**texts.profile.columns, **labels.profile.columns}, together,
        )  # fmt: skip
        guess = guess_columns(profile, chosen)
        if guess.lacking:
            continue
        table = TableGuess(
            labels.path, labels.format, profile, guess, labels.sheet, labels.settings, labels.why
        )
        source = _source_of(table)
        source.settings["join"] = {"path": str(texts.path), "on": key}
        source.why["join"] = (
            f"the texts are there; {key} of {len(together):,} of {len(sample):,} rows is, too"
        )
        return _Join(source, texts.path, len(guess.columns))
    return None


def _keep_parts(sources: Sequence[SourceGuess]) -> None:
    """Send files that are called dev and test where their names say, if others are left to train on."""
    read = [source for source in sources if not source.left_out]
    parts = [_part(source.path) for source in read]
    if not {"dev", "test"} & set(parts) or not any(part in ("train", "") for part in parts):
        return
    for source, part in zip(read, parts, strict=True):
        if part in ("dev", "test"):
            source.settings["split"] = part
            source.why["split"] = "its name"


def is_part_name(name: str) -> bool:
    """Whether a file is called no more than train, dev or test."""
    return bool(_part(name)) and len(name) <= _SHORT_NAME


def _part(path: str) -> str:
    name = Path(path).stem.casefold()
    return next((part for part, pattern in _SPLIT_NAMES if pattern.search(name)), "")

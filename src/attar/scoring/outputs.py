"""Where ``attar score`` writes: what a place allows, and scored rows in each format.

Rows are written to a draft, which takes the name of the output when it is whole
(``attar.scoring.job_folder``); a collection of MongoDB gets them at once, in a way that can be repeated, and
standard output as they come.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from attar.errors import DataError
from attar.io.compressed import packed, packing_of
from attar.io.mongo import is_mongodb, mongo_address, shown_place
from attar.io.outputs import check_output
from attar.io.tables.columns import Columns, shown_columns
from attar.io.tables.delimited import write_delimited_rows
from attar.io.tables.jsonl import json_line
from attar.io.tables.parquet import write_parquet
from attar.io.tables.rows import Table
from attar.io.tables.table_files import table_format
from attar.language.translator import translator
from attar.scoring.chunks import CHUNK_CHARS
from attar.scoring.excel import write_excel
from attar.scoring.mongodb import check_target, write_documents, write_into_source
from attar.scoring.options import ENCODINGS, STREAM, OutFormat, ScoreOptions
from attar.scoring.row_limit import RowLimit
from attar.scoring.scored import Scored, scored_types, table_row
from attar.suggest import did_you_mean
from attar.task import Task

__all__ = [
    "Output",
    "check_encoding",
    "check_place",
    "file_beside",
    "kept_names",
    "out_format",
    "parts_path",
]

_REGION_CHARS = 1000  # of a mention of which no text is written
_ADDED_BY_TERMS = ("term", "found", "category")


@dataclass(frozen=True, slots=True)
class Output:
    """What is written.

    Attributes:
        place: A path, the address of a collection, or ``-``.
        format: Of the rows.
        options: Encoding, columns.
        task: Its labels, in the order of the probs.
        model: Names the artifact: task, version, sha256.
        tables: What is read, with what its columns mean.
        gold: Excel: the column with gold labels, "" for none.
        facts: Excel: asked at the end for what the summary says first.
    """

    place: str
    format: OutFormat
    options: ScoreOptions
    task: Task
    model: Mapping[str, str]
    tables: Sequence[tuple[Table, Columns]]
    gold: str
    facts: Callable[[], Mapping[str, str | int]]

    def write(self, chunks: Iterable[Sequence[Scored]], draft: Path | None) -> None:
        """Write all rows.

        Args:
            chunks: The rows.
            draft: Where a file is written; None for a collection and for standard output.
        """
        keep, labels = kept_names(self.tables, self.options), self.task.labels
        tables = [table for table, _ in self.tables]
        match self.format:
            case "mongodb" if self.options.into_source:
                write_into_source(self.place, chunks, self.model)
            case "mongodb":
                write_documents(self.place, chunks, self.model, keep)
            case "label_studio":
                assert draft is not None, "standard output takes no tasks"
                from attar.scoring.label_studio import write_label_studio

                version = f"{self.model['task']} {self.model['version']}"
                taken = {each.name(ours) for _, each in self.tables for ours in ("text", "term")}
                write_label_studio(draft, chunks, taken, labels=labels, model_version=version, keep=keep)
            case "excel":
                assert draft is not None, "standard output takes no workbook"
                write_excel(
                    draft,
                    chunks,
                    scored_types(tables, labels, keep),
                    text=self.tables[0][1].name("text"),
                    task=self.task,
                    gold=self.gold,
                    tr=translator(self.options.language),
                    facts=self.facts,
                )
            case "parquet":
                assert draft is not None, "standard output takes no Parquet"
                rows = ([table_row(scored, keep) for scored in chunk] for chunk in chunks)
                write_parquet(draft, rows, scored_types(tables, labels, keep))
            case "jsonl":
                with _text_stream(draft, "utf-8", packing_of(Path(self.place))) as stream:
                    for scored in (scored for chunk in chunks for scored in chunk):
                        stream.write(json_line(table_row(scored, keep)) + "\n")
            case _:
                types = scored_types(tables, labels, keep)
                with _text_stream(draft, self._encoding(), packing_of(Path(self.place))) as stream:
                    each = (table_row(scored, keep) for chunk in chunks for scored in chunk)
                    write_delimited_rows(stream, each, types, "\t" if self.format == "tsv" else ",")

    @property
    def max_chars(self) -> int | None:
        """How much text a chunk may hold, where a chunk is copied as a whole and the text is kept."""
        keep = kept_names(self.tables, self.options)
        is_kept = keep is None or any(columns.name("text") in keep for _, columns in self.tables)
        return CHUNK_CHARS if self.format == "parquet" and is_kept else None

    def row_limit(self) -> RowLimit:
        """How much of one row may be written, by what is written with each of its mentions."""
        match self.format:
            case "label_studio":  # one task, which is held as a whole
                return RowLimit((), _REGION_CHARS)
            case "mongodb" if self.options.into_source:
                return RowLimit((), _REGION_CHARS)
            case _:
                return RowLimit(kept_names(self.tables, self.options))

    def _encoding(self) -> str:
        if self.options.encoding is not None:
            return self.options.encoding
        # Excel takes a CSV file without a mark for one of the country's old encoding; a program needs none.
        return "utf-8-sig" if self.format == "csv" and self.place != STREAM else "utf-8"


@contextlib.contextmanager
def _text_stream(draft: Path | None, encoding: str, packing: str) -> Iterator[TextIO]:
    with contextlib.ExitStack() as stack:
        raw = sys.stdout.buffer if draft is None else stack.enter_context(draft.open("wb"))
        inner = stack.enter_context(packed(cast("io.BufferedWriter", raw), packing))
        errors = "backslashreplace"  # halves of surrogate pairs become the escapes that they were
        stream = io.TextIOWrapper(inner, encoding=encoding, errors=errors, newline="")
        yield stream
        stream.flush()
        stream.detach()


def out_format(place: str | Path, options: ScoreOptions) -> OutFormat:
    """The format that a place takes.

    Raises:
        DataError: None that we know.
    """
    if is_mongodb(place):
        return "mongodb"
    if str(place) == STREAM:
        return options.stream_format
    return "label_studio" if Path(place).suffix.lower() == ".json" else table_format(Path(place))


def parts_path(place: str | Path) -> Path | None:
    """The folder for the parts of a job; None for standard output, which cannot be taken back."""
    return None if str(place) == STREAM else file_beside(place, ".parts")


def file_beside(place: str | Path, ending: str) -> Path:
    """What is written beside an output; beside a collection, in the working directory."""
    if is_mongodb(place):
        name = mongo_address(str(place)).collection.replace("/", "_")
        return Path(f"{name}{ending}")
    return Path(place).with_name(f"{Path(place).name}{ending}")


def check_place(
    sources: Sequence[str],
    files: Sequence[Path],
    place: str | Path,
    format_: OutFormat,
    options: ScoreOptions,
) -> None:
    """Refuse a target that cannot be written, or that is read.

    Args:
        sources: What is read, as it was named.
        files: The files and folders among it.
        place: The target.
        format_: Of the target.
        options: Of the job.

    Raises:
        DataError: Such a target.
    """
    twice = next((one for one, count in Counter(sources).items() if count > 1), None)
    if twice is not None or not sources:
        raise DataError(f"{shown_place(twice)} is named twice" if twice else "name what to score")
    if format_ == "mongodb":
        if options.into_source and len(sources) > 1:
            raise DataError("--into-source writes into the collection that is read; name one --in alone")
        for one in [one for one in sources if is_mongodb(one)] or (None,):
            check_target(one, str(place), into_source=options.into_source)
    elif options.into_source:
        raise DataError(f"--into-source writes into the collection that is read; {place} is a file")
    elif str(place) != STREAM:
        check_output(Path(place), files)
    if format_ == "label_studio":
        check_output(Path(place).with_suffix(".xml"), files)


def check_encoding(place: str | Path, format_: OutFormat, encoding: str | None) -> None:
    """Refuse an encoding that is unknown, or that the format does not leave open.

    Raises:
        DataError: Such an encoding.
    """
    if encoding is None:
        return
    if encoding not in ENCODINGS:
        raise DataError(f"--encoding {encoding}: expected one of {', '.join(ENCODINGS)}")
    if format_ not in ("csv", "tsv") and encoding != "utf-8":
        raise DataError(f"--encoding is for CSV and TSV; {shown_place(place)} is always UTF-8")


def kept_names(tables: Sequence[tuple[Table, Columns]], options: ScoreOptions) -> Collection[str] | None:
    """The columns of the input that are kept, as the rows have them; None for all.

    Raises:
        DataError: One of those that were named is in no table.
    """
    if options.columns is None:
        return None
    there = list(dict.fromkeys(name for table, _ in tables for name in table.columns))
    kept = set(_ADDED_BY_TERMS if options.terms is not None else ())
    for name in options.columns:
        found = {name, f"input_{name}"} & set(there)
        if options.terms is not None and name in _ADDED_BY_TERMS:
            found -= {name}  # the one of the list is kept anyway; this is the input's
        if not found:
            raise DataError(
                f"--columns {name}: no such column; there are {shown_columns(there)}"
                f"{did_you_mean(name, there)}"
            )
        kept |= found
    return kept

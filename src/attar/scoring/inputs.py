"""What ``attar score`` reads: files, folders, patterns, standard input and collections, as tables in order.

``places -> files -> Table, Columns``. A file that was named is read or is an error. Of a folder or a pattern
each file that cannot be read, or not to its end, is noted, and the others are read.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from attar.errors import DataError, RunError
from attar.io.files import file_hash
from attar.io.mongo import is_mongodb, shown_place
from attar.io.tables.columns import Columns
from attar.io.tables.excel import workbook_path
from attar.io.tables.rows import Row, Table
from attar.io.tables.table_files import (
    TABLE_ENDINGS,
    TableOptions,
    input_format,
    is_data,
    open_file,
    open_one_of,
    reading_notes,
    table_ending,
    table_files,
)
from attar.io.tables.term_cells import split_terms
from attar.scoring.mongodb import open_documents
from attar.scoring.options import STREAM, ScoreOptions
from attar.scoring.spans import columns_of, needed_columns
from attar.scoring.term_rows import rows_of_terms
from attar.task import Task

__all__ = ["Inputs", "Shape", "files_of", "open_inputs", "shape_for"]

_LOG = logging.getLogger(__name__)
_PATTERN = re.compile(r"[*?\[]")
_STDIN = "standard input"
_MANY_BYTES = 1 << 30  # to hash them takes seconds

Shape = Callable[[Table], tuple[Table, Columns]]
"""Finds our columns in a table; with a list of terms, or several terms a cell, it has more rows then."""


@dataclass(slots=True)
class Inputs:
    """All that is read.

    Attributes:
        tables: In their order, with what their columns mean.
        files: Those that are read.
        collections: Of MongoDB, with the number of their documents.
        damaged: Files of a folder or a pattern that cannot be read, or not to their end, and why.
        is_stream: Whether standard input is among them, which can be read once.
    """

    tables: list[tuple[Table, Columns]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    collections: dict[str, int | None] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    is_stream: bool = False

    def num_rows(self) -> int | None:
        """About how many rows there are; None where only reading would tell."""
        counts = [table.count() for table, _ in self.tables]
        return None if None in counts else sum(filter(None, counts))

    def rows(self) -> Iterator[tuple[Row, Columns]]:
        """The rows of all tables, each with what its columns mean."""
        return ((row, columns) for table, columns in self.tables for row in table.rows())

    def sizes(self) -> list[tuple[int, int]]:
        """Bytes and time of the last change of each file, to see whether one changes while it is read."""
        states = [workbook_path(path)[0].stat() for path in self.files]
        return [(state.st_size, state.st_mtime_ns) for state in states]

    def fingerprint(self) -> list[dict[str, Any]]:
        """What was read, so that a job can tell whether it is still the same."""
        num_bytes = sum(size for size, _ in self.sizes())
        if num_bytes > _MANY_BYTES:
            _LOG.info("hashing %.1f GB of input, by which an interrupted job knows it again", num_bytes / 1e9)
        files = [{"file": str(path), "sha256": file_hash(workbook_path(path)[0])} for path in self.files]
        return [*files, *({"collection": at, "documents": count} for at, count in self.collections.items())]

    def notes(self) -> list[str]:
        """A line for each file that might have been read otherwise; logged before the first row is."""
        for line in (lines := reading_notes(table for table, _ in self.tables)):
            _LOG.info("%s", line)
        return lines


def shape_for(task: Task, options: ScoreOptions, without: Counter[str]) -> Shape:
    """How the columns of every table are found.

    Args:
        task: What is asked.
        options: Names of columns, list of terms.
        without: Gets the number of reviews without a term, by table.
    """

    def shape(table: Table) -> tuple[Table, Columns]:
        if options.terms is not None:
            shaped, columns = rows_of_terms(table, options.text, options.terms, without)
        else:
            shaped, columns = columns_of(table, task, options.text, options.term, offsets=options.offsets)
        if options.split_terms is not None:
            shaped = split_terms(shaped, columns, options.split_terms)
        return shaped, columns

    return shape


def files_of(source: str) -> tuple[list[Path], bool]:
    """The files that a path, a folder or a pattern names, and whether it names whatever is there.

    Raises:
        DataError: Nothing is there, or nothing that can be read.
    """
    path = Path(source)
    whole, sheet = workbook_path(path)
    if whole.exists() or not _PATTERN.search(str(whole)):
        return ([path], False) if whole.is_file() else (table_files(whole), True)
    found = sorted(Path(name) for name in glob.glob(str(whole), recursive=True))  # noqa: PTH207 - may be absolute
    files = [one for one in found if one.is_file() and is_data(one) and table_ending(one) in TABLE_ENDINGS]
    if not files:
        known = ", ".join(TABLE_ENDINGS)
        raise DataError(f"{source}: no file with a known ending ({known}) fits this pattern")
    return [Path(f"{one}#{sheet}") if sheet else one for one in files], True


def open_inputs(
    sources: Sequence[str], task: Task, options: ScoreOptions, shape: Shape, stack: contextlib.ExitStack
) -> Inputs:
    """Open everything that is to be scored.

    Args:
        sources: Paths, patterns, ``-`` and addresses of collections.
        task: What is asked.
        options: How it is read.
        shape: Finds our columns.
        stack: Closes what was opened.

    Raises:
        DataError: A place is missing or named twice, or a file that was named cannot be read; of a folder
            or a pattern, if none can.
    """
    asked = replace(task, style="single") if options.terms is not None else task
    needed = needed_columns(asked, options.text, options.term)
    read = TableOptions(quoted=options.quoted, needed=needed)
    found = Inputs()
    for source in sources:
        if is_mongodb(source):
            table = open_documents(source, options.query)
            found.collections[shown_place(source)] = table.count()
            found.tables.append(shape(table))
        elif options.query:
            raise DataError(f"--query chooses documents of MongoDB; {source} is a file")
        elif source == STREAM:
            found.is_stream = True
            found.tables += [shape(table) for table in _standard_input(options, read, stack)]
        else:
            _add_files(found, source, read, shape, options.in_encoding)
    if not found.tables and found.damaged:
        raise DataError(next(iter(found.damaged.values())))
    return found


def _add_files(found: Inputs, source: str, read: TableOptions, shape: Shape, in_encoding: str | None) -> None:
    files, is_any = files_of(source)
    already = {(workbook_path(path)[0].resolve(), workbook_path(path)[1]) for path in found.files}
    for path in files:
        whole, sheet = workbook_path(path)
        if (whole.resolve(), sheet) in already:
            raise DataError(f"{path} is named twice; leave one out")
        try:
            tables = open_one_of(whole, input_format(whole), replace(read, sheet=sheet), in_encoding)
            shaped = [shape(_lenient(table, found.damaged) if is_any else table) for table in tables]
        except DataError as error:
            if not is_any:
                raise
            found.damaged[str(path)] = str(error)
            continue
        found.files.append(path)
        found.tables += shaped


def _lenient(table: Table, damaged: dict[str, str]) -> Table:
    """The table that ends where its file cannot be read further, which is noted."""

    def rows() -> Iterator[Row]:
        row = None
        try:
            for row in table.rows():
                yield row
        except DataError as error:
            before = f" (the rows up to {row.line} were read)" if row is not None else ""
            damaged[table.path] = f"{error}{before}"

    def count() -> int | None:
        try:
            return table.count()
        except DataError:
            return None

    return replace(table, rows=rows, count=count)


def _standard_input(options: ScoreOptions, read: TableOptions, stack: contextlib.ExitStack) -> list[Table]:
    """Standard input as tables: kept in a nameless file, because a table may be read more than once."""
    if sys.stdin is None:  # closed before the command began
        raise DataError("standard input is closed; give the rows through a pipe, or name a file")
    _LOG.info("reading standard input to its end; it comes once, so this job cannot be resumed")
    try:
        # Not buffered: what found no room must not be written once more when it is closed.
        spooled = stack.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - by the stack
        for block in iter(partial(sys.stdin.buffer.read, 1 << 20), b""):
            left = memoryview(block)
            while left:
                left = left[spooled.write(left) :]
    except OSError as error:
        raise RunError(
            f"standard input cannot be kept in the folder of temporary files ({error.strerror or error}); "
            "free some room there, let TMPDIR name a folder on another disk, or give a file"
        ) from error
    path = Path(f"/proc/self/fd/{spooled.fileno()}")
    asked = replace(read, encoding=options.in_encoding)
    with _named_stdin(path):
        return [_from_stdin(path, table) for table in open_file(path, options.stream_format, asked)]


@contextlib.contextmanager
def _named_stdin(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(path), _STDIN)) from error


def _from_stdin(path: Path, table: Table) -> Table:
    def rows(read: Callable[[], Iterator[Row]]) -> Iterator[Row]:
        with _named_stdin(path):
            for row in read():
                yield row._replace(source=_STDIN)

    return replace(table, name=_STDIN, rows=partial(rows, table.rows))

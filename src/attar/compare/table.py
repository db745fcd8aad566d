"""Every question of a comparison as a row of a table: CSV, TSV, JSONL or Parquet, the user's columns kept."""

from __future__ import annotations

from pathlib import Path

from attar.compare.comparison import Comparison
from attar.errors import DataError
from attar.io.files import atomic_write
from attar.io.tables.delimited import write_delimited_rows
from attar.io.tables.jsonl import write_jsonl
from attar.io.tables.parquet import write_parquet
from attar.io.tables.table_files import type_of
from attar.workbook.sheets import Cell, Marked

__all__ = ["check_format", "write_table"]

_ENDINGS = (".xlsx", ".csv", ".tsv", ".jsonl", ".parquet")
_CHUNK = 10_000
_KINDS = {"number": "int64", "share": "double"}


def check_format(path: Path) -> None:
    """Check that ``attar compare`` writes such a file.

    Raises:
        DataError: It does not.
    """
    if path.suffix.lower() not in _ENDINGS:
        known = ", ".join(_ENDINGS[1:])
        raise DataError(
            f"{path}: attar compare writes an Excel workbook or a table; name it .xlsx, or one of {known}"
        )


def write_table(path: Path, comparison: Comparison) -> int:
    """Write the table.

    Args:
        path: Where to; see ``check_format``.
        comparison: What is written.

    Returns:
        How many rows it has.

    Raises:
        DataError: A column holds a value that the format cannot.
        MissingPackageError: Pyarrow is not installed, and it is Parquet.
    """
    names = [column.name for column in comparison.columns]
    rows = [
        dict(zip(names, map(_plain, cells), strict=True)) for cells in map(comparison.cells, comparison.cases)
    ]
    match path.suffix.lower():
        case ".jsonl":
            with write_jsonl(path) as write:
                for row in rows:
                    write(row)
        case ".parquet":
            types = {
                column.name: _KINDS.get(column.kind)
                or type_of({type(row[column.name]) for row in rows} - {type(None)})
                for column in comparison.columns
            }
            chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
            with atomic_write(path) as draft:
                write_parquet(draft, chunks, types)
        case ending:
            is_csv = ending == ".csv"
            encoding = "utf-8-sig" if is_csv else "utf-8"  # Excel needs the mark
            with (
                atomic_write(path) as draft,
                draft.open("w", encoding=encoding, errors="backslashreplace", newline="") as stream,
            ):
                write_delimited_rows(stream, rows, names, "," if is_csv else "\t")
    return len(rows)


def _plain(cell: Cell) -> object:
    return cell.text if isinstance(cell, Marked) else cell

"""Tables as the libraries of their formats write them: what the tests of every reader and verb begin with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq


def write_rows(
    path: Path,
    rows: Sequence[Mapping[str, object]],
    header: Sequence[str] | None = None,
    encoding: str = "utf-8",
) -> Path:
    """Write rows as the ending says; in a format with a header ``header`` names the columns otherwise."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in names] for row in rows]
    match path.suffix:
        case ".jsonl":
            lines = [json.dumps(row, ensure_ascii=encoding == "utf-8", default=str) for row in rows]
            path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
        case ".json":
            path.write_bytes(
                json.dumps(list(rows), ensure_ascii=False, default=str, indent=1).encode(encoding)
            )
        case ".csv" | ".tsv" as ending:
            stream = io.StringIO(newline="")
            table = csv.writer(stream, delimiter="," if ending == ".csv" else "\t")
            table.writerows([header or names, *cells])
            path.write_bytes(stream.getvalue().encode(encoding))
        case ".xlsx":
            write_sheets(path, {"Sheet": [list(header or names), *cells]})
        case ".parquet":
            columns = {name: [row[place] for row in cells] for place, name in enumerate(names)}
            # Arrow takes every whole number for a signed one.
            types = {name: pa.uint64() for name, values in columns.items() if 2**64 - 1 in values}
            pq.write_table(pa.table({n: pa.array(v, types.get(n)) for n, v in columns.items()}), path)
    return path


def write_sheets(
    path: Path, sheets: Mapping[str, Sequence[Sequence[object]]], hidden: Collection[str] = ()
) -> Path:
    """Write a workbook: title to rows. A text that begins with ``=`` stays one."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        page = book.create_sheet(title)
        page.sheet_state = "hidden" if title in hidden else "visible"
        for cells in rows:
            page.append(list(cells))
        for cell in (cell for row in page.iter_rows() for cell in row if cell.data_type == "f"):
            cell.data_type = "s"
    book.save(path)
    return path


def read_rows(path: Path, sheet: str = "result") -> list[dict[str, Any]]:
    """The rows that a verb wrote, by their columns, as the library of the format reads them."""
    match path.suffix:
        case ".xlsx":
            head, *rows = openpyxl.load_workbook(path)[sheet].iter_rows(values_only=True)
            return [dict(zip(head, row, strict=True)) for row in rows]
        case ".jsonl":
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        case ".parquet":
            return pq.read_table(path).to_pylist()
        case ending:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                return list(csv.DictReader(stream, delimiter="," if ending == ".csv" else "\t"))

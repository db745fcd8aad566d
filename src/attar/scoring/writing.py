"""Scored rows, streamed to JSONL, CSV, TSV, Parquet or Label Studio tasks.

Last step of ``attar score``, pulled through by whoever writes. A table needs its columns, and
Parquet their types, before its first row: they are those of the source, which for rows with
columns of their own means reading it once beforehand.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.io.files import arrow, atomic_write
from attar.scoring.reading import RowSource, detect_format
from attar.scoring.scored import Scored, added_columns, kept_columns, table_row
from attar.scoring.spans import ColumnNames

__all__ = ["table_types", "write_label_studio", "write_table"]

Values = Mapping[str, Any]


def table_types(source: RowSource, labels: Sequence[str]) -> dict[str, Any]:
    """Arrow type, or its name, of every column of a scored table, in order.

    A column of several kinds of values is written as text.
    """
    added = added_columns(labels)
    places = {"start": "int64", "end": "int64"}
    ours = {name: "string" if name == "label" else "double" for name in added}
    return kept_columns(_column_types(source), added) | places | ours


def write_table(path: Path, chunks: Iterable[Sequence[Scored]], types: Mapping[str, Any]) -> None:
    """Write JSONL, CSV, TSV or Parquet, as the extension says, whole or not at all.

    Args:
        path: Where to write.
        chunks: The rows.
        types: Columns in order, with their types. JSONL needs none.
    """
    form = detect_format(path)
    tables = ([table_row(scored) for scored in chunk] for chunk in chunks)
    with atomic_write(path) as draft:
        if form == "parquet":
            _write_parquet(draft, tables, types)
            return
        with draft.open("w", encoding="utf-8", newline="") as stream:
            if form == "jsonl":
                stream.writelines(_json(row) + "\n" for rows in tables for row in rows)
                return
            table = csv.writer(stream, delimiter="," if form == "csv" else "\t", lineterminator="\n")
            table.writerow(types)
            table.writerows([_cell(row.get(name)) for name in types] for rows in tables for row in rows)


def write_label_studio(
    path: Path,
    chunks: Iterable[Sequence[Scored]],
    places: ColumnNames,
    *,
    labels: Sequence[str],
    model_version: str,
) -> Path:
    """Write Label Studio tasks with pre-annotations, and beside them the labelling config as .xml.

    Args:
        path: Where to write the tasks.
        chunks: The rows.
        places: Which columns hold the text and the term.
        labels: Of the task.
        model_version: Names the model in Label Studio.

    Returns:
        Path of the labelling config.
    """
    from attar.scoring.label_studio import labelling_config, write_tasks

    rows = (_task_row(scored, places) for chunk in chunks for scored in chunk)
    write_tasks(path, rows, labels=labels, model_version=model_version)
    config = path.with_suffix(".xml")
    with atomic_write(config) as draft:
        draft.write_text(labelling_config(labels), "utf-8")
    return config


def _task_row(scored: Scored, places: ColumnNames) -> dict[str, Any]:
    theirs = {
        name: value for name, value in scored.row.values.items() if name not in (places.text, places.term)
    }
    example = scored.example
    ours = {"label": scored.label, "prob": scored.prob, "start": example.start, "end": example.end}
    kept = kept_columns(theirs, ["text", "term", *added_columns(list(scored.probs))])
    plain: dict[str, Any] = _strict(kept)
    return plain | {"text": example.text, "term": example.term} | ours


def _write_parquet(path: Path, tables: Iterator[list[dict[str, Any]]], types: Mapping[str, Any]) -> None:
    pa = arrow()
    named = {name: pa.type_for_alias(t) if isinstance(t, str) else t for name, t in types.items()}
    schema = pa.schema(list(named.items()))
    with pa.parquet.ParquetWriter(path, schema) as writer:
        for rows in tables:
            writer.write_table(_table(rows, schema))


def _table(rows: Sequence[Values], schema: Any) -> Any:  # noqa: ANN401 - Arrow's
    pa = arrow()
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if pa.types.is_string(field.type):
            values = [None if value is None else _cell(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _column_types(source: RowSource) -> dict[str, Any]:
    if source.schema is not None:
        return {field.name: field.type for field in source.schema}
    if source.form in ("csv", "tsv"):
        return dict.fromkeys(source.columns, "string")
    kinds: dict[str, set[type]] = {}
    for row in source.rows():
        for name, value in row.values.items():
            kinds.setdefault(name, set()).add(type(value))
    return {name: _type_of(found - {type(None)}) for name, found in kinds.items()}


def _type_of(kinds: set[type]) -> str:
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int64"
    if kinds and kinds <= {int, float}:
        return "double"
    return "string"


def _cell(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _json(value) if isinstance(value, dict | list) else str(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _strict(value: Any) -> Any:  # noqa: ANN401 - any column's
    """A value as strict JSON has it: no NaN, nothing but its own types."""
    if isinstance(value, Mapping):
        return {str(name): _strict(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)

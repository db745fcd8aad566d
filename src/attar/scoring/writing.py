"""Scored rows, streamed to JSONL, CSV, TSV, Parquet or Label Studio tasks.

Last step of ``attar score``, pulled through by whoever writes. A table needs its columns, and
Parquet their types, before its first row: they are those of the source, which for rows with
columns of their own means reading it once beforehand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.io.files import atomic_write
from attar.io.tables.jsonl import finite
from attar.io.tables.rows import Table
from attar.io.tables.writing import column_types, write_table
from attar.scoring.scored import Scored, added_columns, kept_columns, table_row

__all__ = ["scored_types", "write_label_studio", "write_scored"]


def scored_types(tables: Sequence[Table], labels: Sequence[str]) -> dict[str, Any]:
    """Arrow type, or its name, of every column of the scored rows of some tables, in order."""
    added = added_columns(labels)
    places = {"start": "int64", "end": "int64"}
    ours = {name: "string" if name == "label" else "double" for name in added}
    return kept_columns(column_types(tables), added) | places | ours


def write_scored(path: Path, chunks: Iterable[Sequence[Scored]], types: Mapping[str, Any]) -> None:
    """Write JSONL, CSV, TSV or Parquet, as the ending says, whole or not at all.

    Args:
        path: Where to write.
        chunks: The rows.
        types: Columns in order, with their types. JSONL needs none.
    """
    write_table(path, ([table_row(scored) for scored in chunk] for chunk in chunks), types)


def write_label_studio(
    path: Path,
    chunks: Iterable[Sequence[Scored]],
    taken: Collection[str],
    *,
    labels: Sequence[str],
    model_version: str,
) -> Path:
    """Write Label Studio tasks with pre-annotations, and beside them the labelling config as .xml.

    Args:
        path: Where to write the tasks.
        chunks: The rows.
        taken: Columns that hold the text and the term.
        labels: Of the task.
        model_version: Names the model in Label Studio.

    Returns:
        Path of the labelling config.
    """
    from attar.scoring.label_studio import labelling_config, write_tasks

    rows = (_task_row(scored, taken) for chunk in chunks for scored in chunk)
    write_tasks(path, rows, labels=labels, model_version=model_version)
    config = path.with_suffix(".xml")
    with atomic_write(config) as draft:
        draft.write_text(labelling_config(labels), "utf-8")
    return config


def _task_row(scored: Scored, taken: Collection[str]) -> dict[str, Any]:
    theirs = {name: value for name, value in scored.row.values.items() if name not in taken}
    example = scored.example
    ours = {"label": scored.label, "prob": scored.prob, "start": example.start, "end": example.end}
    kept = kept_columns(theirs, ["text", "term", *added_columns(list(scored.probs))])
    plain: dict[str, Any] = finite(kept)
    return plain | {"text": example.text, "term": example.term} | ours

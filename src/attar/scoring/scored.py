"""Scored: a prediction beside the row that it is about, whatever it is written to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from attar.io.tables.rows import Row, Table
from attar.io.tables.table_files import column_types
from attar.task import Example

__all__ = ["Scored", "added_columns", "chosen", "kept_columns", "scored_types", "table_row"]


class Scored(NamedTuple):
    """One prediction.

    Attributes:
        row: The row as it was read.
        example: What was asked of the model.
        label: The likeliest label.
        probs: Every label's prob, rounded to six digits.
    """

    row: Row
    example: Example
    label: str
    probs: Mapping[str, float]

    @property
    def prob(self) -> float:
        """The prob of the label."""
        return self.probs[self.label]


def added_columns(labels: Sequence[str]) -> list[str]:
    """Columns of a table that an input column may also be called."""
    return ["label", "prob", *(f"prob_{label}" for label in labels)]


def kept_columns(columns: Mapping[str, Any], added: Sequence[str]) -> dict[str, Any]:
    """The input's columns, those that we add moved to ``input_<name>``."""
    kept = {name: value for name, value in columns.items() if name not in added}
    for name in added:
        if name in columns:
            kept.setdefault(f"input_{name}", columns[name])
    return kept


def chosen(columns: Mapping[str, Any], keep: Collection[str] | None) -> Mapping[str, Any]:
    """The columns that are kept; None keeps all."""
    if keep is None:
        return columns
    return {name: value for name, value in columns.items() if name in keep}


def table_row(scored: Scored, keep: Collection[str] | None = None) -> dict[str, Any]:
    """A scored row as tables have it: the input's columns, start, end, label, prob, prob_<label>."""
    ours = {"label": scored.label, "prob": scored.prob}
    ours |= {f"prob_{label}": prob for label, prob in scored.probs.items()}
    place = {"start": scored.example.start, "end": scored.example.end}
    return kept_columns(chosen(scored.row.values, keep), list(ours)) | place | ours


def scored_types(
    tables: Sequence[Table], labels: Sequence[str], keep: Collection[str] | None = None
) -> dict[str, Any]:
    """Arrow type, or its name, of every column of the scored rows of some tables, in order."""
    added = added_columns(labels)
    places = {"start": "int64", "end": "int64"}
    ours = {name: "string" if name == "label" else "double" for name in added}
    return kept_columns(chosen(column_types(tables), keep), added) | places | ours

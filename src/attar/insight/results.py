"""What an insight found, and its files for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attar import __version__
from attar.insight.contrasts import LEVEL, Finding
from attar.insight.estimates import SMALL, View
from attar.insight.examples import Shown
from attar.insight.messages import message
from attar.insight.scored_rows import ScoredColumns, ScoredRows
from attar.insight.shares import Floats
from attar.insight.sources import Source
from attar.io.files import atomic_write
from attar.io.tables.parquet import write_parquet_columns

__all__ = ["Insight", "outcome_names", "summary", "view_name", "write_cells", "write_comparisons"]

_OURS = ("view", "mentions", "reviews", "small")
_MOST_IN_JSON = 1_000  # cells of a single dimension


@dataclass(frozen=True, slots=True)
class Insight:
    """All that the pages show.

    Attributes:
        rows: The scored rows.
        views: Every view, all mentions first.
        findings: Comparisons, the surest first.
        examples: Of each view the examples, by cell and label.
        source: What corrected the shares; None for nothing.
        scores: [L] of the labels; None where they have no scale.
        columns: What the columns are called.
        title: Of the page; "" for the language's own.
    """

    rows: ScoredRows
    views: Sequence[View]
    findings: Sequence[Finding]
    examples: Sequence[Mapping[tuple[int, int], Sequence[Shown]]]
    source: Source | None
    scores: Floats | None
    columns: ScoredColumns
    title: str

    @property
    def num_undated(self) -> int:
        """Mentions whose date is not known."""
        for place, each in enumerate(self.rows.dimensions):
            if each.period and "" in self.rows.values[place]:
                return int((self.rows.codes[place] == self.rows.values[place].index("")).sum())
        return 0


def outcome_names(made: Insight, net: str = "net_sentiment") -> list[str]:
    """Of the M outcomes: the labels, and where they have scores, the net sentiment."""
    return [*made.rows.labels, *([net] if made.scores is not None else [])]


def view_name(made: Insight, view: View) -> str:
    """Such as ``brand+term``; "" of all mentions."""
    return "+".join(made.rows.dimensions[place].name for place in view.dimensions)


def summary(made: Insight) -> dict[str, Any]:
    """``insight.json``: the totals, the cells of single columns, and all comparisons."""
    rows, source = made.rows, made.source
    total = made.views[0]
    warnings = [
        {"code": each.msgid, "text": message("en", each.msgid, **each.values)}
        for each in (source.warnings if source else ())
    ]
    return {
        "made_by": f"attar {__version__}",
        "by": [each.name for each in rows.dimensions],
        "labels": list(rows.labels),
        "scores": None if made.scores is None else [float(each) for each in made.scores],
        "correction": None
        if source is None
        else {
            "kind": source.kind,
            "num": source.num,
            "accuracy": source.accuracy,
            "unmatched": source.unmatched,
        },
        "warnings": warnings,
        "left_out": dict(rows.left_out),
        "num_undated": made.num_undated,
        "small": SMALL,
        "false_discovery_rate": LEVEL,
        "total": _cell(made, total, 0),
        "cells": {
            view_name(made, view): [
                _cell(made, view, cell) for cell in range(min(len(view.codes), _MOST_IN_JSON))
            ]
            for view in made.views
            if len(view.dimensions) == 1
        },
        "num_cells": {view_name(made, view): len(view.codes) for view in made.views},
        "comparisons": [_comparison(made, each) for each in made.findings],
    }


def _cell(made: Insight, view: View, cell: int) -> dict[str, Any]:
    rows = made.rows
    of = {
        rows.dimensions[place].name: rows.values[place][view.codes[cell, column]]
        for column, place in enumerate(view.dimensions)
    }
    estimates = {"model": view.said} | ({"corrected": view.corrected} if view.corrected else {})
    return {
        **({"of": of} if of else {}),
        "mentions": int(view.mentions[cell]),
        "reviews": int(view.reviews[cell]),
        "small": bool(view.is_small[cell]),
        "counts": dict(zip(rows.labels, view.counts[cell].tolist(), strict=True)),
        **{
            kind: {
                name: {"value": round(v, 6), "low": round(low, 6), "high": round(high, 6)}
                for name, v, low, high in zip(
                    outcome_names(made), *(part[cell].tolist() for part in estimate), strict=True
                )
            }
            for kind, estimate in estimates.items()
        },
        "pooled": {
            name: round(value, 6)
            for name, value in zip(outcome_names(made), view.pooled[cell].tolist(), strict=True)
        },
    }


def _comparison(made: Insight, each: Finding) -> dict[str, Any]:
    within = {made.rows.dimensions[place].name: name for place, name in each.within}
    return {
        "kind": each.kind,
        "by": made.rows.dimensions[each.dimension].name,
        "first": each.first,
        "second": each.second,
        "within": within,
        "outcome": outcome_names(made)[each.outcome],
        "value": round(each.value, 6),
        "low": round(each.low, 6),
        "high": round(each.high, 6),
        "p": each.p,
        "p_adjusted": each.adjusted,
        "marked": each.is_marked,
    }


def write_cells(path: Path, made: Insight) -> None:
    """Every cell of every view: ``model_*`` as the model says, ``corrected_*`` where known, ``pooled_*``."""
    names = np.array([view_name(made, view) for view in made.views], object)
    columns: dict[str, Any] = {"view": np.repeat(names, [len(view.codes) for view in made.views])}
    rows = made.rows
    for place, dimension in enumerate(rows.dimensions):
        values = np.array([*map(_storable, rows.values[place]), None], object)  # the last for none
        codes = [
            view.codes[:, view.dimensions.index(place)]
            if place in view.dimensions
            else np.full(len(view.codes), -1)
            for view in made.views
        ]
        name = f"by_{dimension.name}" if dimension.name in _OURS else dimension.name
        columns[name] = values[np.concatenate(codes)]
    columns["mentions"] = np.concatenate([view.mentions for view in made.views])
    columns["reviews"] = np.concatenate([view.reviews for view in made.views])
    columns["small"] = np.concatenate([view.is_small for view in made.views])
    for place, label in enumerate(rows.labels):
        columns[f"count_{label}"] = np.concatenate([view.counts[:, place] for view in made.views])
    kinds = {"model": [view.said for view in made.views]}
    if made.source is not None:
        kinds["corrected"] = [view.best for view in made.views]
    for kind, estimates in kinds.items():
        for place, name in enumerate(outcome_names(made)):
            for part, ending in enumerate(("", "_low", "_high")):
                whole = np.concatenate([estimate[part][:, place] for estimate in estimates])
                columns[f"{kind}_{name}{ending}"] = whole
    for place, name in enumerate(outcome_names(made)):
        columns[f"pooled_{name}"] = np.concatenate([view.pooled[:, place] for view in made.views])
    with atomic_write(path) as draft:
        write_parquet_columns(draft, columns)


def write_comparisons(path: Path, made: Insight) -> None:
    """Every comparison, the surest first."""
    found = [_comparison(made, each) for each in made.findings]
    for each in found:
        each["within"] = "; ".join(f"{name}={value}" for name, value in each["within"].items())
    names = list(found[0]) if found else ["kind", "by", "first", "second", "outcome"]
    columns = {name: [_storable(each[name]) for each in found] for name in names}
    with atomic_write(path) as draft:
        write_parquet_columns(draft, columns)


def _storable(value: Any) -> Any:  # noqa: ANN401 - a cell
    """Halves of surrogate pairs, which Parquet cannot hold, as their escapes."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value

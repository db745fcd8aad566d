"""``attar insight``: scored rows in, what they say of each brand, term or month out, and how sure that is.

A stage folder: ``insight.html`` and ``insight.xlsx`` for people, ``cells.parquet``, ``comparisons.parquet``
and ``insight.json`` for programs, and pictures as SVG for slides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from attar.errors import RecipeError, require
from attar.insight.contrasts import find_contrasts
from attar.insight.dimensions import parse_by
from attar.insight.estimates import (
    Grouping,
    cells_of,
    label_scores,
    outcome_matrix,
    sets_of_dimensions,
    views_of,
)
from attar.insight.examples import choose, draw_candidates, order_by_prob
from attar.insight.page import render_page
from attar.insight.pictures import write_pictures
from attar.insight.results import Insight, summary, write_cells, write_comparisons
from attar.insight.scored_rows import ScoredColumns, ScoredRows, mentions_at, read_scored
from attar.insight.shares import Ints
from attar.insight.sources import LabelFile, Source, checked_rows, read_labels, report_source
from attar.insight.workbook import write_workbook
from attar.io.files import atomic_write, write_json
from attar.io.tables.excel import workbook_path
from attar.io.tables.table_files import open_tables
from attar.language.translator import Language
from attar.progress import progress_bar
from attar.stage_cache import fingerprint, run_stage

__all__ = ["InsightOptions", "make_insight"]

_MOST_EXAMPLE_CELLS = 1_200


@dataclass(frozen=True, slots=True)
class InsightOptions:
    """How an insight is made.

    Attributes:
        columns: What the columns are called.
        labels: A file of checked mentions.
        gold_column: Its column of labels.
        report: A report.json, or its folder.
        report_model: The model there.
        scores: Of labels that are no sentiment, from -1 to 1.
        language: Of page and workbook.
        title: Of page and workbook; "" for the language's own.
    """

    columns: ScoredColumns = field(default_factory=ScoredColumns)
    labels: Path | None = None
    gold_column: str | None = None
    report: Path | None = None
    report_model: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    language: Language = "en"
    title: str = ""


_PLAIN = InsightOptions()


def make_insight(source: Path, by: Sequence[str], out: Path, options: InsightOptions = _PLAIN) -> bool:
    """Make the folder of an insight, unless it is up to date.

    Args:
        source: Scored rows: a table, a sheet, or a folder of tables.
        by: Columns that shares are asked by; ``date:month`` cuts a date.
        out: The folder.
        options: See there.

    Returns:
        Whether it was made (False: it was up to date).

    Raises:
        DataError: A file cannot be read, or a column is missing.
        RecipeError: A setting is not valid.
        MissingPackageError: Pyarrow or openpyxl is not installed.
    """
    require("pyarrow", "parquet")
    require("openpyxl", "excel")
    _check(options)
    parse_by(by, open_tables(source, needed=[{options.columns.label}]))
    file = workbook_path(source)[0]
    read = [path for path in (file, options.labels, options.report) if path is not None]
    inputs = {
        "source": fingerprint(file),
        "sheet": workbook_path(source)[1],
        "by": list(by),
        "labels": fingerprint(options.labels) if options.labels else None,
        "report": fingerprint(options.report) if options.report else None,
        **{name: value for name, value in asdict(options).items() if name not in ("labels", "report")},
    }
    return run_stage(out, "insight", inputs, lambda draft: _work(source, by, draft, options), paths_read=read)


def _check(options: InsightOptions) -> None:
    if options.labels is not None and options.report is not None:
        raise RecipeError(
            "--labels and --report both say how to correct; give the labels alone, they are surer"
        )
    for label, score in options.scores.items():
        if not -1 <= score <= 1:
            raise RecipeError(f"--score {label}={score:g}: a score is from -1, the worst, to 1, the best")


def _work(source: Path, by: Sequence[str], draft: Path, options: InsightOptions) -> None:
    rows = read_scored(source, by, options.columns)
    scores = label_scores(rows.labels, options.scores)
    if unknown := sorted(set(options.scores) - set(rows.labels)):
        raise RecipeError(f"--score {unknown[0]}: no such label; there are {', '.join(rows.labels)}")
    file = read_labels(options.labels, options.gold_column, rows) if options.labels else None
    with progress_bar("insight", 2 ** len(by) + 4, unit="steps") as advance:
        candidates = _candidates(rows)
        mentions = mentions_at(source, _rows_to_read(rows, candidates, file), options.columns)
        advance()
        correction: Source | None = None
        if file is not None:
            correction = checked_rows(file, rows, mentions)
        elif options.report is not None:
            correction = report_source(options.report, options.report_model, rows)
        outcome = outcome_matrix(len(rows.labels), scores)
        views = views_of(
            rows, Grouping.of(rows, outcome, correction.checked if correction else None), advance
        )
        findings = find_contrasts(rows, views, scores is not None)
        advance()
        examples = [
            {key: choose(found, rows, mentions) for key, found in of_view.items()} for of_view in candidates
        ]
        made = Insight(rows, views, findings, examples, correction, scores, options.columns, options.title)
        _write(draft, made, options.language)
        advance()


def _write(draft: Path, made: Insight, language: Language) -> None:
    write_json(draft / "insight.json", summary(made))
    write_cells(draft / "cells.parquet", made)
    write_comparisons(draft / "comparisons.parquet", made)
    with atomic_write(draft / "insight.html") as page:
        page.write_text(render_page(made, language), "utf-8")
    write_workbook(draft / "insight.xlsx", made, language)
    write_pictures(draft, made, language)


def _candidates(rows: ScoredRows) -> list[dict[tuple[int, int], Ints]]:
    """Of each view the rows that may be shown as examples, by cell and label."""
    wanted = sets_of_dimensions(rows)
    made, left = [], _MOST_EXAMPLE_CELLS
    by_prob = order_by_prob(rows) if rows.has_text else None
    for number, dimensions in enumerate(wanted):
        cell, codes = cells_of(rows, dimensions)
        limit = min(len(codes), left // (len(wanted) - number))
        left -= limit
        made.append({} if by_prob is None else draw_candidates(rows, cell, limit, by_prob))
    return made


def _rows_to_read(
    rows: ScoredRows, candidates: Sequence[Mapping[tuple[int, int], Ints]], file: LabelFile | None
) -> Ints:
    parts = [found for of_view in candidates for found in of_view.values()]
    if file is not None:
        parts.append(file.rows)
    index = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return rows.row[np.unique(index)]

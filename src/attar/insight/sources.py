"""Where a correction comes from: mentions that people checked, or the confusion counts of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attar.compare.annotations import AnnotationOptions, read_annotations
from attar.compare.join import Annotation
from attar.errors import DataError, RecipeError
from attar.insight.cells import text_hash
from attar.insight.estimates import Checked
from attar.insight.messages import Warned
from attar.insight.scored_rows import Mention, ScoredRows
from attar.io.files import read_json
from attar.suggest import did_you_mean
from attar.task import BUILT_IN_TASKS
from attar.workbook.sheets import cell_text

__all__ = ["LabelFile", "Source", "checked_rows", "read_labels", "report_source"]

_FEW_LABELS = 100  # checked mentions below which the page warns
_FEWEST = 20  # and below which nothing is corrected
_OTHER_MIX = 0.10  # half the sum of absolute differences of two mixes


class LabelFile(NamedTuple):
    """Annotations of people, and the scored rows that have the texts of these."""

    path: Path
    annotations: Sequence[Annotation]
    rows: np.ndarray[tuple[int], np.dtype[np.int64]]


class Source(NamedTuple):
    """A correction's source, and what the page says of it.

    Attributes:
        checked: The source.
        kind: ``labels`` or ``report``.
        num: Checked mentions, or test examples of the report.
        accuracy: Of the model on these.
        warnings: What a reader must know.
        unmatched: Checked mentions that are among no scored rows.
    """

    checked: Checked
    kind: str
    num: int
    accuracy: float
    warnings: tuple[Warned, ...]
    unmatched: int = 0


def read_labels(path: Path, gold_column: str | None, rows: ScoredRows) -> LabelFile:
    """Read checked mentions: a table with text, term and gold (else label), or Label Studio's JSON.

    Raises:
        DataError: It cannot be read, or no scored row has one of its texts.
    """
    if not rows.has_text:
        raise DataError(f"{path}: the scored rows have no text, by which checked mentions are found")
    found = read_annotations(path, options=AnnotationOptions(gold=gold_column), is_gold=True)
    labelled = [each for each in found.annotations if each.label]
    hashes = np.array([text_hash(each.text) for each in labelled], np.uint64)
    here = np.flatnonzero(np.isin(rows.text, hashes))
    if not len(here):
        raise DataError(
            f"{path}: none of its {len(labelled):,} texts is among the scored rows; check a sample of these"
        )
    return LabelFile(path, labelled, here)


def checked_rows(file: LabelFile, rows: ScoredRows, mentions: Mapping[int, Mention]) -> Source:
    """Find the scored row of each checked mention, by its offsets, else by its term.

    Raises:
        DataError: A label is none of the model's, or too few are found.
    """
    gold, unmatched = _matched(file, rows, mentions)
    if len(gold) < _FEWEST:
        raise DataError(
            f"{file.path}: {len(gold)} of its {len(file.annotations)} mentions are among the scored rows; at "
            f"least {_FEWEST} are needed, {_FEW_LABELS} are better: check a random sample of these rows"
        )
    index = np.array(sorted(gold))
    truth = np.array([gold[one] for one in index.tolist()])
    said = rows.label[index]
    warnings = []
    if len(index) < _FEW_LABELS:
        warnings.append(Warned("warn_few_labels", {"num": len(index), "wanted": _FEW_LABELS}))
    distance = _distance(said, rows.label, len(rows.labels))
    if distance > _OTHER_MIX + 1 / np.sqrt(len(index)):
        warnings.append(Warned("warn_labels_mix", {"points": round(100 * distance)}))
    if unmatched:
        warnings.append(Warned("warn_unmatched", {"num": unmatched}))
    checked = Checked(index, truth)
    return Source(checked, "labels", len(index), float((said == truth).mean()), tuple(warnings), unmatched)


def _matched(
    file: LabelFile, rows: ScoredRows, mentions: Mapping[int, Mention]
) -> tuple[dict[int, int], int]:
    """The true label of each scored row that was checked, and how many checked mentions have no row."""
    spelled = _spellings(rows.labels)
    by_offsets: dict[tuple[str, int, int], int] = {}
    by_term: dict[tuple[str, str], list[int]] = {}
    for index in file.rows.tolist():
        mention = mentions[int(rows.row[index])]
        text = cell_text(mention.text)
        if mention.start is not None and mention.end is not None:
            by_offsets.setdefault((text, mention.start, mention.end), index)
        for term in dict.fromkeys((mention.term, mention.found)):
            by_term.setdefault((text, cell_text(term)), []).append(index)
    gold: dict[int, int] = {}
    unmatched = 0
    for each in file.annotations:
        label = spelled(each.label or "")
        if label is None:
            known = ", ".join(rows.labels)
            raise DataError(
                f"{each.where}: its label is none of the model's ({known}); name the column of the labels "
                "with --gold-column"
            )
        place = by_offsets.get((each.text, each.start, each.end)) if each.end else None  # type: ignore[arg-type]
        if place is None:
            places = by_term.get((each.text, each.term), [])
            place = next((one for one in places if one not in gold), None)
        if place is None:
            unmatched += 1
        else:
            gold[place] = label
    return gold, unmatched


def report_source(path: Path, model: str | None, rows: ScoredRows) -> Source:
    """Take the confusion counts of a model of ``attar evaluate``'s report.json.

    Args:
        path: The report, or its folder.
        model: Its name there; None takes the one that the report chose.
        rows: What is corrected.

    Raises:
        DataError: It is no report, or has other labels.
        RecipeError: It has no such model.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report: Any = read_json(file)
        models, labels = report["models"], list(report["labels"])
        name = model or report["chosen"] or next(iter(models))
        if name not in models:
            known = ", ".join(models)
            raise RecipeError(f"{file}: has no model {name!r}; it has {known}{did_you_mean(name, models)}")
        counts = np.array(models[name]["confusion"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: cannot be read as a report.json of attar evaluate") from error
    spelled = _spellings(tuple(labels))
    places = [spelled(label) for label in rows.labels]
    if None in places or len(labels) != len(rows.labels) or counts.shape != (len(labels),) * 2:
        raise DataError(
            f"{file}: its labels are {', '.join(labels)}, those of the scored rows {', '.join(rows.labels)}; "
            "give the report of the model that scored them"
        )
    order = [place for place in places if place is not None]
    counts = counts[np.ix_(order, order)]
    warnings = [Warned("warn_report", {})]
    said = counts.sum(0) / max(1.0, counts.sum())
    distance = 0.5 * np.abs(said - np.bincount(rows.label, minlength=len(said)) / len(rows.label)).sum()
    if distance > _OTHER_MIX:
        warnings.append(Warned("warn_report_mix", {"points": round(100 * float(distance))}))
    none = np.zeros(0, np.int64)
    total = int(counts.sum())
    accuracy = float(np.trace(counts) / max(1, total))
    return Source(Checked(none, none, counts), "report", total, accuracy, tuple(warnings))


def _distance(sample: Any, whole: Any, num_labels: int) -> float:  # noqa: ANN401 - arrays of indices
    shares = [np.bincount(each, minlength=num_labels) / max(1, len(each)) for each in (sample, whole)]
    return float(0.5 * np.abs(shares[0] - shares[1]).sum())


def _spellings(labels: tuple[str, ...]) -> Any:  # noqa: ANN401 - a function
    """Finds the place of a label in any spelling: as it is, or as the sentiment task knows it."""
    task = BUILT_IN_TASKS["cosmetics"]
    places: dict[str, int] = {}
    for place, label in enumerate(labels):
        places[label] = place
        if known := task.label_of(label):
            places.setdefault(f"={known}", place)

    def spelled(label: str) -> int | None:
        label = label.strip()
        return places.get(label, places.get(f"={task.label_of(label)}"))

    return spelled

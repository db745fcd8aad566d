"""Where one side is better than another: accuracy by label, channel, kind of term, length, and more.

Each slice has its number of questions and intervals from the same draws of whole reviews as the overall
figures. So many slices are looked at that some will stand out by chance: they are where to look, no proof.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.compare.differences import Judged
from attar.compare.join import Case
from attar.errors import DataError
from attar.intervals import percentile_interval, resampled_sums
from attar.io.tables.rows import as_text
from attar.language.translator import N_
from attar.metrics import confusion_counts, f1_of
from attar.suggest import did_you_mean
from attar.workbook.tally import GROUPS

__all__ = ["check_columns", "slices"]

# The last number of each range, and its name.
_LENGTHS = {20: "up to 20", 50: "21 to 50", 100: "51 to 100", 200: "101 to 200", math.inf: "over 200"}
_TIMES = {0: "0 times", 4: "1 to 4 times", 19: "5 to 19 times", math.inf: "20 times or more"}
_MOST_VALUES = 20  # of a column
_NONE = "(none)"

Key = Callable[[Case], str]


def check_columns(by: Sequence[str], cases: Sequence[Case]) -> None:
    """Check that the columns by which slices are asked for are there.

    Raises:
        DataError: A row has no such column.
    """
    there = {name for case in cases for side in case.sides if side is not None for name in side.own}
    for name in by:
        if name not in there and name not in GROUPS:
            known = ", ".join(map(repr, sorted(there))) or "none"
            raise DataError(
                f"--by {name}: no file has such a column; there are {known}{did_you_mean(name, there)}"
            )


def slices(
    judged: Judged,
    names: Sequence[str],
    *,
    by: Sequence[str] = (),
    train_terms: Mapping[str, int] | None = None,
    repeats: int = 1000,
    seed: int = 20,
) -> list[dict[str, Any]]:
    """Accuracy of every side in every slice, and how it differs from the first side's.

    Args:
        judged: The questions.
        names: Of the S sides.
        by: Columns of the user's own.
        train_terms: How often each term stands in the training examples; None where that is not known:
            the frequency is that among the questions then, and no term is seen or unseen.
        repeats: Bootstrap draws.
        seed: Of the draws.

    Returns:
        For each slice ``by``, ``value``, ``num``, ``num_reviews`` and ``sides``, by name: ``accuracy`` with
        its 95 % interval, ``macro_f1`` over the labels that are gold there, and, of all but the first side,
        ``difference``, its accuracy minus the first's with the interval.
    """
    if not len(judged.gold):
        return []
    groups = [
        (title, value, inside)
        for title, key in _keys(judged, by, train_terms)
        for value, inside in _grouped([key(case) for case in judged.cases])
    ]
    if not groups:
        return []
    masks = np.array([inside for _, _, inside in groups])  # [K, N]
    num_sides = len(names)
    hits = (masks[:, None] & judged.right[None]).reshape(-1, len(judged.gold))  # [K * S, N]
    columns = np.concatenate([masks, hits]).T.astype(np.float64)
    draws = resampled_sums(columns, judged.reviews, repeats=repeats, seed=seed)
    counts, drawn = draws[:, : len(groups)], draws[:, len(groups) :].reshape(len(draws), -1, num_sides)
    with np.errstate(invalid="ignore"):
        shares = drawn / counts[:, :, None]  # nan where no review of a slice is drawn
    return [_slice(judged, names, group, shares[:, place]) for place, group in enumerate(groups)]


def _slice(
    judged: Judged,
    names: Sequence[str],
    group: tuple[str, str, NDArray[np.bool_]],
    drawn: NDArray[np.float64],
) -> dict[str, Any]:
    title, value, inside = group
    right = judged.right[:, inside].mean(1)
    num_reviews = len({judged.reviews[i] for i in np.flatnonzero(inside).tolist()})
    sides = dict[str, Any]()
    for place, name in enumerate(names):
        figures: dict[str, Any] = {
            "accuracy": asdict(percentile_interval(float(right[place]), drawn[:, place])),
            "macro_f1": _macro_f1(judged, place, inside),
        }
        if place:
            gap = percentile_interval(float(right[place] - right[0]), drawn[:, place] - drawn[:, 0])
            figures["difference"] = asdict(gap)
        sides[name] = figures
    return {
        "by": title, "value": value, "num": int(inside.sum()), "num_reviews": num_reviews, "sides": sides,
    }  # fmt: skip


def _macro_f1(judged: Judged, side: int, inside: NDArray[np.bool_]) -> float:
    counts = confusion_counts(judged.gold[inside], judged.said[side][inside], len(judged.labels))
    return float(f1_of(counts)[counts.sum(1) > 0].mean())


def _keys(judged: Judged, by: Sequence[str], train_terms: Mapping[str, int] | None) -> list[tuple[str, Key]]:
    """What there are slices by, and the value of a case."""
    keys: list[tuple[str, Key]] = [(N_("label"), lambda case: case.gold or "")]
    keys += [(name, _of_group(name)) for name in GROUPS]
    keys += [(name, _of_own(name)) for name in by if name not in GROUPS]
    keys.append((N_("characters of the text"), lambda case: _range(len(case.asked.text), _LENGTHS)))
    if train_terms is not None:
        seen = train_terms
        keys.append(
            (N_("term"), lambda case: N_("seen in training") if seen.get(case.asked.term) else N_("unseen"))
        )
        title = N_("times of the term in training")
    else:
        seen, title = Counter(case.asked.term for case in judged.cases), N_("times of the term here")
    if any(case.asked.term for case in judged.cases):
        keys.append((title, lambda case: _range(seen.get(case.asked.term, 0), _TIMES)))
    return keys


def _of_group(name: str) -> Key:
    def value(case: Case) -> str:
        return next((side.groups[name] for side in case.sides if side and name in side.groups), "")

    return value


def _of_own(name: str) -> Key:
    def value(case: Case) -> str:
        own = (side.own.get(name) for side in case.sides if side)
        return next((text for each in own if (text := as_text(each).strip())), _NONE)

    return value


def _range(number: int, ranges: Mapping[float, str]) -> str:
    """The range that a number is in."""
    return next(name for last, name in ranges.items() if number <= last)


def _grouped(values: Sequence[str]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The values with the questions that have them: ranges in their order, others by how many there are."""
    counts = Counter(value for value in values if value)
    order = [*_LENGTHS.values(), *_TIMES.values()]
    place = {value: i for i, value in enumerate(order)}
    common = [value for value, _ in counts.most_common(_MOST_VALUES)]
    each = np.array(values, object)
    return [(value, each == value) for value in sorted(common, key=lambda value: place.get(value, -1))]

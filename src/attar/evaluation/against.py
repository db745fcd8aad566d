"""The new model against the one in service: the same test examples, paired difference, and every flip.

``probs of both -> difference, McNemar's test, flips -> the against of report.json, flips.csv``. Pure but for
the file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.compare.differences import mcnemar
from attar.intervals import paired_difference, resample
from attar.io.tables.delimited import write_delimited_rows
from attar.metrics import confusion_counts, f1_of
from attar.task import Example, Task

__all__ = ["FLIPS", "Flip", "against_figures", "flips", "write_flips"]

FLIPS = "flips.csv"
"""Beside the report: every test example to which the two give different labels."""

Kind = Literal["broken", "fixed", "both_wrong"]
_ORDER: tuple[Kind, ...] = ("broken", "fixed", "both_wrong")


class Flip(NamedTuple):
    """A test example to which the two give different labels.

    Attributes:
        kind: broken (only the model in service is right), fixed (only the new one is) or both_wrong.
        example: The example.
        before: The label of the model in service.
        before_prob: Its prob.
        after: The new model's label.
        after_prob: Its prob.
    """

    kind: Kind
    example: Example
    before: str
    before_prob: float
    after: str
    after_prob: float


def against_figures(
    examples: Sequence[Example],
    task: Task,
    gold: NDArray[np.int64],
    probs: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    seen: Collection[str],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Compare two models on the examples whose reviews the one in service has not trained on.

    Args:
        examples: N test examples.
        task: Names the C labels.
        gold: [N] label indices.
        probs: [N, C] of the model in service, and of the new one.
        seen: Texts that the one in service has trained on.
        repeats: Bootstrap draws of reviews.
        seed: Of the draws.

    Returns:
        ``num`` examples compared, ``num_reviews``, ``num_seen`` left out; ``macro_f1``, the new one's minus
        the other's over all labels with its 95 % interval; ``mcnemar``; ``labels``: by label n and the F1
        ``before`` and ``after``; ``flips``: how many of each kind. None for figures without any examples.
    """
    kept = np.array([example.text not in seen for example in examples], bool)
    reviews = [example.text for example, is_kept in zip(examples, kept, strict=True) if is_kept]
    num_seen = int((~kept).sum())
    found = {"num": len(reviews), "num_reviews": len(set(reviews)), "num_seen": num_seen}
    if not reviews:
        return found | {"macro_f1": None, "mcnemar": None, "labels": {}, "flips": dict.fromkeys(_ORDER, 0)}
    before, after = (each.argmax(1)[kept] for each in probs)
    truth, num_labels = gold[kept], len(task.labels)
    draws = resample(
        truth, {"before": before, "after": after}, reviews, num_labels=num_labels, repeats=repeats, seed=seed
    )
    right = before == truth, after == truth
    test = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    f1 = [f1_of(confusion_counts(truth, each, num_labels)) for each in (before, after)]
    counts = np.bincount(truth, minlength=num_labels)
    return found | {
        "macro_f1": asdict(paired_difference(draws["after"], draws["before"])),
        "mcnemar": test._asdict(),
        "labels": {
            label: {"n": int(counts[i]), "before": float(f1[0][i]), "after": float(f1[1][i])}
            for i, label in enumerate(task.labels)
        },
        "flips": {
            "broken": test.only_first,
            "fixed": test.only_second,
            "both_wrong": int((~right[0] & ~right[1] & (before != after)).sum()),
        },
    }


def flips(
    examples: Sequence[Example],
    task: Task,
    probs: tuple[NDArray[np.float32], NDArray[np.float32]],
    seen: Collection[str],
) -> list[Flip]:
    """Every example that is compared and changes its label: the broken ones first, the surest first."""
    found = []
    for i, example in enumerate(examples):
        before, after = (int(each[i].argmax()) for each in probs)
        if before == after or example.text in seen:
            continue
        names = task.labels[before], task.labels[after]
        kind: Kind = (
            "broken" if names[0] == example.label else "fixed" if names[1] == example.label else "both_wrong"
        )
        sure = float(probs[0][i, before]), float(probs[1][i, after])
        found.append(Flip(kind, example, names[0], sure[0], names[1], sure[1]))
    return sorted(found, key=lambda flip: (_ORDER.index(flip.kind), -flip.after_prob))


def write_flips(path: Path, found: Sequence[Flip], task: Task) -> None:
    """Write flips as CSV that Excel opens."""
    columns = (
        "kind", "text", "term", "start", "end", "channel", "wordtype", "gold",
        "label in service", "prob in service", "new label", "new prob",
    )  # fmt: skip
    with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as stream:
        write_delimited_rows(stream, _rows(found, task, columns), columns, ",")


def _rows(found: Sequence[Flip], task: Task, columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
    for flip in found:
        one = flip.example
        term = one.term if task.has_term else one.second
        values = (
            flip.kind, one.text, term, one.start, one.end,
            one.meta.get("channel"), one.meta.get("wordtype"), one.label,
            flip.before, round(flip.before_prob, 6), flip.after, round(flip.after_prob, 6),
        )  # fmt: skip
        yield dict(zip(columns, values, strict=True))

"""The verdict: what the figures of a report mean, in plain words, good or bad, and whether to deploy.

``report.json -> conditions -> Verdict``. It is made once, when the report is written, and shown everywhere in
the same words: console, page, ``report.json`` and the artifact's card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attar.errors import GateError
from attar.gate.conditions import Condition, Gate, Status, judge_conditions
from attar.gate.words import capital, interval, named, points, ratio, smallest_class

__all__ = ["Verdict", "check_passed", "judge", "verdict_of"]

_SAME_MODEL = ("student", "student_int8")  # fp32 and int8: no rivals
_IN_SERVICE = "in_service"  # what is said of it stands in the report's ``against``
_RANK: Mapping[str, int] = {"pass": 0, "warn": 1, "refuse": 2}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of the model that would be deployed.

    Attributes:
        status: The worst of its conditions'; None where there is no such model to judge.
        headline: One sentence or two, with the smallest class.
        details: Sentences that no condition says.
        conditions: What it was judged by.
    """

    status: Status | None
    headline: str
    details: Sequence[str] = ()
    conditions: Sequence[Condition] = ()

    def to_json(self) -> dict[str, Any]:
        """The ``verdict`` of report.json."""
        return {
            "status": self.status,
            "headline": self.headline,
            "details": list(self.details),
            "conditions": [condition.to_json() for condition in self.conditions],
        }


def judge(report: Mapping[str, Any], gate: Gate) -> Verdict:
    """Judge the chosen model of a report, as report.json has it; an earlier version's will do."""
    models, chosen = report["models"], report["chosen"]
    if chosen not in models:
        best = max(models, key=lambda name: models[name]["macro_f1"])
        rank = f"has the best macro-F1 of {len(models)}:" if len(models) > 1 else "has a macro-F1 of"
        return Verdict(None, f"{capital(named(best))} {rank} {points(models[best]['macro_f1'])}.")
    conditions = judge_conditions(report, gate)
    worst = max((condition.status for condition in conditions), key=_RANK.__getitem__, default=None)
    collapsed = [one.said for one in conditions if one.name == "one_label"]
    headline = " ".join([*collapsed, _headline(report), *_smallest(report)])
    return Verdict(worst, headline, _details(report, {one.name for one in conditions}), conditions)


def verdict_of(report: Mapping[str, Any], gate: Gate) -> dict[str, Any]:
    """The verdict in a report.json; of one that an earlier version wrote, what this version says of it."""
    found = report.get("verdict")
    return dict(found) if found is not None else judge(report, gate).to_json()


def check_passed(verdict: Mapping[str, Any], where: str) -> None:
    """Raise what ends a command whose model is refused.

    Args:
        verdict: As report.json has it.
        where: What the message calls the model.

    Raises:
        GateError: It is refused; the message has each failed condition and what to do, and the exit code
            is 3.
    """
    failed = [one for one in verdict["conditions"] if one["status"] == "refuse"]
    if verdict["status"] == "refuse":
        said = " ".join(f"{one['said']} {one.get('advice', '')}".strip() for one in failed)
        raise GateError(f"the gate refuses {where}: {said}")


def _headline(report: Mapping[str, Any]) -> str:
    models, chosen, reference = report["models"], report["chosen"], report["reference"]
    name, score = capital(named(chosen)), models[chosen]["macro_f1"]
    if reference not in models or reference == chosen:
        return f"{name} has a macro-F1 of {points(score)}."
    of, whole = named(reference), models[reference]["macro_f1"]
    both = f"({points(score)} against {points(whole)})"
    if score >= whole:
        start = f"{name} does not lose to {of} in macro-F1 {both}"
    else:
        # Rounded down to a tenth: 99.96 % is not all of it.
        kept = math.floor(1000 * score / whole) / 10
        start = f"{name} keeps {kept:.1f} % of {of}'s macro-F1 {both}"
    ratios = [
        f"{ratio(value)} times {word}" if value >= 1 else f"{ratio(1 / value)} times {opposite}"
        for value, word, opposite in (
            (report["ratios"]["smaller"], "smaller", "larger"),
            (report["ratios"]["faster"], "faster", "slower"),
        )
        if value
    ]
    rest = f", and is {' and '.join(ratios)}" if ratios else ""
    return f"{start}{rest}."


def _smallest(report: Mapping[str, Any]) -> list[str]:
    """The smallest class and its n: what a mean over labels hides."""
    found, labels = smallest_class(report), report["models"][report["chosen"]].get("labels")
    if found is None or labels is None:
        return []
    label, num = found
    f1 = f"has an F1 of {points(labels[label]['f1'])}" if num else "cannot be judged"
    return [f"Its smallest class, {label} (n = {num:,}), {f1}."]


def _details(report: Mapping[str, Any], judged: set[str]) -> list[str]:
    """Agreement, and how the model compares with those that no condition names."""
    models, chosen, reference = report["models"], report["chosen"], report["reference"]
    sentences = []
    if reference in models and reference != chosen and report["agreement"] is not None:
        share = points(report["agreement"])
        sentences.append(f"It gives the same label as {named(reference)} on {share} % of the test set.")
    said = {"tfidf": "min_gain_over_linear", "finetuned": "min_gain_over_finetuned"}
    for name in models:
        if name in (chosen, reference, *_SAME_MODEL, _IN_SERVICE) or said.get(name) in judged:
            continue
        sentences.append(_compared(report, name))
    return sentences


def _compared(report: Mapping[str, Any], name: str) -> str:
    gap = report["paired_differences"][name]
    by = f"{points(abs(gap['value']))} points {interval(gap)}"
    if gap["low"] > 0:
        return f"It beats {named(name)} by {by}."
    if gap["high"] < 0:
        return f"It loses to {named(name)} by {by}."
    side = "above" if gap["value"] > 0 else "below"
    return f"It is {by} {side} {named(name)}: with {report['num_test']:,} examples that is not certain."

"""The verdict: what the figures of a report mean, in plain words, good or bad, and whether to deploy.

``report.json -> conditions -> Verdict``. It is made once, when the report is written, and shown everywhere in
the same words: console, page, ``report.json`` and the artifact's card.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attar.errors import GateError
from attar.gate.conditions import Condition, Gate, Status, judge_conditions
from attar.gate.words import capital, interval, named, points, ratio, smallest_class
from attar.language.translator import ENGLISH, N_, Translator

__all__ = ["STATUSES", "Verdict", "check_passed", "judge", "verdict_of"]

STATUSES: Mapping[Status, str] = {"pass": N_("pass"), "warn": N_("warn"), "refuse": N_("refuse")}
"""What people read of each."""

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


def judge(report: Mapping[str, Any], gate: Gate, tr: Translator = ENGLISH) -> Verdict:
    """Judge the chosen model of a report, as report.json has it; an earlier version's will do.

    Args:
        report: The report.
        gate: What the model is held to.
        tr: Of the language to say it in; report.json and the artifact's card have English.
    """
    models, chosen = report["models"], report["chosen"]
    if chosen not in models:
        best = max(models, key=lambda name: models[name]["macro_f1"])
        values = {"model": capital(named(best, tr)), "points": points(models[best]["macro_f1"])}
        if len(models) == 1:
            return Verdict(None, tr("{model} has a macro-F1 of {points}.", **values))
        return Verdict(
            None, tr("{model} has the best macro-F1 of {num}: {points}.", num=len(models), **values)
        )
    conditions = judge_conditions(report, gate, tr)
    worst = max((condition.status for condition in conditions), key=_RANK.__getitem__, default=None)
    collapsed = [one.said for one in conditions if one.name == "one_label"]
    headline = _joined([*collapsed, _headline(report, tr), *_smallest(report, tr)], tr)
    return Verdict(worst, headline, _details(report, {one.name for one in conditions}, tr), conditions)


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


def _joined(sentences: Sequence[str], tr: Translator) -> str:
    return functools.reduce(
        lambda before, after: tr("{sentence} {next}", sentence=before, next=after), sentences
    )


def _headline(report: Mapping[str, Any], tr: Translator) -> str:
    models, chosen, reference = report["models"], report["chosen"], report["reference"]
    name, score = capital(named(chosen, tr)), models[chosen]["macro_f1"]
    if reference not in models or reference == chosen:
        return tr("{model} has a macro-F1 of {points}.", model=name, points=points(score))
    whole = models[reference]["macro_f1"]
    values = {
        "model": name, "other": named(reference, tr), "points": points(score), "whole": points(whole),
        "rest": _ratios(report, tr),
    }  # fmt: skip
    if score >= whole:
        return tr("{model} does not lose to {other} in macro-F1 ({points} against {whole}){rest}.", **values)
    # Rounded down to a tenth: 99.96 % is not all of it.
    kept = f"{math.floor(1000 * score / whole) / 10:.1f}"
    return tr(
        "{model} keeps {kept} % of {other}'s macro-F1 ({points} against {whole}){rest}.", kept=kept, **values
    )


def _ratios(report: Mapping[str, Any], tr: Translator) -> str:
    """How much smaller and faster it is, as the end of a sentence."""
    words = {
        "smaller": (N_("{ratio} times smaller"), N_("{ratio} times larger")),
        "faster": (N_("{ratio} times faster"), N_("{ratio} times slower")),
    }
    said = []
    for key, (more, less) in words.items():
        if value := report["ratios"][key]:
            said.append(tr(more, ratio=ratio(value)) if value >= 1 else tr(less, ratio=ratio(1 / value)))
    return tr(", and is {ratios}", ratios=tr.context("ratios", " and ").join(said)) if said else ""


def _smallest(report: Mapping[str, Any], tr: Translator) -> list[str]:
    """The smallest class and its n: what a mean over labels hides."""
    found, labels = smallest_class(report), report["models"][report["chosen"]].get("labels")
    if found is None or labels is None:
        return []
    label, num = found
    if not num:
        return [tr("Its smallest class, {label} (n = {num}), cannot be judged.", label=label, num=num)]
    f1 = points(labels[label]["f1"])
    said = tr(
        "Its smallest class, {label} (n = {num}), has an F1 of {points}.", label=label, num=num, points=f1
    )
    return [said]


def _details(report: Mapping[str, Any], judged: set[str], tr: Translator) -> list[str]:
    """Agreement, and how the model compares with those that no condition names."""
    models, chosen, reference = report["models"], report["chosen"], report["reference"]
    sentences = []
    if reference in models and reference != chosen and report["agreement"] is not None:
        share, model = points(report["agreement"]), named(reference, tr)
        text = N_("It gives the same label as {model} on {share} % of the test set.")
        sentences.append(tr(text, model=model, share=share))
    said = {"tfidf": "min_gain_over_linear", "finetuned": "min_gain_over_finetuned"}
    for name in models:
        if name in (chosen, reference, *_SAME_MODEL, _IN_SERVICE) or said.get(name) in judged:
            continue
        sentences.append(_compared(report, name, tr))
    return sentences


def _compared(report: Mapping[str, Any], name: str, tr: Translator) -> str:
    gap = report["paired_differences"][name]
    values = {"model": named(name, tr), "points": points(abs(gap["value"])), "interval": interval(gap)}
    if gap["low"] > 0:
        return tr("It beats {model} by {points} points {interval}.", **values)
    if gap["high"] < 0:
        return tr("It loses to {model} by {points} points {interval}.", **values)
    text = (
        N_("It is {points} points {interval} above {model}: with {num} examples that is not certain.")
        if gap["value"] > 0
        else N_("It is {points} points {interval} below {model}: with {num} examples that is not certain.")
    )
    return tr(text, **values, num=report["num_test"])

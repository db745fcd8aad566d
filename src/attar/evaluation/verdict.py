"""The report's first sentences: what the figures mean, in plain words, good or bad."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Verdict", "verdict"]

_SAME_MODEL = ("student", "student_int8")  # fp32 and int8: no rivals
_MOST_LOST = 0.02
_WORDS = {
    "teacher": "the teacher",
    "student": "the fp32 student",
    "student_int8": "the small model",
    "finetuned": "the same student without a teacher",
    "tfidf": "the linear model",
    "majority": "the majority label",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The head of the page.

    Attributes:
        headline: One sentence.
        details: More sentences.
        good: Whether the chosen model is worth deploying; None where there is nothing to compare it with.
    """

    headline: str
    details: tuple[str, ...]
    good: bool | None


def verdict(report: Mapping[str, Any]) -> Verdict:
    """Put a report (as report.json has it) into words.

    The chosen model is good if it loses at most two points of the reference's macro-F1 and scores
    above every other candidate that is not the reference or its own fp32 form, and neither it nor
    the reference predicts one label for everything.
    """
    models, chosen, reference = report["models"], report["chosen"], report["reference"]
    if chosen not in models:
        best = max(models, key=lambda name: models[name]["macro_f1"])
        rank = f"has the best macro-F1 of {len(models)}:" if len(models) > 1 else "has a macro-F1 of"
        return Verdict(f"{_capital(_name(best))} {rank} {_points(models[best]['macro_f1'])}.", (), None)
    sentences: list[str] = []
    good = True
    if reference in models and reference != chosen:
        headline, good = _against_reference(report)
        share = _points(report["agreement"])
        sentences.append(f"It gives the same label as {_name(reference)} on {share} % of the test set.")
    else:
        headline = f"{_capital(_name(chosen))} has a macro-F1 of {_points(models[chosen]['macro_f1'])}."
    others = [name for name in models if name not in (chosen, reference) and name not in _SAME_MODEL]
    for name in others:
        sentence, above = _against(report, name)
        sentences.append(sentence)
        good = good and above
    collapsed = [name for name in (reference, chosen) if name in models and _is_collapsed(models[name])]
    if collapsed:
        names = _capital(" and ".join(map(_name, collapsed)))
        headline = f"{names} collapsed: one label for every test example. {headline}"
    return Verdict(headline, tuple(sentences), (good and not collapsed) if len(models) > 1 else None)


def _is_collapsed(model: Mapping[str, Any]) -> bool:
    """Whether all predictions are the same, though the gold labels are not."""
    confusion = model["confusion"]
    return sum(map(any, zip(*confusion, strict=True))) == 1 < sum(map(any, confusion))


def _against_reference(report: Mapping[str, Any]) -> tuple[str, bool]:
    models, name, of = report["models"], _capital(_name(report["chosen"])), _name(report["reference"])
    score, whole = models[report["chosen"]]["macro_f1"], models[report["reference"]]["macro_f1"]
    both = f"({_points(score)} against {_points(whole)})"
    if score >= whole:
        start = f"{name} does not lose to {of} in macro-F1 {both}"
    else:
        # Rounded down to a tenth: 99.96 % is not all of it.
        kept = math.floor(1000 * score / whole) / 10
        start = f"{name} keeps {kept:.1f} % of {of}'s macro-F1 {both}"
    ratios = [
        f"{_ratio(value)} times {word}" if value >= 1 else f"{_ratio(1 / value)} times {opposite}"
        for value, word, opposite in (
            (report["ratios"]["smaller"], "smaller", "larger"),
            (report["ratios"]["faster"], "faster", "slower"),
        )
        if value
    ]
    rest = f", and is {' and '.join(ratios)}" if ratios else ""
    return f"{start}{rest}.", whole - score <= _MOST_LOST


def _against(report: Mapping[str, Any], name: str) -> tuple[str, bool]:
    """One sentence on the chosen model against another, and whether it scores above it."""
    gap = report["paired_differences"][name]
    interval = f"[{_signed(gap['low'])}, {_signed(gap['high'])}]"
    points = f"{_points(abs(gap['value']))} points {interval}"
    if gap["low"] > 0:
        return f"It beats {_name(name)} by {points}.", True
    if gap["high"] < 0:
        return f"It loses to {_name(name)} by {points}: it is not worth its cost here.", False
    side = "above" if gap["value"] > 0 else "below"
    unsure = f"with {report['num_test']:,} examples that is not certain"
    return f"It is {points} {side} {_name(name)}: {unsure}.", gap["value"] > 0


def _name(name: str) -> str:
    return _WORDS.get(name, name)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")

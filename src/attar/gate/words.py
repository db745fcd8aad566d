"""How the gate writes names and figures: the same on the console, the page, in report.json and on a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attar.language.translator import N_, Translator

__all__ = ["capital", "interval", "named", "points", "ratio", "smallest_class"]

_NAMES = {
    "teacher": N_("the teacher"),
    "student": N_("the fp32 student"),
    "student_int8": N_("the small model"),
    "finetuned": N_("the same student without a teacher"),
    "tfidf": N_("the linear model"),
    "majority": N_("the majority label"),
    "in_service": N_("the model in service"),
}


def named(model: str, tr: Translator) -> str:
    """A model of the report, in a sentence."""
    return tr(_NAMES[model]) if model in _NAMES else model


def capital(text: str) -> str:
    """A sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def points(fraction: float) -> str:
    """A fraction of 1 in points."""
    return f"{100 * fraction:.1f}"


def interval(gap: Mapping[str, float]) -> str:
    """The 95 % interval of a difference, in points."""
    return f"[{_signed(gap['low'])}, {_signed(gap['high'])}]"


def ratio(value: float) -> str:
    """A ratio, such as 16."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def smallest_class(report: Mapping[str, Any]) -> tuple[str, int] | None:
    """The label with the fewest test examples, and how many; None where a report does not say."""
    for model in report["models"].values():
        if labels := model.get("labels"):
            label = min(labels, key=lambda name: labels[name]["support"])
            return label, int(labels[label]["support"])
    return None


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")

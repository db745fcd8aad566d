"""The conditions of the gate, each judged by itself from the figures of a report.

A difference is judged by its paired bootstrap interval (``attar.intervals``): refused is what
surely fails, and what may well fail is a warning; with fewer than 30 test examples nothing is sure. A
requirement of the user's own on the model alone, such as its least macro-F1, is refused where the figure
itself fails. Recall has Wilson's interval: Wilson (1927), Probable inference, the law of succession, and
statistical inference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from attar.gate.words import capital, interval, named, points
from attar.recipe.gate import GateRecipe

__all__ = ["Condition", "Gate", "Status", "judge_conditions"]

Status = Literal["pass", "warn", "refuse"]

_LINEAR, _FINETUNED, _FP32 = "tfidf", "finetuned", "student"
_Z = 1.959964  # of a 95 % interval
_ENOUGH = 300  # training examples of a label, above which more of it help less
_LEAST_MORE, _ROUNDED_TO = 100, 50
_MOST_NAMED = 8  # labels in one sentence
_LEAST_TEST = 30  # examples; fewer make a bootstrap too sure of itself
_DEPLOY_LINEAR = "Deploy the linear model instead (attar run leaves it in linear/), or "


@dataclass(frozen=True, slots=True)
class Gate:
    """What a model is held to.

    Attributes:
        recipe: The user's conditions.
        max_int8_loss: Macro-F1 that int8 may cost; ``export.max_f1_loss``.
    """

    recipe: GateRecipe = field(default_factory=GateRecipe)
    max_int8_loss: float = 0.003

    def to_json(self) -> dict[str, Any]:
        """What a stamp holds of it; what only a comparison with a model in service reads is not in it."""
        asked = self.recipe.model_dump(mode="json", exclude={"min_gain_over_service"})
        return asked | {"max_int8_loss": self.max_int8_loss}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition and what became of it.

    Attributes:
        name: The key of ``[gate]``, or "int8", "labels", "one_label", which are always asked.
        status: Whether it holds.
        said: One or two sentences: which, by how much.
        advice: What to do, where it does not hold.
        figures: What it was judged by.
    """

    name: str
    status: Status
    said: str
    advice: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As report.json and attar.json hold it."""
        kept = {"name": self.name, "status": self.status, "said": self.said}
        kept |= {"advice": self.advice} if self.advice else {}
        return kept | ({"figures": dict(self.figures)} if self.figures else {})


def judge_conditions(report: Mapping[str, Any], gate: Gate) -> list[Condition]:
    """Judge the chosen model of a report by every condition whose figures the report has."""
    return list(_judged(report, gate))


def _judged(report: Mapping[str, Any], gate: Gate) -> Iterator[Condition]:
    recipe, chosen = gate.recipe, report["models"][report["chosen"]]
    yield from _one_label(report)
    yield from _labels(report)
    if report["reference"] in _gaps(report):
        yield _loss_to_teacher(report, recipe.max_loss_to_teacher)
    if _LINEAR in _gaps(report):
        yield _gain(report, "min_gain_over_linear", _LINEAR, recipe.min_gain_over_linear)
    if _FINETUNED in _gaps(report) and recipe.min_gain_over_finetuned is not None:
        yield _gain(report, "min_gain_over_finetuned", _FINETUNED, recipe.min_gain_over_finetuned)
    if _FP32 in _gaps(report) and report["chosen"] != _FP32:
        yield _int8(report, gate.max_int8_loss)
    if recipe.min_macro_f1 is not None:
        yield _macro_f1(report, recipe.min_macro_f1)
    if recipe.min_recall is not None:
        yield from _recalls(report, recipe.min_recall)
    if recipe.max_mb is not None and chosen.get("size_bytes") is not None:
        yield _size(chosen["size_bytes"] / 1e6, recipe.max_mb)
    if recipe.min_rate is not None and chosen.get("examples_per_second") is not None:
        yield _rate(chosen["examples_per_second"], recipe.min_rate)


def _gaps(report: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = report["paired_differences"]
    return found


def _one_label(report: Mapping[str, Any]) -> Iterator[Condition]:
    """What gives one label for everything is no model, and what loses nothing to such a teacher is none."""
    models = report["models"]
    names = [name for name in (report["reference"], report["chosen"]) if name in models]
    if collapsed := [name for name in names if _is_collapsed(models[name])]:
        said = f"{capital(' and '.join(map(named, collapsed)))} collapsed: one label for every test example."
        advice = "Train again with another seed or a smaller learning rate, and look at the labels."
        yield Condition("one_label", "refuse", said, advice)


def _is_collapsed(model: Mapping[str, Any]) -> bool:
    """Whether all predictions are the same, though the gold labels are not."""
    confusion = model["confusion"]
    return sum(map(any, zip(*confusion, strict=True))) == 1 < sum(map(any, confusion))


def _labels(report: Mapping[str, Any]) -> Iterator[Condition]:
    tested = report["models"][report["chosen"]].get("labels")
    if tested is None:
        return
    untested = [label for label, figures in tested.items() if not figures["support"]]
    counts = report.get("train_labels") or {}
    unseen = [label for label in tested if counts and not counts.get(label)]
    advice = "Label at least {} reviews of each and run again, or take it out of the task."
    status: Status = "refuse" if _is_enough(report) else "warn"
    if unseen:
        said = f"No training example has the label {_listed(unseen)}: it can never be right on one."
        yield Condition("labels", status, said, advice.format(_LEAST_MORE))
    elif untested:
        said = f"No test example has the label {_listed(untested)}: nothing is known of it."
        yield Condition("labels", status, said, advice.format(_LEAST_MORE))
    else:
        yield Condition("labels", "pass", "Every label has examples.")


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else ""
    return ", ".join(labels[:_MOST_NAMED]) + more


def _loss_to_teacher(report: Mapping[str, Any], allowed: float) -> Condition:
    teacher = report["reference"]
    gap = _gaps(report)[teacher]
    name, figures = "max_loss_to_teacher", {**gap, "limit": -allowed}
    lost = f"{points(-gap['value'])} points of macro-F1 to {named(teacher)} {interval(gap)}"
    if gap["high"] < -allowed and _is_enough(report):
        said = f"It loses {lost}, surely more than the {points(allowed)} allowed."
        return Condition(name, "refuse", said, _advice(report, teacher), figures)
    if gap["value"] < -allowed:
        said = f"It loses {lost}, more than the {points(allowed)} allowed; {_unsure(report)}."
        return Condition(name, "warn", said, _advice(report, teacher), figures)
    if gap["value"] < 0:
        said = f"It loses {lost}, within the {points(allowed)} allowed."
    else:
        said = (
            f"It loses nothing to {named(teacher)}: {points(gap['value'])} points above it {interval(gap)}."
        )
    return Condition(name, "pass", said, figures=figures)


def _gain(report: Mapping[str, Any], name: str, rival: str, least: float) -> Condition:
    gap = _gaps(report)[rival]
    figures = {**gap, "limit": least}
    by = f"{points(abs(gap['value']))} points {interval(gap)}"
    wanted = f"; {points(least)} are asked for" if least else ""
    side = "above" if gap["value"] > 0 else "below"
    if gap["high"] < least and _is_enough(report):
        verb = "loses to" if gap["value"] < 0 else "gains too little over"
        said = f"It {verb} {named(rival)} by {by}{wanted}: it is not worth its cost here."
        return Condition(name, "refuse", said, _advice(report, rival), figures)
    if gap["low"] <= least:
        said = f"It is {by} {side} {named(rival)}{wanted}: {_unsure(report)}."
        return Condition(name, "warn", said, _advice(report, rival), figures)
    beats = f"It beats {named(rival)} by {by}."
    said = beats if gap["low"] > 0 else f"It is {by} {side} {named(rival)}, which is allowed."
    return Condition(name, "pass", said, figures=figures)


def _int8(report: Mapping[str, Any], allowed: float) -> Condition:
    gap = _gaps(report)[_FP32]
    figures = {**gap, "limit": -allowed}
    change = f"{points(abs(gap['value']))} points {'below' if gap['value'] < 0 else 'above'} its checkpoint"
    if gap["high"] < -allowed and _is_enough(report):
        said = f"The artifact is {change} {interval(gap)}, surely more than the {points(allowed)} allowed."
        advice = "Export again with export.precision = 'auto', or 'fp32'."
        return Condition("int8", "refuse", said, advice, figures)
    return Condition("int8", "pass", f"The artifact is {change} {interval(gap)}.", figures=figures)


def _macro_f1(report: Mapping[str, Any], least: float) -> Condition:
    model = report["models"][report["chosen"]]
    figures = {"value": model["macro_f1"], "low": model["macro_f1_low"], "limit": least}
    reached = f"Its macro-F1 is {points(model['macro_f1'])}"
    if model["macro_f1"] < least:
        said = f"{reached}, below the {points(least)} asked for."
        return Condition("min_macro_f1", "refuse", said, _advice(report, None), figures)
    if model["macro_f1_low"] < least:
        said = f"{reached}, which reaches the {points(least)} asked for; {_unsure(report)}."
        return Condition("min_macro_f1", "warn", said, _advice(report, None), figures)
    return Condition("min_macro_f1", "pass", f"{reached}, above {points(least)}.", figures=figures)


def _recalls(report: Mapping[str, Any], least: float | Mapping[str, float]) -> Iterator[Condition]:
    labels = report["models"][report["chosen"]]["labels"]
    asked = least if isinstance(least, Mapping) else dict.fromkeys(labels, least)
    for label, limit in asked.items():
        found, num = labels[label]["recall"], labels[label]["support"]
        low = _wilson_low(found, num)
        figures = {"label": label, "value": found, "low": low, "n": num, "limit": limit}
        reached = f"It finds {points(found)} % of {num:,} test examples of {label}"
        advice = _label_more(report, label)
        if found < limit:
            said = f"{reached}; {points(limit)} % are asked for."
            yield Condition("min_recall", "refuse", said, advice, figures)
        elif low < limit:
            said = f"{reached}; that it finds {points(limit)} % is not certain."
            yield Condition("min_recall", "warn", said, advice, figures)
        else:
            yield Condition("min_recall", "pass", f"{reached}, above {points(limit)} %.", figures=figures)


def _wilson_low(share: float, num: int) -> float:
    """The lower end of the 95 % interval of a share of ``num`` examples."""
    if num == 0:
        return 0.0
    middle, spread = (
        share + _Z**2 / (2 * num),
        _Z * math.sqrt(share * (1 - share) / num + (_Z / num / 2) ** 2),
    )
    return (middle - spread) / (1 + _Z**2 / num)


def _size(megabytes: float, most: float) -> Condition:
    figures, said = {"value": megabytes, "limit": most}, f"Its weights take {megabytes:.1f} MB"
    if megabytes > most:
        advice = (
            "Give the student fewer layers or a smaller vocabulary (student.preset, student.vocab_margin)."
        )
        return Condition("max_mb", "refuse", f"{said}; {most:g} MB are allowed.", advice, figures)
    return Condition("max_mb", "pass", f"{said}, within {most:g} MB.", figures=figures)


def _rate(rate: float, least: float) -> Condition:
    figures, said = {"value": rate, "limit": least}, f"It scores {rate:,.0f} examples a second here"
    if rate < least:
        advice = (
            "Give the student fewer layers (student.preset), make a cascade, or measure on a faster machine."
        )
        return Condition("min_rate", "refuse", f"{said}; {least:,.0f} are asked for.", advice, figures)
    return Condition("min_rate", "pass", f"{said}, above {least:,.0f}.", figures=figures)


def _is_enough(report: Mapping[str, Any]) -> bool:
    """Whether a test split is large enough to be sure of anything."""
    return bool(report["num_test"] >= _LEAST_TEST)


def _unsure(report: Mapping[str, Any]) -> str:
    return f"with {report['num_test']:,} examples that is not certain"


def _advice(report: Mapping[str, Any], rival: str | None) -> str:
    """What helps a model that falls short of another, or of what is asked for."""
    models, chosen = report["models"], report["models"][report["chosen"]]
    better = models[rival] if rival is not None else None
    linear = models.get(_LINEAR)
    instead = linear is not None and linear["macro_f1"] >= chosen["macro_f1"]
    own = chosen.get("labels")
    if own is None:
        more = "label more reviews."
    else:
        theirs = (better or {}).get("labels") or {}
        behind = {name: theirs.get(name, {}).get("f1", 1.0) - figures["f1"] for name, figures in own.items()}
        more = _label_more(report, max(behind, key=behind.__getitem__))
    return _DEPLOY_LINEAR + more[:1].lower() + more[1:] if instead else capital(more)


def _label_more(report: Mapping[str, Any], label: str) -> str:
    """How many more reviews of a label to label: up to a few hundred of it in training."""
    known = (report.get("train_labels") or {}).get(label, 0)
    more = max(_LEAST_MORE, math.ceil((_ENOUGH - known) / _ROUNDED_TO) * _ROUNDED_TO)
    have = f" (there are {known:,} to learn from)" if known else ""
    return f"Label {more} more of {label}{have}."

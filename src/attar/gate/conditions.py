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

from attar.gate.advice import LEAST_MORE, advice, label_more
from attar.gate.words import capital, interval, named, points
from attar.language.translator import ENGLISH, N_, Translator
from attar.recipe.gate import GateRecipe

__all__ = ["Condition", "Gate", "Status", "judge_conditions"]

Status = Literal["pass", "warn", "refuse"]

_LINEAR, _FINETUNED, _FP32 = "tfidf", "finetuned", "student"
_Z = 1.959964  # of a 95 % interval
_MOST_NAMED = 8  # labels in one sentence
_LEAST_TEST = 30  # examples; fewer make a bootstrap too sure of itself


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


def judge_conditions(report: Mapping[str, Any], gate: Gate, tr: Translator = ENGLISH) -> list[Condition]:
    """Judge the chosen model of a report by every condition whose figures the report has.

    Args:
        report: As report.json has it.
        gate: What the model is held to.
        tr: Of the language to say it in.
    """
    return list(_judged(report, gate, tr))


def _judged(report: Mapping[str, Any], gate: Gate, tr: Translator) -> Iterator[Condition]:
    recipe, chosen = gate.recipe, report["models"][report["chosen"]]
    yield from _one_label(report, tr)
    yield from _labels(report, tr)
    if report["reference"] in _gaps(report):
        yield _loss_to_teacher(report, recipe.max_loss_to_teacher, tr)
    if _LINEAR in _gaps(report):
        yield _gain(report, "min_gain_over_linear", _LINEAR, recipe.min_gain_over_linear, tr)
    if _FINETUNED in _gaps(report) and recipe.min_gain_over_finetuned is not None:
        yield _gain(report, "min_gain_over_finetuned", _FINETUNED, recipe.min_gain_over_finetuned, tr)
    if _FP32 in _gaps(report) and report["chosen"] != _FP32:
        yield _int8(report, gate.max_int8_loss, tr)
    if recipe.min_macro_f1 is not None:
        yield _macro_f1(report, recipe.min_macro_f1, tr)
    if recipe.min_recall is not None:
        yield from _recalls(report, recipe.min_recall, tr)
    if recipe.max_mb is not None and chosen.get("size_bytes") is not None:
        yield _size(chosen["size_bytes"] / 1e6, recipe.max_mb, tr)
    if recipe.min_rate is not None and chosen.get("examples_per_second") is not None:
        yield _rate(chosen["examples_per_second"], recipe.min_rate, tr)


def _gaps(report: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = report["paired_differences"]
    return found


def _one_label(report: Mapping[str, Any], tr: Translator) -> Iterator[Condition]:
    """What gives one label for everything is no model, and what loses nothing to such a teacher is none."""
    models = report["models"]
    names = [name for name in (report["reference"], report["chosen"]) if name in models]
    if collapsed := [name for name in names if _is_collapsed(models[name])]:
        models_said = tr(" and ").join(named(name, tr) for name in collapsed)
        said = tr("{models} collapsed: one label for every test example.", models=capital(models_said))
        help_text = tr("Train again with another seed or a smaller learning rate, and look at the labels.")
        yield Condition("one_label", "refuse", said, help_text)


def _is_collapsed(model: Mapping[str, Any]) -> bool:
    """Whether all predictions are the same, though the gold labels are not."""
    confusion = model["confusion"]
    return sum(map(any, zip(*confusion, strict=True))) == 1 < sum(map(any, confusion))


def _labels(report: Mapping[str, Any], tr: Translator) -> Iterator[Condition]:
    tested = report["models"][report["chosen"]].get("labels")
    if tested is None:
        return
    untested = [label for label, figures in tested.items() if not figures["support"]]
    counts = report.get("train_labels") or {}
    unseen = [label for label in tested if counts and not counts.get(label)]
    help_text = tr(
        "Label at least {num} reviews of each and run again, or take it out of the task.", num=LEAST_MORE
    )
    status: Status = "refuse" if _is_enough(report) else "warn"
    if unseen:
        names = _listed(unseen, tr)
        said = tr("No training example has the label {labels}: it can never be right on one.", labels=names)
        yield Condition("labels", status, said, help_text)
    elif untested:
        names = _listed(untested, tr)
        said = tr("No test example has the label {labels}: nothing is known of it.", labels=names)
        yield Condition("labels", status, said, help_text)
    else:
        yield Condition("labels", "pass", tr("Every label has examples."))


def _listed(labels: Sequence[str], tr: Translator) -> str:
    more = tr(" and {num} more", num=len(labels) - _MOST_NAMED) if len(labels) > _MOST_NAMED else ""
    return ", ".join(labels[:_MOST_NAMED]) + more


def _loss_to_teacher(report: Mapping[str, Any], allowed: float, tr: Translator) -> Condition:
    teacher = report["reference"]
    gap = _gaps(report)[teacher]
    name, figures = "max_loss_to_teacher", {**gap, "limit": -allowed}
    values = {"points": points(-gap["value"]), "model": named(teacher, tr), "interval": interval(gap)}
    lost = tr("{points} points of macro-F1 to {model} {interval}", **values)
    if gap["high"] < -allowed and _is_enough(report):
        said = tr("It loses {lost}, surely more than the {most} allowed.", lost=lost, most=points(allowed))
        return Condition(name, "refuse", said, advice(report, teacher, tr), figures)
    if gap["value"] < -allowed:
        said = tr(
            "It loses {lost}, more than the {most} allowed; {unsure}.",
            lost=lost, most=points(allowed), unsure=_unsure(report, tr),
        )  # fmt: skip
        return Condition(name, "warn", said, advice(report, teacher, tr), figures)
    if gap["value"] < 0:
        said = tr("It loses {lost}, within the {most} allowed.", lost=lost, most=points(allowed))
    else:
        values["points"] = points(gap["value"])
        said = tr("It loses nothing to {model}: {points} points above it {interval}.", **values)
    return Condition(name, "pass", said, figures=figures)


def _gain(report: Mapping[str, Any], name: str, rival: str, least: float, tr: Translator) -> Condition:
    gap = _gaps(report)[rival]
    figures = {**gap, "limit": least}
    wanted = tr("; {points} are asked for", points=points(least)) if least else ""
    values = {
        "model": named(rival, tr), "points": points(abs(gap["value"])), "interval": interval(gap),
        "wanted": wanted,
    }  # fmt: skip
    if gap["high"] < least and _is_enough(report):
        text = (
            N_("It loses to {model} by {points} points {interval}{wanted}: it is not worth its cost here.")
            if gap["value"] < 0
            else N_(
                "It gains too little over {model} by {points} points {interval}{wanted}: it is not worth its "
                "cost here."
            )
        )
        return Condition(name, "refuse", tr(text, **values), advice(report, rival, tr), figures)
    is_above = gap["value"] > 0
    if gap["low"] <= least:
        text = (
            N_("It is {points} points {interval} above {model}{wanted}: {unsure}.")
            if is_above
            else N_("It is {points} points {interval} below {model}{wanted}: {unsure}.")
        )
        said = tr(text, **values, unsure=_unsure(report, tr))
        return Condition(name, "warn", said, advice(report, rival, tr), figures)
    if gap["low"] > 0:
        said = tr("It beats {model} by {points} points {interval}.", **values)
    elif is_above:
        said = tr("It is {points} points {interval} above {model}, which is allowed.", **values)
    else:
        said = tr("It is {points} points {interval} below {model}, which is allowed.", **values)
    return Condition(name, "pass", said, figures=figures)


def _int8(report: Mapping[str, Any], allowed: float, tr: Translator) -> Condition:
    gap = _gaps(report)[_FP32]
    figures = {**gap, "limit": -allowed}
    values = {"points": points(abs(gap["value"])), "interval": interval(gap), "most": points(allowed)}
    if gap["high"] < -allowed and _is_enough(report):
        said = tr(
            "The artifact is {points} points below its checkpoint {interval}, surely more than the {most} "
            "allowed.",
            **values,
        )
        help_text = tr("Export again with export.precision = 'auto', or 'fp32'.")
        return Condition("int8", "refuse", said, help_text, figures)
    if gap["value"] < 0:
        said = tr("The artifact is {points} points below its checkpoint {interval}.", **values)
    else:
        said = tr("The artifact is {points} points above its checkpoint {interval}.", **values)
    return Condition("int8", "pass", said, figures=figures)


def _macro_f1(report: Mapping[str, Any], least: float, tr: Translator) -> Condition:
    model = report["models"][report["chosen"]]
    figures = {"value": model["macro_f1"], "low": model["macro_f1_low"], "limit": least}
    values = {"points": points(model["macro_f1"]), "least": points(least)}
    if model["macro_f1"] < least:
        said = tr("Its macro-F1 is {points}, below the {least} asked for.", **values)
        return Condition("min_macro_f1", "refuse", said, advice(report, None, tr), figures)
    if model["macro_f1_low"] < least:
        unsure = _unsure(report, tr)
        said = tr(
            "Its macro-F1 is {points}, which reaches the {least} asked for; {unsure}.",
            unsure=unsure,
            **values,
        )
        return Condition("min_macro_f1", "warn", said, advice(report, None, tr), figures)
    said = tr("Its macro-F1 is {points}, above {least}.", **values)
    return Condition("min_macro_f1", "pass", said, figures=figures)


def _recalls(
    report: Mapping[str, Any], least: float | Mapping[str, float], tr: Translator
) -> Iterator[Condition]:
    labels = report["models"][report["chosen"]]["labels"]
    asked = least if isinstance(least, Mapping) else dict.fromkeys(labels, least)
    for label, limit in asked.items():
        found, num = labels[label]["recall"], labels[label]["support"]
        low = _wilson_low(found, num)
        figures = {"label": label, "value": found, "low": low, "n": num, "limit": limit}
        values = {"share": points(found), "num": num, "label": label, "least": points(limit)}
        help_text = label_more(report, label, tr)
        if found < limit:
            said = tr(
                "It finds {share} % of {num} test examples of {label}; {least} % are asked for.", **values
            )
            yield Condition("min_recall", "refuse", said, help_text, figures)
        elif low < limit:
            said = tr(
                "It finds {share} % of {num} test examples of {label}; that it finds {least} % is not "
                "certain.",
                **values,
            )
            yield Condition("min_recall", "warn", said, help_text, figures)
        else:
            said = tr("It finds {share} % of {num} test examples of {label}, above {least} %.", **values)
            yield Condition("min_recall", "pass", said, figures=figures)


def _wilson_low(share: float, num: int) -> float:
    """The lower end of the 95 % interval of a share of ``num`` examples."""
    if num == 0:
        return 0.0
    middle, spread = (
        share + _Z**2 / (2 * num),
        _Z * math.sqrt(share * (1 - share) / num + (_Z / num / 2) ** 2),
    )
    return (middle - spread) / (1 + _Z**2 / num)


def _size(megabytes: float, most: float, tr: Translator) -> Condition:
    figures = {"value": megabytes, "limit": most}
    values = {"size": f"{megabytes:.1f}", "most": f"{most:g}"}
    if megabytes > most:
        said = tr("Its weights take {size} MB; {most} MB are allowed.", **values)
        help_text = tr(
            "Give the student fewer layers or a smaller vocabulary (student.preset, student.vocab_margin)."
        )
        return Condition("max_mb", "refuse", said, help_text, figures)
    said = tr("Its weights take {size} MB, within {most} MB.", **values)
    return Condition("max_mb", "pass", said, figures=figures)


def _rate(rate: float, least: float, tr: Translator) -> Condition:
    figures = {"value": rate, "limit": least}
    values = {"rate": f"{rate:,.0f}", "least": f"{least:,.0f}"}
    if rate < least:
        said = tr("It scores {rate} examples a second here; {least} are asked for.", **values)
        help_text = tr(
            "Give the student fewer layers (student.preset), make a cascade, or measure on a faster machine."
        )
        return Condition("min_rate", "refuse", said, help_text, figures)
    said = tr("It scores {rate} examples a second here, above {least}.", **values)
    return Condition("min_rate", "pass", said, figures=figures)


def _is_enough(report: Mapping[str, Any]) -> bool:
    """Whether a test split is large enough to be sure of anything."""
    return bool(report["num_test"] >= _LEAST_TEST)


def _unsure(report: Mapping[str, Any], tr: Translator) -> str:
    return tr("with {num} examples that is not certain", num=report["num_test"])

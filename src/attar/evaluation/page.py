"""report.html: one self-contained page for the person who decides whether to deploy.

Last step of ``attar evaluate``: the report as JSON has it, plus the examples for the mistakes to
inspect. Everything is text or inline SVG; nothing is fetched. The markup is ``page.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from attar.evaluation.against import Flip
from attar.evaluation.calibration import ReliabilityBin
from attar.evaluation.names import ANSWERS, PAGES, said_description, shown_name
from attar.evaluation.pictures import Point, confusion_svg, reliability_svg, size_text, tradeoff_svg
from attar.gate.conditions import Gate
from attar.gate.in_service import promotion_of
from attar.gate.verdict import judge
from attar.language.translator import Language, Translator, page_environment, translator
from attar.task import Example

__all__ = ["confident_mistakes", "render_page", "render_pages", "shown_model", "tradeoff_points"]

_MOST_MISTAKES = 300
_CONTEXT_CHARS = 120


def render_page(
    report: Mapping[str, Any],
    examples: Sequence[Example],
    probs: Mapping[str, NDArray[np.float32]],
    changed: Sequence[Flip] = (),
    language: Language = "en",
) -> str:
    """The page of a report.json.

    Args:
        report: As JSON has it.
        examples: N labelled test examples.
        probs: [N, C] by candidate.
        changed: The examples to which the model in service gives another label.
        language: Of the page; what ``verdict`` and ``against`` say is in the report's.
    """
    tr = translator(language)
    models = report["models"]
    shown = shown_model(report)
    mistakes = confident_mistakes(
        examples, report["labels"], probs[shown], probs.get(report["reference"]), limit=_MOST_MISTAKES
    )
    points, chosen = tradeoff_points(report), models[shown]
    confusion, before = np.array(chosen["confusion"]), chosen.get("uncalibrated")
    page = _template(language).render(
        report=report,
        models=models,
        shown=shown,
        other=report["reference"] if report["reference"] in models and report["reference"] != shown else None,
        verdict=report["verdict"],
        tradeoff=tradeoff_svg(points, tr) if points else None,
        confusion=confusion_svg(confusion, report["labels"], tr),
        reliability=_reliability(chosen, tr),
        uncalibrated=_reliability(before, tr) if before else None,
        against=report.get("against"),
        flips=[_flip(flip) for flip in changed[:_MOST_MISTAKES]],
        mistakes=mistakes,
        num_wrong=report["num_test"] - int(np.trace(confusion)),
        channels=sorted({mistake["channel"] for mistake in mistakes} - {""}),
    )
    return str(page)


@lru_cache
def _template(language: Language) -> jinja2.Template:
    """The template, compiled once: that takes longer than to fill it."""
    tr = translator(language)
    environment = page_environment("attar.evaluation", language)
    environment.filters |= {"named": _named, "said": partial(said_description, tr=tr)}
    environment.filters |= {"points": _points, "count": _count, "size": _size, "times": _times}
    environment.filters["percent"] = lambda value: tr("{value} %", value=_points(value))
    template: jinja2.Template = environment.get_template("page.html.j2")
    return template


@jinja2.pass_context
def _named(context: jinja2.runtime.Context, name: str) -> str:
    """A model's name in the report that the page is about."""
    return shown_name(context["report"], name)


def render_pages(
    report: Mapping[str, Any],
    gate: Gate,
    examples: Sequence[Example],
    probs: Mapping[str, NDArray[np.float32]],
    changed: Sequence[Flip] = (),
) -> dict[Language, str]:
    """The page in each language; see ``render_page``. ``gate`` is what the report's verdict was made by."""
    return {
        language: render_page(_said_in(report, gate, language), examples, probs, changed, language)
        for language in PAGES
    }


def _said_in(report: Mapping[str, Any], gate: Gate, language: Language) -> dict[str, Any]:
    """A report with what is said of its figures, and its workbook, in a language."""
    tr = translator(language)
    said: dict[str, Any] = {"verdict": judge(report, gate, tr).to_json()}
    if report["against"] is not None:
        said["against"] = promotion_of(report, tr)
    if report["answers"] is not None:
        said["answers"] = ANSWERS[language]
    return {**report, **said}


def tradeoff_points(report: Mapping[str, Any]) -> list[Point]:
    """The timed models of a report, for ``tradeoff_svg``."""
    return [
        Point(
            shown_name(report, name),
            model["examples_per_second"],
            model["macro_f1"],
            model["macro_f1_low"],
            model["macro_f1_high"],
            model["size_bytes"],
            highlighted=name == report["chosen"],
        )
        for name, model in report["models"].items()
        if model["examples_per_second"] is not None
    ]


def confident_mistakes(
    examples: Sequence[Example],
    labels: Sequence[str],
    probs: NDArray[np.floating],
    reference: NDArray[np.floating] | None,
    *,
    limit: int,
) -> list[dict[str, Any]]:
    """Wrong predictions, the most confident first; of each what the page shows.

    ``probs`` [N, C] are the model's, ``reference`` those of the model it is compared with, if any.
    """
    predicted = probs.argmax(1)
    wrong = [i for i, example in enumerate(examples) if example.label != labels[predicted[i]]]
    wrong.sort(key=lambda i: (-float(probs[i, predicted[i]]), i))
    return [
        {
            **_parts(examples[i]),
            "gold": examples[i].label,
            "predicted": labels[predicted[i]],
            "prob": float(probs[i, predicted[i]]),
            "reference": "" if reference is None else labels[int(reference[i].argmax())],
            "channel": str(examples[i].meta.get("channel", "")),
            "wordtype": str(examples[i].meta.get("wordtype", "")),
        }
        for i in wrong[:limit]
    ]


def _reliability(figures: Mapping[str, Any], tr: Translator) -> str:
    return reliability_svg([ReliabilityBin(**part) for part in figures["reliability"]], tr)


def _flip(flip: Flip) -> dict[str, Any]:
    """What the page shows of an example whose label changes."""
    figures = {"gold": flip.example.label, "before": flip.before, "after": flip.after}
    probs = {"before_prob": flip.before_prob, "after_prob": flip.after_prob}
    return {"kind": flip.kind, **_parts(flip.example), **figures, **probs}


def _parts(example: Example) -> dict[str, str]:
    """Left, term and right of a review, long sides cut."""
    left, right = example.text[: example.start], example.text[example.end :]
    if len(left) > _CONTEXT_CHARS:
        left = "…" + left[-_CONTEXT_CHARS:]
    if len(right) > _CONTEXT_CHARS:
        right = right[:_CONTEXT_CHARS] + "…"
    return {"left": left, "term": example.term, "right": right}


def shown_model(report: Mapping[str, Any]) -> str:
    """The model whose details the page shows: the chosen one, else the first that is no reference."""
    names = list(report["models"])
    if report["chosen"] in names:
        return str(report["chosen"])
    return str(next((name for name in names if name != report["reference"]), names[0]))


def _points(value: float | None, *, signed: bool = False) -> str:
    """A fraction of 1 in points."""
    if value is None:
        return "–"
    return format(100 * value, "+.1f" if signed else ".1f").replace("-", "−")


def _count(value: float | None) -> str:
    """A rate or a time, with its significant digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _size(value: int | None) -> str:
    return "–" if value is None else size_text(value)


def _times(value: float | None) -> str:
    """A ratio, such as 16x."""
    return "–" if value is None else f"{value:.0f}×" if value >= 10 else f"{value:.1f}×"

"""The model card: an artifact's ``README.md``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["model_card"]

_STYLES = {
    "marked_pair": "a review and a term in it; the term is marked in the text and repeated after it",
    "pair": "a review and a term in it; the term is repeated after the text",
    "single": "a text on its own",
    "sentence_pair": "two sentences",
}


def model_card(card: Mapping[str, Any], size_bytes: int) -> str:
    """The model card, in Markdown: of the content of ``attar.json``, and the bytes of model and tokenizer."""
    task = card["task"]
    sections = [
        f"# {task['name']}: a text classifier\n",
        f"Labels: {', '.join(task['labels'])}.\n",
        _input_and_model(card, size_bytes),
        _verdict(card.get("verdict", {})),
        _figures("Scores of this file", card["scores"], "Measured at export on held-out labelled examples."),
        _figures("Against its checkpoint", card["parity"], "It had to pass the recipe's gates."),
        _figures(
            "Calibration",
            card["calibration"],
            f"Expected calibration error, before and after temperature {card['temperature']:.3f}.",
        ),
        _figures("Precision of its layers", card["layers"], _LAYERS),
        _HOW_TO,
        _LIMITS.format(labels=", ".join(task["labels"])),
        _figures("Provenance", card["notes"], ""),
        _figures("Made with", card["versions"], ""),
    ]
    return "\n".join(section for section in sections if section)


def _input_and_model(card: Mapping[str, Any], size_bytes: int) -> str:
    spec, size = card["input"], f"{size_bytes / 1e6:.1f} MB"
    style = _STYLES[spec["style"]]
    match card.get("kind", "onnx"):
        case "linear":
            whole = {"single": "The whole text is read.", "sentence_pair": "Both are read whole."}
            chars = spec["window_chars"]
            around = f"Read are {chars} characters on either side of the term."
            clause = "The clause around the term is read."
            window = whole.get(spec["style"], around if chars else clause)
            made = f"linear, TF-IDF of character n-grams, {size}. It needs NumPy alone."
            return f"Input: {style}. {window}\n\nModel: {made}\n"
        case "cascade":
            cascade, members = card["cascade"], len(card["cascade"]["thresholds"]) + 1
            sure = ", then ".join(f"{threshold:.4g}" for threshold in cascade["thresholds"])
            made = f"a cascade of {members}, {size}; the folders `1` to `{members}` are artifacts too. "
            made += f"One whose most likely label has a prob of at least {sure} answers, else the next. "
            return f"Input: {style}.\n\nModel: {made}{cascade['bound']}\n"
        case _:
            read = f"at most {spec['max_tokens']} tokens. {_window(spec)}"
            made = f"ONNX, {card['precision']}, {size} with its tokenizer. {_cost(card)}"
            return f"Input: {style}, {read}\n\nModel: {made}\n"


def _verdict(verdict: Mapping[str, Any]) -> str:
    """What the gate said, in its own words."""
    if not verdict:
        return ""
    said = [f"- {one['status']}: {one['said']}" for one in verdict["conditions"]]
    head = [f"{verdict['status']}: {verdict['headline']}\n"] if verdict.get("headline") else []
    return "\n".join(["## Verdict of the gate\n", *head, *said, ""])


def _cost(card: Mapping[str, Any]) -> str:
    match card["precision"]:
        case "mixed":
            return f"Its matrix products cost {card['products']:.2f}x those of plain int8."
        case "fp32":
            return "It takes four times the space of int8, and two to three times the time."
        case _:
            return "It gives the same integer products on every x86 processor."


_LAYERS = "Bits of the weights and of the inputs; sixteen are two parts of eight."


def _window(spec: Mapping[str, Any]) -> str:
    if spec["style"] == "single":
        return "A longer text is cut at its end."
    if spec["style"] == "sentence_pair":
        return "What is too long is cut at the ends of both."
    if spec["window_chars"] is None:
        return "Of a longer text the clauses around the term are read."
    return f"Read are {spec['window_chars']} characters on either side of the term."


def _figures(title: str, values: Mapping[str, Any], lead: str) -> str:
    if not values:
        return ""
    rows = [f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in values.items()]
    return "\n".join([f"## {title}\n", *([lead + "\n"] if lead else []), "| | |\n| --- | --- |", *rows, ""])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items())
    return str(value).replace("|", "\\|")


_HOW_TO = """## How to score

On the command line, for JSONL, CSV, TSV or Parquet with a text and a term column:

    attar score THIS_FOLDER --in reviews.csv --out scored.csv

In Python, without torch:

    import attar
    model = attar.load("THIS_FOLDER")
    model.predict(["这款粉底液遮瑕很好"], ["粉底液"])
"""

_LIMITS = """## Limits

- It always predicts one of {labels}, also for a text about something else.
- Scores hold for texts like those it was measured on; measure again on yours.
- Its probs are calibrated on those texts only.
"""

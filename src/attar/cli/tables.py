"""What the verbs print on stdout, and the log on stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from attar.errors import redacted

if TYPE_CHECKING:
    from rich.table import Table

    from attar.gate.conditions import Gate
    from attar.records.understood import Understood
    from attar.scoring.verify import Verification

__all__ = [
    "drop_columns",
    "print_bench",
    "print_cascade",
    "print_comparison",
    "print_prepared",
    "print_promotion",
    "print_summary",
    "print_understood",
    "print_verdict",
    "print_verification",
    "set_up_logging",
]

_WIDTH_OFF_TERMINAL = 250  # characters of a table's line in a file or a pipe


def print_prepared(manifest: Mapping[str, Any], out: Path) -> None:
    """The counts of a prepared folder, and where its files are."""
    for name, labels in manifest["labels"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        typer.echo(f"{name + ':':10} {sum(labels.values())} ({counts})")
    for what in ("rejected", "repaired"):
        typer.echo(f"{what}:  {manifest[f'num_{what}']} -> {out / f'{what}.jsonl'}")
    for warning in manifest.get("warnings", ()):
        typer.echo(f"warning:   {warning}")
    typer.echo(f"audit:     {out / 'audit.html'}")
    typer.echo(f"data:      {out}")


def print_understood(understood: Understood, warnings: Sequence[str]) -> None:
    """What was understood of each file, with its first rows."""
    from attar.records.understood import long_lines

    for file, counted in zip(understood.to_json(), understood.files.values(), strict=True):
        for line in long_lines(file, counted.first):
            typer.echo(line)
    for warning in warnings:
        typer.echo(f"warning:   {warning}")


def print_summary(folder: Path) -> None:
    """A report's main figures as a table, and where the report is."""
    from rich.table import Table

    from attar.evaluation.names import shown_name
    from attar.gate.words import smallest_class

    report = json.loads((folder / "report.json").read_text("utf-8"))
    found = smallest_class(report)
    smallest = f", {found[1]} of {found[0]}" if found is not None else ""
    table = Table(title=f"{report['title']}: {report['num_test']} test examples{smallest}")
    for heading in ("model", "macro-F1 (95 %)", "accuracy", "size", "examples/s", "one example"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name, model in report["models"].items():
        size, speed, latency = (model[k] for k in ("size_bytes", "examples_per_second", "latency_ms_p50"))
        table.add_row(
            shown_name(report, name),
            f"{model['macro_f1']:.3f} ({model['macro_f1_low']:.3f}-{model['macro_f1_high']:.3f})",
            f"{model['accuracy']:.3f}",
            "" if size is None else f"{size / 1e6:.1f} MB",
            "" if speed is None else f"{speed:,.0f}",
            "" if latency is None else f"{latency:.1f} ms",
        )
    _print(table, droppable=4)
    ratios, chosen = report["ratios"], shown_name(report, report["chosen"])
    if ratios["smaller"] and ratios["faster"]:
        typer.echo(
            f"{chosen} against {report['reference']}: {ratios['smaller']:.0f}x smaller, "
            f"{ratios['faster']:.0f}x faster, same label for {report['agreement']:.1%}"
        )
    typer.echo(f"report:    {folder / 'report.html'}")


def print_verdict(folder: Path, gate: Gate) -> dict[str, Any]:
    """What the gate says in a report, a line for each condition; returned as report.json has it."""
    from attar.gate.verdict import verdict_of

    verdict = verdict_of(json.loads((folder / "report.json").read_text("utf-8")), gate)
    if verdict["status"] is not None:
        typer.echo(f"verdict:   {verdict['status']}: {verdict['headline']}")
    for one in verdict["conditions"]:
        typer.echo(f"  {one['status']:<8} {one['said']} {one.get('advice', '')}".rstrip())
    return verdict


def print_promotion(folder: Path) -> dict[str, Any] | None:
    """What a report says of the new model against the one in service; None where there is none."""
    found: dict[str, Any] | None = json.loads((folder / "report.json").read_text("utf-8")).get("against")
    if found is not None:
        flips = found["flips"]
        typer.echo(f"against:   {found['decision']}: {found['said']}")
        typer.echo(
            f"flips:     {flips['fixed']:,} fixed, {flips['broken']:,} broken, {flips['both_wrong']:,} wrong "
            f"either way -> {folder / found['file']}"
        )
    return found


def print_cascade(cascade: Mapping[str, Any], members: Sequence[Path]) -> None:
    """What a cascade and its members do with the test split, and how sure each must be."""
    from rich.table import Table

    figures = cascade["figures"]["test"]
    names = {"cascade": "cascade"} | {str(number): str(one) for number, one in enumerate(members, 1)}
    answered = dict(zip(list(names)[1:], figures["cascade"]["answered"], strict=True))
    table = Table(title="on the test split", title_justify="left")
    for heading in ("", "macro-F1", "accuracy", "agrees with the last", "answers", "examples/s", "size"):
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for key, name in names.items():
        one = figures[key]
        share = "" if key == "cascade" else f"{answered[key]:.1%}"
        table.add_row(
            name, f"{one['macro_f1']:.3f}", f"{one['accuracy']:.3f}", f"{one['agreement']:.1%}", share,
            f"{one['examples_per_second']:,.0f}", f"{one['size_bytes'] / 1e6:.1f} MB",
        )  # fmt: skip
    _print(table)
    for number, threshold in enumerate(cascade["thresholds"], 1):
        typer.echo(f"answers:   {members[number - 1]} where its label has a prob of {threshold:.4f} or more")
    typer.echo(f"bound:     {cascade['bound']}")


def _print(table: Table, *, droppable: int = 0) -> None:
    """Print a table as wide as the terminal; elsewhere as wide as it needs, so that no cell is cut.

    Args:
        table: The table.
        droppable: How many columns, from the last, may be left out where a terminal is too narrow.
    """
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OFF_TERMINAL)
    left_out = drop_columns(table, console.width, droppable)
    console.print(table)
    if left_out:
        typer.echo(f"left out:  {', '.join(left_out)} (the terminal has {console.width} columns)")


def drop_columns(table: Table, width: int, droppable: int) -> list[str]:
    """Drop columns of a table, from the last on, until no cell of it is cut.

    Args:
        table: The table.
        width: Of the terminal.
        droppable: How many may go.

    Returns:
        The headings of those that went.
    """
    from rich.console import Console
    from rich.measure import Measurement

    wide = Console(width=_WIDTH_OFF_TERMINAL)
    left_out = list[str]()
    while droppable > len(left_out) and Measurement.get(wide, wide.options, table).maximum > width:
        left_out.insert(0, str(table.columns.pop().header))
    return left_out


def print_comparison(figures: Mapping[str, Any]) -> None:
    """The main figures of ``attar compare`` as a table, and how many rows each sheet has."""
    from rich.table import Table

    table = Table()
    for heading in ("", "predictions", "with gold", "accuracy", "macro-F1"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, counts in figures["sides"].items():
        scores = ("" if counts[key] is None else f"{counts[key]:.3f}" for key in ("accuracy", "macro_f1"))
        table.add_row(name, f"{counts['num']:,}", f"{counts['num_gold']:,}", *scores)
    _print(table)
    for pair in figures["agreement"]:
        who = f" of {pair['first']} and {pair['second']}" if len(figures["sides"]) > 2 else ""
        agreed = f"{pair['num_same']:,} of {pair['num_both']:,} ({pair['share']:.1%})"
        typer.echo(f"agreement: {agreed}{who}, Cohen's kappa {_kappa(pair['kappa'])}")
    for pair in figures["differences"]:
        typer.echo(f"difference: {_difference(pair)}")
    if annotators := figures["annotators"]:
        for pair in annotators["pairs"]:
            who = " and ".join(pair["annotators"])
            typer.echo(f"annotators: {who}, {pair['num_spans']:,}, Cohen's kappa {_kappa(pair['kappa'])}")
        if "fleiss" in annotators:
            num, kappa = annotators["num_all"], _kappa(annotators["fleiss"])
            typer.echo(f"annotators: all {len(annotators['names'])}, {num:,}, Fleiss' kappa {kappa}")
    for line in figures["said"]:
        typer.echo(f"note:      {line}")
    sheets = ", ".join(f"{title} {count:,}" for title, count in figures["sheets"].items())
    typer.echo(f"sheets:    {sheets}")


def _difference(pair: Mapping[str, Any]) -> str:
    """How the second of a pair differs from the first, in one line."""
    gap, test = pair["macro_f1"], pair["mcnemar"]
    value, low, high = (f"{100 * gap[key]:+.1f}" for key in ("value", "low", "high"))
    said = "better" if gap["low"] > 0 else "worse" if gap["high"] < 0 else "not certain"
    return (
        f"{pair['second']} minus {pair['first']}: {value} points of macro-F1 [{low}, {high}], {said}; "
        f"{pair['num']:,} questions, {test['only_second']:,} only the former has right, "
        f"{test['only_first']:,} only the latter, McNemar's p {test['p']:.2g}"
    )


def _kappa(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def print_verification(found: Verification) -> None:
    """The result of ``attar verify`` as a table."""
    from rich.table import Table

    compared = found.compared
    here, allowed = compared.found, compared.allowed
    verdict = "the same as where it was exported" if compared.passed else "not as where it was exported"
    table = Table(show_header=False)
    table.add_row("processor", found.processor)
    table.add_row("computed by", found.runtime)
    table.add_row("precision", found.precision)
    table.add_row("stored inputs", f"{compared.num}")
    table.add_row("largest difference", f"{here.largest:.2g} ({allowed.largest:.2g} allowed)")
    table.add_row("median difference", f"{here.median:.2g} ({allowed.median:.2g} allowed)")
    table.add_row("labels that differ", f"{compared.changed}")
    table.add_row("verdict", verdict)
    _print(table)


def print_bench(figures: Mapping[str, Any]) -> None:
    """The figures of ``attar bench`` as a table, one column per model."""
    from rich.table import Table

    table = Table(title="text to label, one interleaved run", title_justify="left")
    table.add_column()
    for name in figures["models"]:
        table.add_column(name, justify="right", overflow="fold")
    columns = [_bench_column(model, figures) for model in figures["models"].values()]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    _print(table)
    machine, data = figures["machine"], figures["data"]
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    typer.echo(
        f"machine:   {machine['cpu']}, {machine['cores']} cores{flags}, onnxruntime {machine['onnxruntime']}"
    )
    tokens = "" if data["mean_tokens"] is None else f" of {data['mean_tokens']:.0f} tokens"
    typer.echo(f"data:      {data['source']}, {data['examples']:,} examples{tokens}")


def _bench_column(model: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, str]:
    """The cells of one model by the name of their row."""
    fast, alone, cold = model["all_cores"], model["one_core"], model["cold_start"]
    cpu_ms = 1000 * fast["cpu_seconds"] / (fast["num_examples"] * len(fast["rounds"]))
    slowest, fastest = fast["examples_per_second_low"], fast["examples_per_second_high"]
    workers, price = figures["workers"], figures["price_per_core_hour"]
    return {
        f"examples/s, {workers} worker{'s' * (workers != 1)}": f"{fast['examples_per_second']:,.0f}",
        "slowest-fastest round": f"{slowest:,.0f}-{fastest:,.0f}",
        "CPU ms an example": f"{cpu_ms:.3g}",
        "speed-up of the first": f"{model['times_slower']:.3g}x",
        "examples/s, one worker": f"{alone['examples_per_second']:,.0f}",
        "one example, p50": f"{alone['latency_ms_p50']:.2f} ms",
        "one example, p99": f"{alone['latency_ms_p99']:.2f} ms",
        "one example, CPU p50": f"{alone['latency_cpu_ms_p50']:.2f} ms",
        "cold start": f"{cold['start_up_seconds']:.2f} s",
        "resident memory": f"{cold['resident_bytes'] / 1e6:,.0f} MB",
        "file": f"{model['size_bytes'] / 1e6:.1f} MB",
        f"price a million, {price:g} a core-hour": f"{model['price_per_million']:.3g}",
    }


class _Redacted(logging.Filter):
    """Takes out of every line what may be secret in the addresses in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        return True


def set_up_logging() -> None:
    """Send attar's log to stderr: with colours on a terminal, one dated line per message elsewhere."""
    from rich.console import Console
    from rich.logging import RichHandler

    from attar.progress import hide_library_bars

    console = Console(stderr=True)
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
        line_format = "%(message)s"
    else:  # a file or a pipe: one line a message, however long, so that it can be searched
        handler, line_format = logging.StreamHandler(), "%(asctime)s %(levelname)-7s %(message)s"
    handler.addFilter(_Redacted())
    logging.basicConfig(
        level=logging.WARNING, format=line_format, datefmt="%Y-%m-%d %H:%M:%S", handlers=[handler]
    )
    logging.getLogger("attar").setLevel(logging.INFO)
    hide_library_bars()

"""What the verbs print on stdout, and the log on stderr."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from attar.errors import redacted
from attar.language.translator import ENGLISH, N_, Translator

if TYPE_CHECKING:
    from rich.table import Table

    from attar.gate.conditions import Gate
    from attar.records.understood import Understood
    from attar.scoring.verify import Verification

__all__ = [
    "drop_columns",
    "print_bench",
    "print_cascade",
    "print_prepared",
    "print_promotion",
    "print_summary",
    "print_table",
    "print_understood",
    "print_verdict",
    "print_verification",
    "set_up_logging",
]

_SPLITS = {"train": N_("train"), "dev": N_("dev"), "test": N_("test")}
_WIDTH_OFF_TERMINAL = 250  # characters of a table's line in a file or a pipe


def print_prepared(manifest: Mapping[str, Any], out: Path, tr: Translator = ENGLISH) -> None:
    """The counts of a prepared folder, and where its files are."""
    from attar.records.audit.page import PAGES

    for name, labels in manifest["labels"].items():
        counts = ", ".join(f"{label} {count}" for label, count in labels.items())
        typer.echo(f"{tr(_SPLITS.get(name, name)) + ':':10} {sum(labels.values())} ({counts})")
    rejected, repaired = out / "rejected.jsonl", out / "repaired.jsonl"
    typer.echo(tr("rejected:  {count} -> {path}", count=str(manifest["num_rejected"]), path=rejected))
    typer.echo(tr("repaired:  {count} -> {path}", count=str(manifest["num_repaired"]), path=repaired))
    for warning in manifest.get("warnings", ()):
        typer.echo(tr("warning:   {said}", said=warning))
    page = out / PAGES[tr.language]
    typer.echo(tr("audit:     {path}", path=page if page.is_file() else out / PAGES["en"]))
    typer.echo(tr("data:      {path}", path=out))


def print_understood(understood: Understood, warnings: Sequence[str], tr: Translator = ENGLISH) -> None:
    """What was understood of each file, with its first rows."""
    from attar.records.understood import long_lines

    for file, counted in zip(understood.to_json(), understood.files.values(), strict=True):
        for line in long_lines(file, counted.first, tr):
            typer.echo(line)
    for warning in warnings:
        typer.echo(tr("warning:   {said}", said=warning))


def print_summary(folder: Path, tr: Translator = ENGLISH) -> None:
    """A report's main figures as a table, and where the report is."""
    from rich.table import Table

    from attar.evaluation.names import PAGES, shown_name
    from attar.gate.words import smallest_class

    report = json.loads((folder / "report.json").read_text("utf-8"))
    found = smallest_class(report)
    smallest = tr(", {num} of {label}", num=str(found[1]), label=found[0]) if found is not None else ""
    num, title = str(report["num_test"]), report["title"]
    table = Table(title=tr("{title}: {num} test examples{smallest}", title=title, num=num, smallest=smallest))
    table.add_column(tr("model"))
    headings = (tr("accuracy"), tr("size"), tr("examples/s"), tr("one example"))
    for heading in (tr("macro-F1 (95 %)"), *headings):
        table.add_column(heading, justify="right")
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
    print_table(table, droppable=4, tr=tr)
    ratios, chosen = report["ratios"], shown_name(report, report["chosen"])
    if ratios["smaller"] and ratios["faster"]:
        line = tr(
            "{model} against {reference}: {smaller}x smaller, {faster}x faster, same label for {share}",
            model=chosen, reference=report["reference"], smaller=f"{ratios['smaller']:.0f}",
            faster=f"{ratios['faster']:.0f}", share=f"{report['agreement']:.1%}",
        )  # fmt: skip
        typer.echo(line)
    page = folder / PAGES[tr.language]
    typer.echo(tr("report:    {path}", path=page if page.is_file() else folder / PAGES["en"]))


def print_verdict(folder: Path, gate: Gate, tr: Translator = ENGLISH) -> dict[str, Any]:
    """What the gate says in a report, a line for each condition; returned as report.json has it."""
    from attar.gate.verdict import STATUSES, judge, verdict_of

    report = json.loads((folder / "report.json").read_text("utf-8"))
    verdict = verdict_of(report, gate)
    shown = verdict if tr.language == ENGLISH.language else judge(report, gate, tr).to_json()
    if shown["status"] is not None:
        status = tr(STATUSES[shown["status"]])
        typer.echo(tr("verdict:   {status}: {said}", status=status, said=shown["headline"]))
    for one in shown["conditions"]:
        typer.echo(f"  {tr(STATUSES[one['status']]):<8} {one['said']} {one.get('advice', '')}".rstrip())
    return verdict


def print_promotion(folder: Path, tr: Translator = ENGLISH) -> dict[str, Any] | None:
    """What a report says of the new model against the one in service; None where there is none."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    found: dict[str, Any] | None = report.get("against")
    if found is not None:
        from attar.gate.in_service import DECISIONS, promotion_of

        shown, flips = promotion_of(report, tr), found["flips"]
        typer.echo(
            tr("against:   {decision}: {said}", decision=tr(DECISIONS[shown["decision"]]), said=shown["said"])
        )
        line = tr(
            "flips:     {fixed} fixed, {broken} broken, {both} wrong either way -> {path}",
            fixed=flips["fixed"], broken=flips["broken"], both=flips["both_wrong"],
            path=folder / found["file"],
        )  # fmt: skip
        typer.echo(line)
    return found


def print_cascade(cascade: Mapping[str, Any], members: Sequence[Path], tr: Translator = ENGLISH) -> None:
    """What a cascade and its members do with the test split, and how sure each must be."""
    from rich.table import Table

    figures = cascade["figures"]["test"]
    names = {"cascade": tr("cascade")} | {str(number): str(one) for number, one in enumerate(members, 1)}
    answered = dict(zip(list(names)[1:], figures["cascade"]["answered"], strict=True))
    table = Table(title=tr("on the test split"), title_justify="left")
    headings = (tr("accuracy"), tr("agrees with the last"), tr("answers"), tr("examples/s"), tr("size"))
    for heading in ("", tr("macro-F1"), *headings):
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for key, name in names.items():
        one = figures[key]
        share = "" if key == "cascade" else f"{answered[key]:.1%}"
        table.add_row(
            name, f"{one['macro_f1']:.3f}", f"{one['accuracy']:.3f}", f"{one['agreement']:.1%}", share,
            f"{one['examples_per_second']:,.0f}", f"{one['size_bytes'] / 1e6:.1f} MB",
        )  # fmt: skip
    print_table(table)
    if others := cascade["figures"].get("dev_by_agreement"):  # cascades made before have none
        print_table(_by_agreement(others, cascade["figures"]["agreement_asked"], tr))
    for number, threshold in enumerate(cascade["thresholds"], 1):
        line = tr(
            "answers:   {member} where its label has a prob of {threshold} or more",
            member=members[number - 1], threshold=f"{threshold:.4f}",
        )  # fmt: skip
        typer.echo(line)
    typer.echo(tr("bound:     {said}", said=_bound(cascade, tr)))


def _bound(cascade: Mapping[str, Any], tr: Translator) -> str:
    """The card's sentence, in the language of the tables."""
    from attar.cascade.thresholds import Bound
    from attar.cascade.words import bound_in_words

    found = cascade["figures"]
    bound = Bound(*(found[name] for name in Bound._fields))
    return bound_in_words(bound, found["agreement_asked"], found.get("confidence", 0.95), tr)


def _by_agreement(found: Sequence[Mapping[str, float]], asked: float, tr: Translator) -> Table:
    """What each agreement gives."""
    from rich.table import Table

    title = tr("what another --agreement would give, on dev")
    table = Table(title=title, title_justify="left")
    for heading in (tr("agreement"), tr("macro-F1"), tr("passed on"), tr("x the last one's rate")):
        table.add_column(heading, justify="right")
    for one in found:
        shown = f"{one['agreement']:.4g}"
        table.add_row(
            tr("{agreement} (this)", agreement=shown) if one["agreement"] == asked else shown,
            f"{one['macro_f1']:.3f}", f"{one['passed_on']:.1%}", f"{one['times']:.1f}",
        )  # fmt: skip
    return table


def print_table(table: Table, *, droppable: int = 0, tr: Translator = ENGLISH) -> None:
    """Print a table as wide as the terminal; elsewhere as wide as it needs, so that no cell is cut.

    Args:
        table: The table.
        droppable: How many columns, from the last, may be left out where a terminal is too narrow.
        tr: Of the language to say that in.
    """
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OFF_TERMINAL)
    left_out = drop_columns(table, console.width, droppable)
    console.print(table)
    if left_out:
        line = tr(
            "left out:  {columns} (the terminal has {num} columns)",
            columns=", ".join(left_out), num=str(console.width),
        )  # fmt: skip
        typer.echo(line)


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


def print_verification(found: Verification, tr: Translator = ENGLISH) -> None:
    """The result of ``attar verify`` as a table."""
    from rich.table import Table

    compared = found.compared
    here, allowed = compared.found, compared.allowed
    same, other = tr("the same as where it was exported"), tr("not as where it was exported")
    table = Table(show_header=False)
    table.add_row(tr("processor"), found.processor)
    table.add_row(tr("computed by"), found.runtime)
    table.add_row(tr("precision"), found.precision)
    table.add_row(tr("stored inputs"), f"{compared.num}")
    for name, value, most in (
        (tr("largest difference"), here.largest, allowed.largest),
        (tr("median difference"), here.median, allowed.median),
    ):
        table.add_row(name, tr("{value} ({most} allowed)", value=f"{value:.2g}", most=f"{most:.2g}"))
    table.add_row(tr("labels that differ"), f"{compared.changed}")
    table.add_row(tr("verdict"), same if compared.passed else other)
    print_table(table)


def print_bench(figures: Mapping[str, Any], tr: Translator = ENGLISH) -> None:
    """The figures of ``attar bench`` as a table, one column per model."""
    from rich.table import Table

    table = Table(title=tr("text to label, one interleaved run"), title_justify="left")
    table.add_column()
    for name in figures["models"]:
        table.add_column(name, justify="right", overflow="fold")
    columns = [_bench_column(model, figures, tr) for model in figures["models"].values()]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    print_table(table)
    machine, data = figures["machine"], figures["data"]
    flags = f" ({', '.join(machine['flags'])})" if machine["flags"] else ""
    line = tr(
        "machine:   {cpu}, {cores} cores{flags}, onnxruntime {version}",
        cpu=machine["cpu"], cores=machine["cores"], flags=flags, version=machine["onnxruntime"],
    )  # fmt: skip
    typer.echo(line)
    mean = data["mean_tokens"]
    tokens = "" if mean is None else tr(" of {num} tokens", num=f"{mean:.0f}")
    typer.echo(
        tr("data:      {source}, {num} examples", source=data["source"], num=data["examples"]) + tokens
    )


def _bench_column(model: Mapping[str, Any], figures: Mapping[str, Any], tr: Translator) -> dict[str, str]:
    """The cells of one model by the name of their row."""
    fast, alone, cold = model["all_cores"], model["one_core"], model["cold_start"]
    cpu_ms = 1000 * fast["cpu_seconds"] / (fast["num_examples"] * len(fast["rounds"]))
    slowest, fastest = fast["examples_per_second_low"], fast["examples_per_second_high"]
    workers, price = figures["workers"], figures["price_per_core_hour"]
    return {
        tr.plural(
            "examples/s, {num} worker", "examples/s, {num} workers", workers
        ): f"{fast['examples_per_second']:,.0f}",
        tr("slowest-fastest round"): f"{slowest:,.0f}-{fastest:,.0f}",
        tr("CPU ms an example"): f"{cpu_ms:.3g}",
        tr("speed-up of the first"): f"{model['times_slower']:.3g}x",
        tr("examples/s, one worker"): f"{alone['examples_per_second']:,.0f}",
        tr("one example, p50"): f"{alone['latency_ms_p50']:.2f} ms",
        tr("one example, p99"): f"{alone['latency_ms_p99']:.2f} ms",
        tr("one example, CPU p50"): f"{alone['latency_cpu_ms_p50']:.2f} ms",
        tr("cold start"): f"{cold['start_up_seconds']:.2f} s",
        tr("resident memory"): f"{cold['resident_bytes'] / 1e6:,.0f} MB",
        tr("file"): f"{model['size_bytes'] / 1e6:.1f} MB",
        tr("price a million, {price} a core-hour", price=f"{price:g}"): f"{model['price_per_million']:.3g}",
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

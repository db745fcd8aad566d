"""What ``attar compare`` prints on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from attar.cli.tables import print_table
from attar.language.translator import ENGLISH, Translator

__all__ = ["print_comparison"]


def print_comparison(figures: Mapping[str, Any], tr: Translator = ENGLISH) -> None:
    """The main figures of ``attar compare`` as a table, and how many rows each sheet has."""
    from rich.table import Table

    table = Table()
    for heading in ("", tr("predictions"), tr("with gold"), tr("accuracy"), tr("macro-F1")):
        table.add_column(heading, justify="right" if heading else "left")
    for name, counts in figures["sides"].items():
        scores = ("" if counts[key] is None else f"{counts[key]:.3f}" for key in ("accuracy", "macro_f1"))
        table.add_row(name, f"{counts['num']:,}", f"{counts['num_gold']:,}", *scores)
    print_table(table)
    for pair in figures["agreement"]:
        who = ""
        if len(figures["sides"]) > 2:
            who = tr(" of {first} and {second}", first=pair["first"], second=pair["second"])
        line = tr(
            "agreement: {same} of {both} ({share}){who}, Cohen's kappa {kappa}",
            same=pair["num_same"], both=pair["num_both"], share=f"{pair['share']:.1%}", who=who,
            kappa=_kappa(pair["kappa"]),
        )  # fmt: skip
        typer.echo(line)
    for pair in figures["differences"]:
        typer.echo(_difference(pair, tr))
    _print_annotators(figures["annotators"], tr)
    for line in figures["said"]:
        typer.echo(tr("note:      {said}", said=line))
    sheets = ", ".join(f"{title} {count:,}" for title, count in figures["sheets"].items())
    typer.echo(tr("sheets:    {sheets}", sheets=sheets))


def _print_annotators(found: Mapping[str, Any] | None, tr: Translator) -> None:
    if not found:
        return
    for pair in found["pairs"]:
        who, kappa = tr(" and ").join(pair["annotators"]), _kappa(pair["kappa"])
        line = tr(
            "annotators: {who}, {num}, Cohen's kappa {kappa}", who=who, num=pair["num_spans"], kappa=kappa
        )
        typer.echo(line)
    if "fleiss" in found:
        line = tr(
            "annotators: all {all}, {num}, Fleiss' kappa {kappa}",
            all=len(found["names"]), num=found["num_all"], kappa=_kappa(found["fleiss"]),
        )  # fmt: skip
        typer.echo(line)


def _difference(pair: Mapping[str, Any], tr: Translator) -> str:
    """How the second of a pair differs from the first, in one line."""
    gap, test = pair["macro_f1"], pair["mcnemar"]
    value, low, high = (f"{100 * gap[key]:+.1f}" for key in ("value", "low", "high"))
    said = tr("better") if gap["low"] > 0 else tr("worse") if gap["high"] < 0 else tr("not certain")
    return tr(
        "difference: {second} minus {first}: {value} points of macro-F1 [{low}, {high}], {said}; "
        "{num} questions, {only_second} only the former has right, {only_first} only the latter, "
        "McNemar's p {p}",
        second=pair["second"], first=pair["first"], value=value, low=low, high=high, said=said,
        num=pair["num"], only_second=test["only_second"], only_first=test["only_first"], p=f"{test['p']:.2g}",
    )  # fmt: skip


def _kappa(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

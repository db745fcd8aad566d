"""What all scripts share: command line, progress, tables, and their blocks in docs/results.md."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.errors import AttarError
from attar.io.files import atomic_write


def command_line(description: str | None, epilog: str | None = None) -> argparse.ArgumentParser:
    """A parser that keeps the lines of a script's docstring, with ``--results``."""
    made = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--results", type=Path, help="page whose block is replaced, e.g. docs/results.md")
    return made


def chosen_sides(names: str, known: Collection[str]) -> list[str]:
    """The sides of a comma-separated list.

    Raises:
        AttarError: One is not known.
    """
    sides = names.split(",")
    if unknown := [name for name in sides if name not in known]:
        raise AttarError(f"--sides: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return sides


def say(message: str) -> None:
    """A line of progress on stderr."""
    with contextlib.suppress(BrokenPipeError):
        print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


def machine_line(machine: Mapping[str, Any], cores: int) -> str:
    """One line on the machine that ``attar.system_info.system_info`` found, and how many cores were used."""
    flags = ", ".join(machine["flags"]) or "no vector flags known"
    return f"{cores} core{'s' * (cores != 1)} of {machine['cpu']} ({flags}), Python {machine['python']}"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, a cell a head in every row."""
    lines = ["| --- " * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return [f"| {' | '.join(heads)} |".replace("|  |", "| |"), *lines]


def short_number(value: float) -> str:
    """Three digits that mean something; all of them from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def publish(page: Path | None, name: str, heading: str, lines: Sequence[str]) -> None:
    """Print lines of Markdown and put them between a page's markers of a name.

    Args:
        page: A Markdown file; None only prints.
        name: Of the markers, ``<!-- name -->`` and ``<!-- /name -->``.
        heading: A section of this heading is added at the end where the page has no markers.
        lines: Markdown.
    """
    print("\n".join(lines))
    if page is None:
        return
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text("utf-8")
    if begin not in text:
        text = f"{text.rstrip()}\n\n## {heading}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    with atomic_write(page) as draft:
        draft.write_text("\n".join([before + begin, *lines, end + after]), "utf-8")

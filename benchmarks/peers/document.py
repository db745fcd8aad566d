"""What the scripts write into docs/results.md: blocks between their own markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.io.files import atomic_write

__all__ = ["machine_line", "write_block"]


def machine_line(machine: Mapping[str, Any], cores: int) -> str:
    """One line on the machine.

    Args:
        machine: From ``attar.system_info.machine``.
        cores: How many were used.
    """
    flags = ", ".join(machine["flags"]) or "no vector flags known"
    return f"{cores} core{'s' * (cores != 1)} of {machine['cpu']} ({flags}), Python {machine['python']}"


def write_block(page: Path, name: str, heading: str, lines: Sequence[str]) -> None:
    """Replace what stands between a page's markers of a name.

    Args:
        page: A Markdown file.
        name: Of the markers, ``<!-- name -->`` and ``<!-- /name -->``.
        heading: A section of this heading is added at the end where the page has no markers.
        lines: Markdown.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text("utf-8")
    if begin not in text:
        text = f"{text.rstrip()}\n\n## {heading}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    with atomic_write(page) as draft:
        draft.write_text("\n".join([before + begin, *lines, end + after]), "utf-8")

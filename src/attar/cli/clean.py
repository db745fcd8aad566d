"""``attar clean``: what killed commands left, and its removal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.cli.options import Lang, lines_in
from attar.errors import RunError

if TYPE_CHECKING:
    from attar.io.leftovers import Leftover

__all__ = ["clean"]


def clean(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER...", help="Where to look, at whatever depth. [default: runs]"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    lang: Lang = None,
) -> None:
    """Show what killed commands left, with size and age; remove it with `--yes`.

    Drafts (`NAME.draft`), earlier results that were being replaced (`NAME.replaced`), what killed jobs
    computed (`OUT.parts`), fetches and temporary files. A draft and the parts of a job hold what their
    command would resume from. What attar did not write is never listed, and what a command is working on
    now is left alone.
    """
    tr = lines_in(lang)
    from attar.io.leftovers import leftovers

    places = folders or [Path("runs")]
    for place in places:
        if not place.is_dir():
            raise RunError(f"{place}: no such folder; name those to look into: attar clean FOLDER...")
    found = [one for place in places for one in leftovers(place)]
    removed = 0
    for one in found:
        state = _remove(one) if yes else ""
        removed += one.num_bytes if state == "removed" else 0
        typer.echo(f"{_size(one.num_bytes):>9}  {_age(one.age_s):>7}  {one.path}  {one.what}{_said(state)}")
    if not found:
        typer.echo(tr("nothing is left of killed commands"))
    elif yes:
        typer.echo(tr("removed:   {size}", size=_size(removed)))
    else:
        total = sum(one.num_bytes for one in found)
        typer.echo(tr("in all:    {size}; the same with --yes removes it", size=_size(total)))


def _remove(one: Leftover) -> str:
    """Remove a leftover unless a process is at work on it; an interrupted replacement is finished."""
    from attar.io.files import remove_unused
    from attar.io.folders import remove_folder
    from attar.io.job_parts import is_held, job_lock, remove_job
    from attar.io.locks import locked
    from attar.io.publish import mend

    try:
        if one.is_job:
            if is_held(one.path):  # a job resumed it, or ended, since it was listed
                return "in use" if one.path.exists() else "mended"
            with job_lock(one.path):
                remove_job(one.path)
            return "removed"
        with locked(one.belongs_to):
            mend(one.belongs_to)
            if not one.path.exists():
                return "mended"
            if not one.path.is_dir():
                return "removed" if remove_unused(one.path) else "in use"
            remove_folder(one.path)
    except RunError:
        return "in use"
    return "removed"


def _said(state: str) -> str:
    return f": {state}" if state else ""


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"

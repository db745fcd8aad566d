"""The part ``out``: a wrong ``--out`` is refused before anything is touched.

Each verb is given each of its inputs as its output, by every way that leads there, and each kind of thing
that no result may replace. It ends with one line and exit code 2, and everything in the place, inputs above
all, is as it was.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from torturing.forks import Forks
from torturing.parts import Row, Torture
from torturing.place import VERBS, Place, Verb, make_place
from torturing.snapshots import difference, snapshot

__all__ = ["Wrong", "make_wrong_things", "outs", "verb_with_wrong_outs", "wrong_outs"]

Wrong = tuple[str, str]
"""What is wrong with an output, and the output."""


def outs(torture: Torture) -> Iterator[Row]:
    """Each verb with each wrong output."""
    with Forks() as forks:
        place = make_place(torture.folder / "place", forks)
        make_wrong_things(place)
        for name in VERBS:
            if torture.is_over:
                return
            yield verb_with_wrong_outs(place, name, is_over=lambda: torture.is_over)


def verb_with_wrong_outs(
    place: Place, name: str, *, every: int = 1, is_over: Callable[[], bool] = lambda: False
) -> Row:
    """One verb with every so-manieth wrong output."""
    verb = VERBS[name]
    row = Row(f"`{name}` with a wrong `--out`")
    before = snapshot(place.folder, whole=True)
    for what, out in list(wrong_outs(place, verb))[::every]:
        if is_over():
            row.is_cut = True
            break
        done = place.forks.attar(verb.command(place, out), place.folder)
        now = snapshot(place.folder, whole=True)
        fault = done.fault(2) or difference(now, before)
        row.fail(f"{name}, {what}: {fault}") if fault else row.add("refused, nothing touched")
        before = now
    return row


def make_wrong_things(place: Place) -> None:
    """Make the links and the things that no output may be."""
    wrong = place.at("wrong")
    (wrong / "thesis").mkdir(parents=True)
    (wrong / "thesis" / "thesis.tex").write_text("years of work")
    (wrong / "file").write_text("years of work")
    for ending in sorted({Path(verb.result).suffix for verb in VERBS.values()} - {""}):
        (wrong / f"folder{ending}").mkdir()
        (wrong / f"folder{ending}" / "notes").write_text("years of work")
        os.mkfifo(wrong / f"pipe{ending}")
        _make_socket(wrong / f"socket{ending}")
        if os.geteuid() == 0:
            os.mknod(wrong / f"device{ending}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(wrong / "pipe")
    (wrong / "loop").symlink_to(wrong / "loop")
    (wrong / "all").symlink_to(place.folder)
    for path in place.folder.iterdir():
        if path != wrong:
            (wrong / f"link-{path.name}").symlink_to(path)
            if path.is_file():
                (wrong / f"hard-{path.name}").hardlink_to(path)


def _make_socket(path: Path) -> None:
    """A socket that nobody listens on any more."""
    here = Path.cwd()
    os.chdir(path.parent)  # the whole path is longer than a socket's may be
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def wrong_outs(place: Place, verb: Verb) -> Iterator[Wrong]:
    """Every wrong output of a verb."""
    for name in verb.inputs:
        yield from _outs_that_are_read(place, verb, name)
    yield from _outs_that_are_none(place, verb)
    if verb.kind == "file":
        yield from _files_that_are_none(place, Path(verb.result).suffix)
    else:
        yield from _folders_that_are_none(place, verb)


def _outs_that_are_read(place: Place, verb: Verb, name: str) -> Iterator[Wrong]:
    """An input, by every way that leads to it, and what lies in it."""
    path, wrong, ending = place.at(name), place.at("wrong"), Path(verb.result).suffix
    if verb.kind == "file" and path.is_file() and path.suffix != ending:
        return  # another ending is another error: that file cannot be written
    if verb.kind != "file" or path.is_file():
        yield f"its input {name}", str(path)
        yield f"its input {name} by ..", str(path.parent / "wrong" / ".." / name)
        yield f"its input {name} by a relative path", name
        yield f"its input {name} by a link", str(wrong / f"link-{name}")
        yield f"its input {name} by a link to the folder above", str(wrong / "all" / name)
    if path.is_file():
        yield f"its input {name} by a hard link", str(wrong / f"hard-{name}")
        yield f"within its input {name}, a file", str(path / f"new{ending}")
        return
    yield f"within its input {name}", str(path / f"new{ending}")
    yield f"deep within its input {name}", str(path / "deep" / f"new{ending}")
    yield f"within its input {name} by a link", str(wrong / f"link-{name}" / f"new{ending}")
    for inner in sorted(path.iterdir()):
        if verb.kind == "file" and inner.suffix == ending:
            yield f"a file of its input {name}", str(inner)


def _outs_that_are_none(place: Place, verb: Verb) -> Iterator[Wrong]:
    """Names that nothing can have."""
    ending, wrong = Path(verb.result).suffix, place.at("wrong")
    yield "NUL", f"{wrong}/a\0b{ending}"
    yield "a name of 300 bytes", f"{wrong}/{'n' * 300}{ending}"
    yield "a name of 300 bytes in Chinese", f"{wrong}/{'名' * 100}{ending}"
    yield "a path of 5,000 bytes", f"{wrong}/{'deep/' * 1000}out{ending}"
    yield "below a file", str(wrong / "file" / f"out{ending}")
    yield "a link to itself", str(wrong / "loop" / f"out{ending}")
    yield "where nothing can be made", f"/proc/out{ending}"
    if verb.name != "bench":  # which may write into the folder that it runs in
        yield "an empty name", ""


def _files_that_are_none(place: Place, ending: str) -> Iterator[Wrong]:
    wrong = place.at("wrong")
    for kind in ("folder", "pipe", "socket", "device"):
        if (path := wrong / f"{kind}{ending}").exists():
            yield f"a {kind}", str(path)
    yield "an unknown ending", str(wrong / "out.doc")


def _folders_that_are_none(place: Place, verb: Verb) -> Iterator[Wrong]:
    wrong = place.at("wrong")
    yield "a file", str(wrong / "file")
    yield "a pipe", str(wrong / "pipe")
    yield "a link to itself", str(wrong / "loop")
    if verb.name == "bench":  # its two files join what is in a folder
        return
    yield "somebody's folder", str(wrong / "thesis")
    yield "the folder that it runs in", "."
    yield "a folder above its inputs", str(place.folder)
    yield "the root", "/"
    if verb.kind == "stage":
        own = {"prepare": "data", "train": "teacher", "distill": "student", "export": "artifact"}
        for other in ("data", "teacher", "student", "artifact"):
            if other not in (own.get(verb.name), *verb.inputs):
                yield f"another stage's folder, {other}", str(place.at(other))

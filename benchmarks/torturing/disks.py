"""The part ``disks``: disks that are full, or read-only, cost no finished work.

Each verb writes to small file systems in memory, each of which has room for another share of its result
beside the earlier one. It ends with one line and exit code 2, or is done where there was room after all; the
earlier result stands. With more room the same command ends as ever. Then the file system is made
read-only: what is up to date is read, all else is refused in a line. Mounting needs root.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torturing.forks import Done, Forks
from torturing.parts import Row, Torture
from torturing.place import VERBS, Place, Verb, make_place
from torturing.snapshots import Snapshot, difference, hidden, snapshot

__all__ = ["can_mount", "disks", "mounted", "verb_on_disks"]

SHARES = (0.1, 0.4, 0.7, 1.0, 1.8)
"""Of the room that a result needs: what is free beside the earlier one."""

_PAGE = 4096
_PLENTY = 64 << 20  # bytes


def disks(torture: Torture) -> Iterator[Row]:
    """Each verb on file systems of five sizes and on a read-only one."""
    if not can_mount(torture.folder):
        yield Row("nothing: mounting a file system needs root")
        return
    with Forks() as forks:
        place = make_place(torture.folder / "place", forks)
        for name in VERBS:
            if torture.is_over:
                return
            every = 3 if torture.is_short else 1
            yield verb_on_disks(place, name, SHARES, every=every, is_over=lambda: torture.is_over)


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    disk = folder / "disk"
    try:
        with mounted(disk, _PAGE):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextlib.contextmanager
def mounted(disk: Path, size: int) -> Iterator[None]:
    """A file system in memory of some size in bytes at a new folder."""
    disk.mkdir(parents=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk))
        try:
            yield
        finally:
            subprocess.run(["umount", str(disk)], check=True, capture_output=True)  # noqa: S603, S607
    finally:
        disk.rmdir()


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)  # noqa: S603, S607


def verb_on_disks(
    place: Place,
    name: str,
    shares: Sequence[float],
    *,
    every: int = 1,
    is_over: Callable[[], bool] = lambda: False,
) -> Row:
    """One verb on file systems of as many sizes as there are shares, and on a read-only one.

    Args:
        place: What it reads.
        name: Of the verb.
        shares: See ``SHARES``. With the first a stage asks for room before it begins; with the others it
            finds out late.
        every: In one of so many sizes the same command is then given with more room.
        is_over: Whether to stop.
    """
    row = Row(f"`{name}`, no room or read-only")
    trial = _Trial.of(place, VERBS[name])
    for number, share in enumerate(shares):
        if is_over():
            row.is_cut = True
            break
        free = int(share * trial.new_size / _PAGE) * _PAGE
        with mounted(trial.disk, trial.old_size + free):
            shutil.copytree(trial.older, trial.disk, dirs_exist_ok=True)
            trial.full(row, f"{share:.0%} of the room", is_room_checked=not number)
            if not number % every:
                _mount("-o", f"remount,size={_PLENTY}", str(trial.disk))
                trial.ends(row)
            if not number:
                _mount("-o", "remount,ro", str(trial.disk))
                trial.read_only(row)
    shutil.rmtree(trial.older)
    return row


@dataclass(slots=True)
class _Trial:
    """A verb, an earlier result, and what the verb makes of it where there is room."""

    place: Place
    verb: Verb
    disk: Path
    older: Path
    old: Snapshot
    new: Snapshot
    old_size: int
    new_size: int

    @classmethod
    def of(cls, place: Place, verb: Verb) -> _Trial:
        disk, older = place.at("disk"), place.at("older-result")
        older.mkdir()
        (older / "ballast").write_bytes(bytes(_PAGE))  # a file system cannot have no room at all
        if verb.replaces:
            out = older / verb.result
            _expect(place.forks.attar(verb.command(place, out, other=True), place.folder))
        old, old_size = snapshot(older), _size(older)
        with mounted(disk, _PLENTY):
            shutil.copytree(older, disk, dirs_exist_ok=True)
            _expect(place.forks.attar(verb.command(place, disk / verb.result), place.folder))
            return cls(place, verb, disk, older, old, snapshot(disk), old_size, _size(disk))

    def run(self, *, other: bool = False, is_room_checked: bool = True) -> Done:
        command = self.verb.command(self.place, self.disk / self.verb.result, other=other)
        return self.place.forks.attar(command, self.place.folder, is_room_checked=is_room_checked)

    def full(self, row: Row, what: str, *, is_room_checked: bool) -> None:
        """The disk is full: before the command begins, or while it writes."""
        done = self.run(is_room_checked=is_room_checked)
        now = snapshot(self.disk)
        result = {name: now[name] for name in now if _is_of(name, self.verb.result)}
        earlier = {name: self.old[name] for name in self.old if _is_of(name, self.verb.result)}
        fault = done.fault(0, 2)
        if not fault and done.code and result != earlier:
            fault = f"the earlier result: {difference(result, earlier)}"
        if not fault and (left := hidden(self.disk)):
            fault = f"hidden: {left[0].name}"
        row.fail(f"{self.verb.name}, {what}: {fault}") if fault else row.add(_outcome(done))

    def ends(self, row: Row) -> None:
        """With enough room the same command ends as ever."""
        if not self.verb.replaces:  # what it made already must not be in its way
            out = self.disk / self.verb.result
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        fault = self.run().fault(0)
        if not fault and self.verb.is_exact:
            fault = difference(snapshot(self.disk), self.new)
        row.fail(f"{self.verb.name}, then with room: {fault}") if fault else row.add("done with more room")

    def read_only(self, row: Row) -> None:
        """What is up to date is so on a read-only disk too; all else is refused."""
        before = snapshot(self.disk, whole=True)
        for other in (False, True):
            is_up_to_date = self.verb.kind == "stage" and not other
            if other and not self.verb.replaces:
                break
            done = self.run(other=other)
            fault = done.fault(0 if is_up_to_date else 2)
            fault = fault or difference(snapshot(self.disk, whole=True), before)
            said = "up to date where it is read-only" if is_up_to_date else "refused where it is read-only"
            row.fail(f"{self.verb.name}, read-only: {fault}") if fault else row.add(said)


def _outcome(done: Done) -> str:
    return "one line, the earlier result stands" if done.code else "there was room"


def _is_of(name: str, result: str) -> bool:
    return name == result or name.startswith(f"{result}/")


def _size(folder: Path) -> int:
    """Bytes that a folder's files take, in whole pages."""
    return sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in folder.rglob("*") if path.is_file())


def _expect(done: Done) -> Done:
    if fault := done.fault(0):
        raise RuntimeError(fault)
    return done

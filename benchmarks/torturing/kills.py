"""The part ``kills``: ``kill -9`` at any moment costs no finished work, and the same command resumes.

After each kill the earlier result, if there was one, is whole, and so is a new one that is there. What is
hidden is removed now and then: nothing that a resume needs may be. At the end of a series the bytes are
those of the uninterrupted run, and nothing else is left.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torturing.forks import Done, Forks, Kill
from torturing.parts import Row, Torture
from torturing.place import VERBS, Place, Verb, make_place
from torturing.snapshots import Snapshot, difference, hidden, snapshot

__all__ = ["KILLED", "Trial", "each_verb", "kill_verb", "kills"]

KILLED = (
    "prepare", "pretrain", "train", "distill", "finetune", "export", "insight",
    "score", "score a workbook", "score for Label Studio",
)  # fmt: skip
_KILLS, _KILLS_SHOWN = 20, 5
_INSIDE, _INSIDE_A_JOB = 4, 2  # one in so many kills is at an exact place inside a save
_CLEANED = 0.15  # of the kills, after which ``attar clean`` removes what could be resumed from
_LONGEST_SERIES = 5


def kills(torture: Torture) -> Iterator[Row]:
    """Each verb killed at random moments and inside its saves."""
    return each_verb(torture, KILLED, kill_verb, _KILLS_SHOWN if torture.is_short else _KILLS)


def each_verb(torture: Torture, names: Sequence[str], one: Callable[..., Row], count: int) -> Iterator[Row]:
    """What ``one`` makes of so many trials of each verb, until the time of the part is over."""
    with Forks() as forks:
        place = make_place(torture.folder / "place", forks)
        for name in names:
            if torture.is_over:
                return
            yield one(place, name, count, torture.rng, lambda: torture.is_over)


def kill_verb(
    place: Place, name: str, count: int, rng: random.Random, is_over: Callable[[], bool] = lambda: False
) -> Row:
    """Kill one verb so many times, in series of one to five kills before the command may end."""
    row = Row(f"`{name}` killed, then the same command again")
    trial = Trial.of(place, VERBS[name])
    inside = _INSIDE_A_JOB if VERBS[name].name == "score" else _INSIDE
    plan = [number % inside == 0 for number in range(count)]
    rng.shuffle(plan)
    number = 0
    while plan and not is_over():
        trial.begin(has_older=bool(number % 2))
        before = len(plan)
        faults = trial.series(plan, rng)
        for _ in range(before - len(plan)):
            row.add("the bytes of the uninterrupted run") if not faults else row.fail(faults[0])
        row.failures += faults[1:] if before > len(plan) else faults
        number += 1
    row.is_cut = bool(plan)
    shutil.rmtree(trial.folder)
    shutil.rmtree(trial.older)
    return row


@dataclass(slots=True)
class Trial:
    """A verb, its uninterrupted result, and the folder in which it is killed.

    Attributes:
        place: The inputs.
        verb: The command.
        folder: Where its result goes.
        older: Another result of it, with a folder of its own.
        new: What the uninterrupted run left.
        seconds: It took.
        events: Its changes, by whether an older result was there.
        has_older: Whether one is there now.
    """

    place: Place
    verb: Verb
    folder: Path
    older: Path
    new: Snapshot = field(default_factory=dict)
    seconds: float = 0.0
    events: dict[bool, tuple[str, ...]] = field(default_factory=dict)
    has_older: bool = False

    @classmethod
    def of(cls, place: Place, verb: Verb) -> Trial:
        """Run the verb without a kill: from nothing, and where an older result is."""
        made = cls(place, verb, place.at("killed"), place.at("older-result"))
        made.older.mkdir()
        _expect(place.forks.attar(verb.command(place, made.older / verb.result, other=True), place.folder))
        for has_older in (False, True):
            made.begin(has_older=has_older)
            done = _expect(made.run(None))
            made.events[has_older], made.seconds = done.events, max(made.seconds, done.seconds)
            made.new = snapshot(made.folder)
        return made

    @property
    def out(self) -> Path:
        """Where the result goes."""
        return self.folder / self.verb.result

    def begin(self, *, has_older: bool) -> None:
        """Empty the folder, but for an older result."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.older, self.folder) if has_older else self.folder.mkdir()
        self.has_older = has_older

    def run(self, kill: Kill | None) -> Done:
        """Give the command once."""
        command = self.verb.command(self.place, self.out)
        return self.place.forks.attar(command, self.place.folder, kill=kill, watch=self.folder)

    def series(self, plan: list[bool], rng: random.Random) -> list[str]:
        """Kill the command one to five times, as the plan says, then let it end.

        Returns:
            What was wrong.
        """
        faults, history = [], []
        for _ in range(min(rng.randint(1, _LONGEST_SERIES), len(plan))):
            kill = self._kill(rng, inside=plan[-1])
            done = self.run(kill)
            if not done.was_killed:
                faults += [fault] if (fault := done.fault(0)) else []
                break
            plan.pop()
            history.append(self._named(kill))
            faults += self.faults_after_kill()
            if rng.random() < 0.5:
                for path in hidden(self.folder):
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                history.append("hidden files removed")
            if rng.random() < _CLEANED:
                faults += self._faults_of_cleaning()
                history.append("cleaned")
        if fault := self.run(None).fault(0) or difference(snapshot(self.folder), self.new):
            faults.append(fault)
        return [f"{self.verb.name}, {'; '.join(history)}: {fault}" for fault in faults]

    def _kill(self, rng: random.Random, *, inside: bool) -> Kill:
        if not inside:
            return Kill(after_s=rng.uniform(0.0, self.seconds))
        events = self.events[self.has_older]
        phases = sorted({_phase(event) for event in events})
        phase = rng.choice(phases)
        at = rng.choice([i for i, event in enumerate(events, 1) if _phase(event) == phase])
        return Kill(at_event=at, share=rng.choice((0.0, 0.3, 0.9)))

    def _named(self, kill: Kill) -> str:
        if kill.at_event is None:
            return f"after {kill.after_s:.2f} s of {self.seconds:.2f}"
        return f"before change {kill.at_event}, {self.events[self.has_older][kill.at_event - 1]}"

    def _faults_of_cleaning(self) -> list[str]:
        """``attar clean`` leaves nothing to resume from, and no result is the worse for it."""
        before = snapshot(self.out)
        done = self.place.forks.attar(["clean", "--yes", self.folder], self.place.folder)
        found = snapshot(self.folder)
        left = [
            name
            for name in found
            if name.endswith((".draft", ".parts", ".replaced"))
            and any(one.startswith(f"{name}/") for one in found)
        ]  # an empty one whose stamps were removed by hand is nobody's
        faults = [fault] if (fault := done.fault(0)) else []
        faults += [f"attar clean left {left[0]}"] if left else []
        if "mended" not in done.said and (changed := difference(snapshot(self.out), before)):
            faults.append(f"attar clean changed the result: {changed}")
        return faults

    def faults_after_kill(self) -> list[str]:
        """The older result stands until the new one does, and what is there under its name is whole."""
        found = snapshot(self.out)
        old = snapshot(self.older / self.verb.result) if self.has_older else {}
        new = {
            name.removeprefix(self.verb.result).removeprefix("/") or ".": what
            for name, what in self.new.items()
            if name == self.verb.result or name.startswith(f"{self.verb.result}/")
        }
        if found in (old, new):
            return []
        return [f"after the kill the result was neither the old nor the new one: {difference(found, new)}"]


def _phase(event: str) -> str:
    """Which save an event belongs to, so that a few kills meet each of them."""
    if ".parts/" in event:  # of a job: begun, written, named, or on its way out
        what = next((one for one in (".probs", "manifest", "unfinished") if one in event), "its other files")
        return f"{event.partition(' ')[0]} {what}"
    for part in ("/state/", "/incoming.draft", ".replaced", "exchange", "/.attar/", "unfinished"):
        if part in event:
            return part
    return "other"


def _expect(done: Done) -> Done:
    if fault := done.fault(0):
        raise RuntimeError(fault)
    return done

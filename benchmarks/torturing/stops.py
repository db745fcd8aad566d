"""The part ``stops``: Ctrl-C and SIGTERM at any moment end a command in words, and cost nothing.

The exit code is 130 or 143, the last line says how to go on, nothing hidden is left, the earlier result or
the new one is whole, and the same command gives the bytes of the uninterrupted run. A service ends with 0
once it listens.
"""

from __future__ import annotations

import itertools
import random
import shutil
import signal
from collections.abc import Callable, Iterator

from torturing.forks import Done, Kill
from torturing.kills import KILLED, Trial, each_verb
from torturing.parts import Row, Torture
from torturing.place import VERBS, Place
from torturing.snapshots import difference, hidden, snapshot

__all__ = ["STOPPED", "stop_service", "stop_verb", "stops"]

_SERVICE = "serve"
STOPPED = (*KILLED, "score with terms", "compare", "terms", _SERVICE)
_STOPS, _STOPS_SHOWN = 20, 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WORDS = "attar: stopped; the same command resumes what it can"
_NOT_BEGUN = (-signal.SIGTERM, 70)  # before the command line catches signals


def stops(torture: Torture) -> Iterator[Row]:
    """Each verb stopped at random moments."""
    return each_verb(torture, STOPPED, _stop, _STOPS_SHOWN if torture.is_short else _STOPS)


def _stop(
    place: Place, name: str, count: int, rng: random.Random, is_over: Callable[[], bool] = lambda: False
) -> Row:
    if name == _SERVICE:
        return stop_service(place, count, rng, is_over)
    return stop_verb(place, name, count, rng, is_over)


def stop_service(
    place: Place, count: int, rng: random.Random, is_over: Callable[[], bool] = lambda: False
) -> Row:
    """Stop a service so many times while it starts, and a moment later."""
    row = Row("`serve` stopped by SIGINT and SIGTERM as it starts")
    before, until = snapshot(place.at("artifact"), whole=True), 1.0
    for number in itertools.count():
        if row.count == count or is_over():
            break
        sent = _SIGNALS[number % 2]
        moment = rng.uniform(0.0, until)
        done = place.forks.attar(
            ["serve", place.at("artifact"), "--port", "0"], place.folder,
            kill=Kill(after_s=moment, number=sent),
        )  # fmt: skip
        is_serving = "serving:" in done.said
        if done.code in _NOT_BEGUN and _WORDS not in done.said:
            continue
        if not row.outcomes["exit code 0"]:  # it has not come so far yet
            until *= 1.5
        fault = done.fault(0) if is_serving and done.code == 0 else done.fault(128 + sent)
        if not fault and done.code and _WORDS not in done.said:
            fault = f"it does not say that it was stopped: {done.said[-300:]!r}"
        fault = fault or difference(snapshot(place.at("artifact"), whole=True), before)
        if fault:
            row.fail(f"serve, {sent.name} after {moment:.2f} s: {fault}")
        else:
            row.add(f"exit code {done.code}")
    row.is_cut = row.count < count
    return row


def stop_verb(
    place: Place, name: str, count: int, rng: random.Random, is_over: Callable[[], bool] = lambda: False
) -> Row:
    """Stop one verb so many times, and let the same command end after each."""
    row = Row(f"`{name}` stopped by SIGINT and SIGTERM, then the same command again")
    trial = Trial.of(place, VERBS[name])
    number = attempts = 0
    while number < count and attempts < 10 * count and not is_over():
        trial.begin(has_older=bool(number % 2))
        attempts += 1
        sent = _SIGNALS[number // 2 % 2]
        moment = rng.uniform(0.0, trial.seconds)
        done = trial.run(Kill(after_s=moment, number=sent))
        if done.code == 0 or (done.code in _NOT_BEGUN and _WORDS not in done.said):
            continue  # it was done already, or had not begun
        number += 1
        if fault := _fault(trial, done, sent):
            row.fail(f"{name}, {sent.name} after {moment:.2f} s of {trial.seconds:.2f}: {fault}")
        else:
            row.add(f"exit code {done.code}, then the bytes of the uninterrupted run")
    row.is_cut = number < count
    shutil.rmtree(trial.folder)
    shutil.rmtree(trial.older)
    return row


def _fault(trial: Trial, done: Done, sent: signal.Signals) -> str:
    """What is wrong after a stop, and after the same command; "" for nothing."""
    if fault := done.fault(128 + sent):
        return fault
    if _WORDS not in done.said:
        return f"it does not say how to go on: {done.said[-300:]!r}"
    if left := hidden(trial.folder):
        return f"{left[0].name} is left, which nobody sees"
    if faults := trial.faults_after_kill():
        return faults[0]
    return trial.run(None).fault(0) or difference(snapshot(trial.folder), trial.new)

"""What the model says of a stream of examples, kept on disk so that a killed job need not ask again.

The probs of all examples in their order, in files of some seconds' work. A job that goes on reads its
input from the start, takes the probs that it has, and computes the rest: so its output cannot differ from
that of a job that ran through. Each file has the hash of the questions that it answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.scoring.job_folder import write_whole
from attar.task import Example

__all__ = ["CachedProbs", "Probs"]

_LOG = logging.getLogger(__name__)
_SECONDS_PER_PART = 10.0
_MAX_PART = 1 << 18  # examples
_FIRST_BATCH, _MAX_BATCH = 256, 4096
_QUICK_S, _SLOW_S = 1.0, 4.0

Probs = NDArray[np.float32]


class _Part(NamedTuple):
    path: Path
    first: int
    num_examples: int
    questions: str


class CachedProbs:
    """Probs of examples that come in order, from a folder as far as it has them.

    Args:
        predict: Probs [N, C] of examples.
        num_labels: C.
        folder: Where parts are; None keeps none.

    Attributes:
        num_reused: Examples whose probs the folder had when it was opened.
        stopped: Set it, and the next batch is the last.
    """

    def __init__(
        self, predict: Callable[[Sequence[Example]], Probs], num_labels: int, folder: Path | None
    ) -> None:
        self._predict, self._num_labels, self._folder = predict, num_labels, folder
        self._known = list(_parts(folder, num_labels)) if folder is not None else []
        self.num_reused = sum(part.num_examples for part in self._known)
        self.stopped = False
        self._open = np.empty((0, num_labels), np.float32)  # of the part that is being read
        self._next = 0  # number of the next example
        self._hash = hashlib.blake2b(digest_size=16)
        self._text, self._text_hash = "", _hash_of("")
        self._fresh: list[Probs] = []
        self._part_first = self.num_reused
        self._part_began = time.monotonic()
        self._batch = _FIRST_BATCH

    def covers(self, count: int) -> bool:
        """Whether the probs of so many more examples are known."""
        return self._next + count <= self.num_reused

    def probs(self, examples: Sequence[Example], advance: Callable[[int], None]) -> Probs:
        """Probs [N, C] of the next examples.

        Args:
            examples: N.
            advance: Told the number of those that are done, as soon as they are.

        Raises:
            DataError: The folder has the probs of other questions.
        """
        found = [self._reuse(part) for part in _cut(examples, self._known_left(len(examples)))]
        done = sum(map(len, found))
        if done:
            advance(done)
        while done < len(examples) and not self.stopped:
            asked = examples[done : done + self._batch]
            began = time.monotonic()
            try:
                answer = self._predict(asked)
            except BaseException:
                self.stopped = True  # examples of the next chunk would be kept as if they came next
                raise
            took = time.monotonic() - began
            self._add(asked, answer)
            found.append(answer)
            done += len(asked)
            advance(done)
            # Large batches are faster, but what is done should show, and be kept, every few seconds.
            if took < _QUICK_S:
                self._batch = min(2 * self._batch, _MAX_BATCH)
            elif took > _SLOW_S:
                self._batch = max(self._batch // 2, 1)
        return np.concatenate(found) if found else np.empty((0, self._num_labels), np.float32)

    def keep(self) -> None:
        """Write what was computed and is not on disk yet."""
        if self._folder is not None and self._fresh:
            probs = np.concatenate(self._fresh)
            header = {
                "first": self._part_first,
                "examples": len(probs),
                "labels": self._num_labels,
                "questions": self._hash.hexdigest(),
                "sha256": hashlib.sha256(probs.tobytes()).hexdigest(),
            }
            content = json.dumps(header).encode() + b"\n" + probs.astype("<f4").tobytes()
            write_whole(self._folder / f"{self._part_first:012}.probs", content)
        self._part_first = self._next
        self._fresh = []
        self._hash = hashlib.blake2b(digest_size=16)
        self._part_began = time.monotonic()

    def _add(self, examples: Sequence[Example], probs: Probs) -> None:
        self._next += len(examples)
        if self._folder is None:
            return
        self._fresh.append(probs)
        self._hash_questions(examples)
        is_due = time.monotonic() - self._part_began >= _SECONDS_PER_PART
        if is_due or self._next - self._part_first >= _MAX_PART:
            self.keep()

    def _hash_questions(self, examples: Sequence[Example]) -> None:
        for text, start, end, second in (example.question for example in examples):
            if text is not self._text:  # a long text of many mentions is hashed once
                self._text, self._text_hash = text, _hash_of(text)
            self._hash.update(f"{self._text_hash}:{start}:{end}:{second}".encode("utf-8", "surrogatepass"))

    def _known_left(self, count: int) -> Iterator[int]:
        """How many of so many examples the known parts have, part by part."""
        at, end = self._next, min(self._next + count, self.num_reused)
        for part in self._known:
            upto = min(end, part.first + part.num_examples)
            if at < upto:
                yield upto - at
                at = upto

    def _reuse(self, examples: Sequence[Example]) -> Probs:
        part = self._known[0]
        begin = self._next - part.first
        if not begin:
            self._open = _content(part.path, self._num_labels)[1]
        self._hash_questions(examples)
        self._next += len(examples)
        if self._next == part.first + part.num_examples:
            if self._hash.hexdigest() != part.questions:
                raise DataError(
                    f"{self._folder}: the rows are not those that this job began with; to start over add "
                    f"--overwrite, or remove {self._folder}"
                )
            self._known.pop(0)
            self._hash = hashlib.blake2b(digest_size=16)
        return self._open[begin : begin + len(examples)]


def _hash_of(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _cut(examples: Sequence[Example], sizes: Iterator[int]) -> Iterator[Sequence[Example]]:
    begin = 0
    for size in list(sizes):
        yield examples[begin : begin + size]
        begin += size


def _parts(folder: Path, num_labels: int) -> Iterator[_Part]:
    """The parts without a gap from the first example on; what is damaged is removed, and so what follows."""
    first = 0
    paths = sorted(folder.glob("*.probs"))
    for number, path in enumerate(paths):
        try:
            header, probs = _content(path, num_labels)
            part = _Part(path, header["first"], len(probs), header["questions"])
        except (ValueError, KeyError, TypeError):
            part = None
        if part is None or part.first != first:
            _LOG.warning("%s is damaged; it and what follows it is computed again", path)
            for left in paths[number:]:
                left.unlink()
            return
        yield part
        first += part.num_examples


def _content(path: Path, num_labels: int) -> tuple[dict[str, Any], Probs]:
    """The header and the probs of a part.

    Raises:
        ValueError: It is damaged.
        KeyError, TypeError: It is none.
    """
    line, _, data = path.read_bytes().partition(b"\n")
    header = json.loads(line)
    if header["sha256"] != hashlib.sha256(data).hexdigest():
        raise ValueError("damaged")
    return header, np.frombuffer(data, "<f4").astype(np.float32).reshape(header["examples"], num_labels)

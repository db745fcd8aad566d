"""Predictor: scores examples with one artifact.

``Example -> Encoding -> batches -> logits -> probs``. Examples are encoded a chunk at a time,
sorted by length, cut into small batches and computed on one thread a core. An example's probs are
the same bytes whatever else is in the batch: the graph is exact under padding, and everything else
is computed row by row.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.artifact import Artifact, load_artifact
from attar.cores import num_workers
from attar.errors import ArtifactError, DataError, RecipeError
from attar.scoring.arguments import (
    checked_examples,
    example_of_pair,
    examples_of_columns,
    pairs_of,
)
from attar.scoring.session import OnnxModel
from attar.scoring.trust import check_model, load_tokenizer
from attar.scoring.verify import first_use_check
from attar.task import Example, Task
from attar.text.encoding import Encoding, InputSpec, TextEncoder

__all__ = ["Pair", "Prediction", "Predictor", "load", "softmax"]

Pair = tuple[str, str] | tuple[str, str, int, int]

_CHUNK = 2048
_BATCH_TOKENS = 512  # more falls out of a core's own cache, fewer leave its vector units idle

_Logits = NDArray[np.float32]
_Pending = list[tuple[list[int], Future[_Logits] | _Logits]]  # rows of the result, and their logits


class Prediction(NamedTuple):
    """What the model says of one example.

    Attributes:
        label: The most likely label.
        prob: Its prob.
        probs: Every label's prob.
        start: Offset of the term that was scored, in code points.
        end: One past its last code point.
    """

    label: str
    prob: float
    probs: dict[str, float]
    start: int
    end: int


class Predictor:
    """Scores with one artifact, from any number of threads at once.

    It can be pickled and survives a fork; sessions and threads are made where and when they are
    needed.

    Args:
        artifact: From ``attar.artifact.load_artifact``.
        workers: Threads that compute; None takes ``attar.cores.num_workers()``.
        deduplicate: Compute equal (text, start, end) once; False is for benchmarks.

    Attributes:
        encoder: Makes the model's input.

    Raises:
        ArtifactError: Its model or tokenizer holds what none of attar's does, or cannot be read.
        RecipeError: ``workers``, or ATTAR_WORKERS, is no number of threads.
    """

    def __init__(self, artifact: Artifact, workers: int | None = None, *, deduplicate: bool = True) -> None:
        self.artifact = artifact
        self.deduplicate = deduplicate
        self.workers = num_workers(workers)
        num_rows = check_model(artifact)
        spec = InputSpec.from_json(artifact.input)
        try:
            self.encoder = TextEncoder(load_tokenizer(artifact, num_rows), spec)
        except RecipeError as error:
            raise ArtifactError(f"{artifact.tokenizer_path}: {error}; export again") from error
        check = partial(first_use_check, artifact)
        self._model = OnnxModel(artifact.model_path, pad=self.encoder.pad, spec=spec, check=check)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[Artifact, int]]:
        return partial(Predictor, deduplicate=self.deduplicate), (self.artifact, self.workers)

    @property
    def task(self) -> Task:
        """The task; its labels are in the order of the probs."""
        return self.artifact.task

    def predict(
        self,
        texts: Sequence[str],
        terms: Sequence[str] | None = None,
        spans: Sequence[tuple[int, int] | None] | None = None,
    ) -> list[Prediction]:
        """Score pairs of a text and a term.

        Args:
            texts: N texts.
            terms: N terms, or N second sentences; left out only for a task of single sentences.
            spans: N (start, end) of the terms, in code points; None means the term's first
                occurrence.

        Returns:
            N predictions, in order.

        Raises:
            DataError: Unequal lengths, a value of another type (None, NaN, bytes), half of a surrogate
                pair, or a term that does not occur in its text or at its span; the message counts pairs
                from 0.
        """
        return self._predictions(examples_of_columns(self.task, texts, terms, spans))

    def predict_stream(self, pairs: Iterable[Pair], chunk: int = 4096) -> Iterator[Prediction]:
        """Score a stream of pairs in constant memory, one chunk at a time.

        Args:
            pairs: (text, term) or (text, term, start, end) each, the last two in code points; the
                term of a sentence pair is its second sentence, that of a single sentence is not
                read.
            chunk: Pairs read before their predictions are given; equal ones within a chunk are
                computed once.

        Yields:
            One prediction a pair, in order; the same as ``predict`` gives.

        Raises:
            DataError: ``chunk`` is below 1, a pair is no such tuple, or a term does not occur in its
                text or at its span; the message counts pairs from 0.
        """
        try:
            size = operator.index(chunk)
        except TypeError:
            size = 0
        if size < 1:
            raise DataError(f"predict_stream: chunk = {chunk!r}; expected a whole number, 1 or more")
        return self._stream(pairs_of(pairs), size)

    def predict_probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C] of examples, in order; equal (text, start, end) are computed once.

        Raises:
            DataError: As ``predict_logits``.
        """
        return softmax(self.predict_logits(examples), self.artifact.temperature)

    def predict_logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logits [N, C] of examples, in order, before the temperature.

        Raises:
            DataError: One is no Example, its text is no string of Unicode, or its offsets are no whole
                numbers within it; the message counts examples from 0.
        """
        examples = checked_examples(examples)
        if not self.deduplicate:
            return self._compute(examples)
        first: dict[tuple[str, int, int, str], int] = {}
        rows = np.array([first.setdefault(e.question, len(first)) for e in examples], np.int64)
        unique = [Example(text, start, end, second=second) for text, start, end, second in first]
        return self._compute(unique)[rows]

    def _compute(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        out = np.empty((len(examples), len(self.task.labels)), np.float32)
        pending: _Pending = []
        try:
            for begin in range(0, len(examples), _CHUNK):
                encodings = self.encoder.encode(examples[begin : begin + _CHUNK])
                # The next chunk is encoded while the threads compute this one.
                self._collect(out, pending)
                self._submit(pending, encodings, range(begin, begin + len(encodings)))
            self._collect(out, pending)
            # All low-margin rows together: batch by batch they would cost half as much again.
            if low := self._model.low_margin_rows(out):
                encodings = self.encoder.encode([examples[i] for i in low])
                self._submit(pending, encodings, low, high_precision=True)
                self._collect(out, pending)
        finally:
            # After an error or an interrupt only the batches that are being computed end first.
            for _, found in pending:
                if isinstance(found, Future):
                    found.cancel()
        return out

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets of the part of the text that is read; see ``TextEncoder.window``."""
        return self.encoder.window(example)

    def close(self) -> None:
        """End the threads; a later call starts them again."""
        with self._guard():
            if self._pool is not None:
                self._pool.shutdown()
            self._pool = None

    def _stream(self, pairs: Iterator[Pair], chunk: int) -> Iterator[Prediction]:
        done = 0
        while part := list(islice(pairs, chunk)):
            examples = [example_of_pair(self.task, done + i, pair) for i, pair in enumerate(part)]
            yield from self._predictions(examples)
            done += len(part)

    def _predictions(self, examples: Sequence[Example]) -> list[Prediction]:
        predictions = []
        for example, row in zip(examples, self.predict_probs(examples).tolist(), strict=True):
            probs = dict(zip(self.task.labels, row, strict=True))
            label = max(probs, key=probs.__getitem__)
            predictions.append(Prediction(label, probs[label], probs, example.start, example.end))
        return predictions

    def _submit(
        self,
        pending: _Pending,
        encodings: list[Encoding],
        rows: Sequence[int],
        *,
        high_precision: bool = False,
    ) -> None:
        """Start one pass over encodings, whose rows of the result are ``rows``."""

        def logits(batch: list[int]) -> NDArray[np.float32]:
            return self._model.run_pass([encodings[i] for i in batch], high_precision=high_precision)

        batches = list(length_batches(encodings))
        # One request is faster without a change of threads.
        pool = None if len(batches) == 1 or self.workers == 1 else self._threads()
        for batch in batches:
            found = logits(batch) if pool is None else pool.submit(logits, batch)
            pending.append(([rows[i] for i in batch], found))

    @staticmethod
    def _collect(out: NDArray[np.float32], pending: _Pending) -> None:
        for at, found in pending:
            out[at] = found.result() if isinstance(found, Future) else found
        pending.clear()

    def _threads(self) -> ThreadPoolExecutor:
        with self._guard():
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="attar-scoring")
            return self._pool

    def _guard(self) -> threading.Lock:
        """The lock of this process: a fork has no threads, but perhaps a lock that one held."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._pool = None
            self._pid = os.getpid()
        return self._lock


def load(path: str | Path, workers: int | None = None) -> Predictor:
    """Load an artifact's folder to score with.

    Args:
        path: The folder.
        workers: Threads that compute. By default ATTAR_WORKERS, or one for each core that affinity
            and the container's CPU quota leave.

    Raises:
        ArtifactError: It is no whole artifact.
        RecipeError: ``workers``, or ATTAR_WORKERS, is no number of threads.
    """
    if not isinstance(path, str | os.PathLike):
        raise ArtifactError(
            f"attar.load: path is a {type(path).__name__}; expected the folder of an artifact"
        )
    return Predictor(load_artifact(Path(path)), workers)


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probs [N, C] of logits [N, C] divided by a temperature."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(1, keepdims=True))
    probs: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return probs


def length_batches(encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    """Indices in batches of about ``_BATCH_TOKENS`` padded tokens, the longest first."""
    lengths = np.array([len(e.ids) for e in encodings])
    order = np.argsort(-lengths, kind="stable").tolist()
    begin = 0
    while begin < len(order):
        size = max(1, _BATCH_TOKENS // int(lengths[order[begin]]))
        yield order[begin : begin + size]
        begin += size

"""A network's artifact: ``Example -> Encoding -> batches -> logits``, in ONNX Runtime.

Examples are encoded a chunk at a time, sorted by length, cut into small batches and computed on one
thread a core. An example's logits are the same bytes whatever else is in the batch: the graph is exact
under padding, and everything else is computed row by row.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attar.artifact import Artifact
from attar.errors import ArtifactError, RecipeError
from attar.scoring.scorer import softmax
from attar.scoring.session import OnnxModel
from attar.scoring.trust import check_model, load_tokenizer
from attar.scoring.verify import first_use_check
from attar.task import Example
from attar.text.encoding import Encoding, InputSpec, TextEncoder

__all__ = ["OnnxScorer", "length_batches"]

_CHUNK = 2048
_BATCH_TOKENS = 512  # more falls out of a core's own cache, fewer leave its vector units idle
_CALL_TOKENS = 16  # what a batch costs besides its tokens, padding included, costs as much as so many

_Logits = NDArray[np.float32]
_Pending = list[tuple[list[int], Future[_Logits] | _Logits]]  # rows of the result, and their logits


class OnnxScorer:
    """A ``Scorer`` of one network; sessions and threads are made where and when they are needed.

    Args:
        artifact: Of the kind "onnx".
        workers: Threads that compute.

    Attributes:
        encoder: Makes the model's input.

    Raises:
        ArtifactError: Its model or tokenizer holds what none of attar's does, or cannot be read.
    """

    def __init__(self, artifact: Artifact, workers: int) -> None:
        self._artifact = artifact
        self._workers = workers
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

    def __reduce__(self) -> tuple[type[OnnxScorer], tuple[Artifact, int]]:
        return OnnxScorer, (self._artifact, self._workers)

    def probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]."""
        return softmax(self.logits(examples), self._artifact.temperature)

    def logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logits [N, C] before the temperature."""
        out = np.empty((len(examples), len(self._artifact.task.labels)), np.float32)
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
        pool = None if len(batches) == 1 or self._workers == 1 else self._threads()
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
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="attar-scoring")
            return self._pool

    def _guard(self) -> threading.Lock:
        """The lock of this process: a fork has no threads, but perhaps a lock that one held."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()
            self._pool = None
            self._pid = os.getpid()
        return self._lock


def length_batches(encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    """Indices in batches of at most ``_BATCH_TOKENS`` padded tokens, the longest first.

    Of all cuts of the sorted examples it is the cheapest: a few examples of many lengths would be half
    padding in one batch, and each batch of its own costs a call.
    """
    lengths = [len(e.ids) for e in encodings]
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    cheapest, sizes = [0] * (len(order) + 1), [0] * len(order)
    for begin in reversed(range(len(order))):
        length = lengths[order[begin]]
        most = min(max(1, _BATCH_TOKENS // max(1, length)), len(order) - begin)
        cheapest[begin], sizes[begin] = min(
            (_CALL_TOKENS + size * length + cheapest[begin + size], size) for size in range(1, most + 1)
        )
    begin = 0
    while begin < len(order):
        yield order[begin : begin + sizes[begin]]
        begin += sizes[begin]

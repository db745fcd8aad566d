"""Predictor: scores examples with one artifact, of whatever kind.

It reads what callers give, computes equal examples once, and names labels; the probs come from the
``Scorer`` of the artifact's kind. An example's probs are the same bytes whatever else is in the batch.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.artifact import Artifact, load_artifact
from attar.cores import num_workers
from attar.errors import ArtifactError, DataError
from attar.scoring.arguments import checked_examples, example_of_pair, examples_of_columns, pairs_of
from attar.scoring.cascade import CascadeScorer
from attar.scoring.onnx_scorer import OnnxScorer
from attar.scoring.scorer import Scorer, softmax
from attar.scoring.verify import load_linear
from attar.task import Example, Task

__all__ = ["Pair", "Prediction", "Predictor", "load", "softmax"]

Pair = tuple[str, str] | tuple[str, str, int, int]
_Compute = Callable[[Sequence[Example]], NDArray[np.float32]]


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

    It can be pickled and survives a fork.

    Args:
        artifact: From ``attar.artifact.load_artifact``.
        workers: Threads that compute; None takes ``attar.cores.num_workers()``.
        deduplicate: Compute equal (text, start, end) once; False is for benchmarks.

    Attributes:
        scorer: What computes, by the artifact's kind.

    Raises:
        ArtifactError: Its model or tokenizer holds what none of attar's does, or cannot be read.
        RecipeError: ``workers``, or ATTAR_WORKERS, is no number of threads.
    """

    def __init__(self, artifact: Artifact, workers: int | None = None, *, deduplicate: bool = True) -> None:
        self.artifact = artifact
        self.deduplicate = deduplicate
        self.workers = num_workers(workers)
        self.scorer = _make_scorer(artifact, self.workers)

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
        return self._of_unique(self.scorer.probs, examples)

    def predict_logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logits [N, C] of examples, in order, before the temperature; of a cascade the logs of its probs.

        Raises:
            DataError: One is no Example, its text is no string of Unicode, or its offsets are no whole
                numbers within it; the message counts examples from 0.
        """
        return self._of_unique(self.scorer.logits, examples)

    def _of_unique(self, compute: _Compute, examples: Sequence[Example]) -> NDArray[np.float32]:
        """What is computed of examples, each question once."""
        examples = checked_examples(examples)
        if not self.deduplicate:
            return compute(examples)
        first: dict[tuple[str, int, int, str], int] = {}
        rows = np.array([first.setdefault(e.question, len(first)) for e in examples], np.int64)
        return compute([Example(text, start, end, second=second) for text, start, end, second in first])[rows]

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets of the part of the text that is read."""
        return self.scorer.window(example)

    def close(self) -> None:
        """End the threads; a later call starts them again."""
        self.scorer.close()

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


def _make_scorer(artifact: Artifact, workers: int) -> Scorer:
    match artifact.kind:
        case "linear":
            return load_linear(artifact)
        case "cascade":
            members = [_make_scorer(member, workers) for member in artifact.members]
            return CascadeScorer(members, artifact.cascade["thresholds"])
        case _:
            return OnnxScorer(artifact, workers)


def load(path: str | Path, workers: int | None = None) -> Predictor:
    """Load an artifact's folder to score with.

    Args:
        path: The folder, or the name of a ready model: ``zh-reviews``.
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

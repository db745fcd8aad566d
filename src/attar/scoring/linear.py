"""A linear artifact: TF-IDF of character n-grams and one weight a label, in NumPy alone.

``Example -> n-grams -> counts -> TF-IDF, L2-normalised -> decisions -> probs``, as scikit-learn's
``TfidfVectorizer(sublinear_tf=True)`` and one-vs-rest ``LogisticRegression`` compute it:
``attar.evaluation.baselines`` fits those. Each row is summed by itself, in the order of its columns, so an
example's logits are the same bytes whatever else is in the batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.artifact import Artifact
from attar.errors import ArtifactError
from attar.io.json_text import parse_json
from attar.io.safetensors import arrays_from_bytes, arrays_to_bytes
from attar.scoring.scorer import softmax
from attar.task import Example, InputStyle
from attar.text.ngrams import LONGEST_NGRAM, ngram_window, ngrams

__all__ = ["LinearModel", "LinearScorer"]

_CHUNK = 4096
_CHUNK_NGRAMS = 1 << 20  # of the rows that are computed together, but for the last of them
_MAX_NGRAMS = 5_000_000
_LARGEST = 1e6  # of a weight or an inverse document frequency
_SMALLEST_PROB = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """What a fitted linear model computes with.

    Attributes:
        ngrams: V of them, in the order of the columns.
        idf: [V] inverse document frequencies.
        weights: [K, V], one row a label that training saw; of two labels only the second has one.
        bias: [K].
        labels: [L] numbers of the labels that training saw, rising; L is K, or 2 where K is 1.
        num_labels: C, of the task.
        style: The task's input.
        window_chars: Characters read on either side of the term; None reads the clause around it.
    """

    ngrams: Sequence[str]
    idf: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float64]
    labels: NDArray[np.int64]
    num_labels: int
    style: InputStyle
    window_chars: int | None

    def to_files(self) -> dict[str, bytes]:
        """The content of ``linear.safetensors`` and ``ngrams.json``."""
        arrays: dict[str, NDArray[Any]] = {
            "idf": self.idf, "weights": self.weights, "bias": self.bias, "labels": self.labels
        }  # fmt: skip
        text = json.dumps(list(self.ngrams), separators=(",", ":"))
        return {"linear.safetensors": arrays_to_bytes(arrays), "ngrams.json": text.encode()}

    @classmethod
    def from_artifact(cls, artifact: Artifact) -> LinearModel:
        """Read and check the files of an artifact.

        Raises:
            ArtifactError: They cannot be read, do not fit each other or the task, or hold numbers that no
                model of attar's has.
        """
        path = artifact.folder / "ngrams.json"
        try:
            grams = _checked_ngrams(parse_json(path.read_text("utf-8"), strict=True))
            path = artifact.model_path
            arrays = arrays_from_bytes(path.read_bytes())
            _check_arrays(arrays, len(grams), len(artifact.task.labels))
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{path} was not used: {error}. Expected a linear model that attar wrote; copy it again, or "
                "run attar run again"
            ) from error
        return cls(
            ngrams=grams,
            **{name: arrays[name] for name in ("idf", "weights", "bias", "labels")},
            num_labels=len(artifact.task.labels),
            style=artifact.task.style,
            window_chars=artifact.input["window_chars"],
        )


def _checked_ngrams(value: object) -> list[str]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_NGRAMS:
        raise ValueError(f"expected a list of 1 to {_MAX_NGRAMS:,} n-grams")
    for gram in value:
        if not isinstance(gram, str) or not 0 < len(gram) <= LONGEST_NGRAM + 1:
            raise ValueError(f"{str(gram)[:20]!r} is no n-gram of 1 to {LONGEST_NGRAM + 1} characters")
    if len(set(value)) < len(value):
        raise ValueError("the same n-gram twice")
    return value


def _check_arrays(arrays: Mapping[str, NDArray[Any]], num_ngrams: int, num_labels: int) -> None:
    types = {"idf": "<f4", "weights": "<f4", "bias": "<f8", "labels": "<i8"}
    if {name: array.dtype.str for name, array in arrays.items()} != types:
        raise ValueError(f"its arrays are {', '.join(sorted(arrays))[:80]}; expected {', '.join(types)}")
    labels, rows = arrays["labels"], len(arrays["bias"]) if arrays["bias"].ndim else 0
    seen = 2 if rows == 1 else rows
    shapes = {"idf": (num_ngrams,), "weights": (rows, num_ngrams), "bias": (rows,), "labels": (seen,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not rows:
            raise ValueError(f"{name} has the shape {list(arrays[name].shape)}; expected {list(shape)}")
    if (np.diff(labels) <= 0).any() or labels[0] < 0 or labels[-1] >= num_labels:
        raise ValueError(f"its labels are not different ones of the task's {num_labels}")
    for name in ("idf", "weights", "bias"):
        if not (np.abs(arrays[name]) <= _LARGEST).all():  # NaN is not
            raise ValueError(f"{name} holds numbers that are not finite, or far too large")
    if not (arrays["idf"] > 0).all():  # a row of zeros would have no length to be divided by
        raise ValueError("idf holds numbers that are not above 0")


class LinearScorer:
    """A ``Scorer`` of one linear model; logits are divided by ``temperature`` before the softmax."""

    def __init__(self, model: LinearModel, temperature: float) -> None:
        self.model = model
        self._temperature = temperature
        self._columns = {gram: column for column, gram in enumerate(model.ngrams)}
        # A column's weights lie side by side: they are read together.
        self._by_column = np.ascontiguousarray(model.weights.T, np.float64)

    def probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]."""
        return softmax(self.logits(examples), self._temperature)

    def logits(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Logs [N, C] of the one-vs-rest probs; of a label that training never saw the smallest."""
        out = np.full((len(examples), self.model.num_labels), np.log(_SMALLEST_PROB), np.float32)
        begin = 0
        for found in self._chunks(examples):
            probs = _normalised(self._decisions(found))
            out[begin : begin + len(found), self.model.labels] = np.log(np.maximum(probs, _SMALLEST_PROB))
            begin += len(found)
        return out

    def window(self, example: Example) -> tuple[int, int]:
        """Code-point offsets of the part of the text that is read."""
        if self.model.style in ("single", "sentence_pair"):
            return 0, len(example.text)
        return ngram_window(example, self.model.window_chars)

    def close(self) -> None:
        """There are no threads."""

    def _chunks(self, examples: Sequence[Example]) -> Iterator[list[list[int]]]:
        """The columns of each example's n-grams, of a few thousand examples at a time."""
        model, columns = self.model, self._columns
        found: list[list[int]] = []
        size = 0
        for example in examples:
            row = [columns[one] for one in ngrams(example, model.style, model.window_chars) if one in columns]
            found.append(row)
            size += len(row)
            if len(found) == _CHUNK or size > _CHUNK_NGRAMS:
                yield found
                found, size = [], 0
        if found:
            yield found

    def _decisions(self, found: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Decisions [N, K] of the classifiers, of the columns of N examples."""
        model, columns = self.model, self._columns
        lengths = [len(row) for row in found]
        rows = np.repeat(np.arange(len(found)), lengths)
        flat = np.fromiter((column for row in found for column in row), np.int64, sum(lengths))
        # Sorted by row, then by column: what bincount adds up follows from the row alone.
        cells, counts = np.unique(rows * len(columns) + flat, return_counts=True)
        rows, at = cells // len(columns), cells % len(columns)
        values = (1 + np.log(counts)) * model.idf[at]
        norms = np.sqrt(np.bincount(rows, values * values, len(found)))
        values /= norms[rows]
        sums = [
            np.bincount(rows, values * self._by_column[at, label], len(found))
            for label in range(len(model.bias))
        ]
        return np.stack(sums, 1) + model.bias


def _normalised(decisions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probs [N, L] of one-vs-rest decisions [N, K]: each label's sigmoid, over their sum."""
    each = 1 / (1 + np.exp(-np.clip(decisions, -500, 500)))
    if each.shape[1] == 1:
        return np.concatenate([1 - each, each], 1)
    return np.asarray(each / each.sum(1, keepdims=True), np.float64)

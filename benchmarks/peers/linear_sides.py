"""The static baselines: fastText, and TF-IDF with a linear model; each computes on one thread.

fastText: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification", arXiv:1607.01759.
It reads characters; as the linear model does, it sees the term's surroundings and tells left and
right of the term apart, and its window, epochs and n-grams are chosen on dev.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.task import Example, Task
from peers.traffic import TASK, Predict, corpus_examples

_WINDOWS: tuple[int | None, ...] = (8, 12, 25, None)
_EPOCHS = (10, 25, 50)
_NGRAMS = (2, 4)
_PREFIX = "__label__"


@dataclass(frozen=True, slots=True)
class FastText:
    """A trained fastText classifier: examples in, probs [N, C] out."""

    model: Any  # from the ``fasttext`` package
    num_labels: int
    window_chars: int | None  # read on either side of the term; None reads the whole text

    @property
    def size_bytes(self) -> int:
        """Bytes of its two matrices as float32, without the dictionary."""
        matrices = self.model.get_input_matrix(), self.model.get_output_matrix()
        return sum(4 * matrix.size for matrix in matrices)

    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]; 0 for a label that training never saw."""
        probs = np.zeros((len(examples), self.num_labels), np.float32)
        lines = [_line(example, self.window_chars) for example in examples]
        for row, (labels, shares) in enumerate(zip(*self.model.predict(lines, k=-1), strict=True)):
            for label, share in zip(labels, shares, strict=True):
                probs[row, int(label.removeprefix(_PREFIX))] = share
        return probs


def train_fasttext(task: Task, train: Sequence[Example], dev: Sequence[Example]) -> FastText:
    """Train on labelled examples with every setting of the grid and keep the best on dev.

    Best is the mean of macro-F1 and accuracy, as for the linear model.

    Raises:
        DataError: No examples, or the package is not installed.
    """
    from attar.metrics import accuracy_of, confusion_counts, macro_f1_of

    if not train or not dev:
        raise DataError("fastText: no train or dev examples; expected labelled ones")
    gold = np.array([task.index_of(example) for example in dev])

    def score(model: FastText) -> float:
        found = confusion_counts(gold, model(dev).argmax(1), model.num_labels)
        return float(macro_f1_of(found) + accuracy_of(found))

    settings = itertools.product(_WINDOWS, _EPOCHS, _NGRAMS)
    return max((_train(task, train, *setting) for setting in settings), key=score)


def open_fasttext(models: Path, _threads: int) -> Predict:
    """FastText over the whole text, its slowest form, trained on the corpus when it is first opened.

    Its speed depends on the window, n-grams and size alone.
    """
    import fasttext  # type: ignore[import-not-found,import-untyped,unused-ignore]

    file = models / "fasttext.bin"
    if not file.is_file():
        _train(TASK, corpus_examples(), None, 10, 4).model.save_model(str(file))
    return FastText(fasttext.load_model(str(file)), len(TASK.labels), None)


def open_tfidf(_models: Path, _threads: int) -> Predict:
    """The linear model of the report, fitted on the corpus."""
    from attar.evaluation.baselines import WindowedLinear

    corpus = corpus_examples()
    return WindowedLinear(TASK, corpus[::2], corpus[1::8])


def _train(task: Task, examples: Sequence[Example], window: int | None, epochs: int, grams: int) -> FastText:
    """One model, on one thread, so that the same examples give the same model."""
    try:
        import fasttext
    except ImportError as error:
        raise DataError("fastText is not installed; pip install fasttext-community") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        lines = [f"{_PREFIX}{task.index_of(e)} {_line(e, window)}" for e in examples]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        model = fasttext.train_supervised(
            str(path), epoch=epochs, wordNgrams=grams, dim=50, lr=0.5, bucket=200_000,
            minCount=1, thread=1, verbose=0,
        )  # fmt: skip
    return FastText(model, len(task.labels), window)


def _line(example: Example, window: int | None) -> str:
    """Characters around the term, marked by their side, and the term, as fastText's words."""
    left, right = example.text[: example.start], example.text[example.end :]
    if window is not None:
        left, right = left[-window:], right[:window]
    sides = (("<", left), ("=", example.term), (">", right))
    return " ".join(f"{side}{char}" for side, text in sides for char in text if not char.isspace())

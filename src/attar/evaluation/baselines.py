"""What a student must beat to be worth its cost: the majority, and a strong linear model.

Both are fitted on training examples and are callables from examples to probs, as every candidate
of the report is. The linear model follows Wang & Manning, "Baselines and Bigrams" (2012), in
spirit: n-grams and a linear classifier are hard to beat on short reviews. It sees the term's
surroundings only, tells left and right of the term apart, and is tuned on dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from attar.errors import DataError
from attar.metrics import accuracy_of, confusion_counts, macro_f1_of
from attar.progress import track
from attar.scoring.linear import LinearModel
from attar.task import Example, Task
from attar.text.ngrams import ngrams

__all__ = ["Majority", "WindowedLinear"]

_WINDOWS = (8, 12, 25, None)
_STRENGTHS = (1.0, 4.0, 16.0, 64.0)


class Majority:
    """Predicts the label shares of the training examples, so always the commonest label.

    Args:
        task: Names the labels.
        train: Labelled examples.

    Raises:
        DataError: No examples.
    """

    def __init__(self, task: Task, train: Sequence[Example]) -> None:
        counts = np.bincount(_gold(task, train, "train"), minlength=len(task.labels))
        self._shares = (counts / counts.sum()).astype(np.float32)
        self.size_bytes = self._shares.nbytes

    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C], the same for every example."""
        return np.tile(self._shares, (len(examples), 1))


class WindowedLinear:
    """Character 1- to 4-grams around the term, TF-IDF, class-balanced logistic regression.

    Window and strength are those with the best mean of macro-F1 and accuracy on dev (the first of
    equals): macro-F1 alone, with a dozen examples of a rare label in dev, picks at random. The
    weights come from the training examples alone.

    Args:
        task: Names the labels; where it has no term the whole text is read.
        train: Labelled examples to fit.
        dev: Labelled examples to tune on.

    Attributes:
        window_chars: The window chosen; None is the clause around the term.
        strength: The inverse regularisation chosen.
        dev_macro_f1: Macro-F1 on dev, on which window and strength were chosen.
        size_bytes: Weights as float32 and n-grams as UTF-8, without any container.

    Raises:
        DataError: No examples, or training examples of a single label.
    """

    def __init__(self, task: Task, train: Sequence[Example], dev: Sequence[Example]) -> None:
        gold, gold_dev = _gold(task, train, "train"), _gold(task, dev, "dev")
        if len(np.unique(gold)) < 2:
            raise DataError(f"task {task.name!r}: all training examples have one label; expected two or more")
        self._num_labels = len(task.labels)
        best = -1.0
        windows = _WINDOWS if task.has_term else (None,)
        for window in track(windows, "linear model", unit="windows"):
            analyzer = partial(ngrams, style=task.style, window_chars=window)
            features = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, dtype=np.float32)
            train_features, dev_features = features.fit_transform(train), features.transform(dev)
            for strength in _STRENGTHS:
                model = _logistic(strength).fit(train_features, gold)
                found = confusion_counts(gold_dev, model.predict(dev_features), self._num_labels)
                macro_f1 = float(macro_f1_of(found))
                score = macro_f1 + float(accuracy_of(found))
                if score > best:
                    best, self.dev_macro_f1 = score, macro_f1
                    self._features, self._model = features, model
                    self.window_chars, self.strength = window, strength
        self._style = task.style
        weights = sum(4 * (part.coef_.size + part.intercept_.size) for part in self._model.estimators_)
        grams = sum(len(gram.encode("utf-8", "surrogatepass")) for gram in self._features.vocabulary_)
        self.size_bytes = int(weights + grams + 4 * len(self._features.idf_))

    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C]; 0 for a label that training never saw."""
        probs = np.zeros((len(examples), self._num_labels), np.float32)
        if examples:
            probs[:, self._model.classes_] = self._model.predict_proba(self._features.transform(examples))
        return probs

    def to_model(self) -> LinearModel:
        """The same model as arrays that NumPy scores with: its labels are those of ``__call__``."""
        parts = self._model.estimators_
        return LinearModel(
            ngrams=self._features.get_feature_names_out().tolist(),
            idf=np.asarray(self._features.idf_, np.float32),
            weights=np.concatenate([part.coef_ for part in parts]).astype(np.float32),
            bias=np.concatenate([part.intercept_ for part in parts]).astype(np.float64),
            labels=np.asarray(self._model.classes_, np.int64),
            num_labels=self._num_labels,
            style=self._style,
            window_chars=self.window_chars,
        )


def _logistic(strength: float) -> OneVsRestClassifier:
    # liblinear is dual and exact on a few thousand sparse rows: 3x faster here than lbfgs.
    one = LogisticRegression(C=strength, solver="liblinear", class_weight="balanced", random_state=0)
    return OneVsRestClassifier(one)


def _gold(task: Task, examples: Sequence[Example], name: str) -> NDArray[np.int64]:
    if not examples:
        raise DataError(f"task {task.name!r}: no {name} examples for the baselines; expected at least one")
    return np.array([task.index_of(example) for example in examples], np.int64)

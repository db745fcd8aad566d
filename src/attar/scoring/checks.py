"""``checks.json``: an artifact's stored inputs with their logits, and how others differ from those.

``attar.export.checks`` makes a network's, ``attar.scoring.verify`` a linear model's, and runs both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from attar.task import Example
from attar.text.encoding import Encoding

__all__ = ["Checks", "Compared", "Run", "Tolerance", "compare", "stored_encodings", "stored_examples"]

_BATCH = 16

_Input_contra = TypeVar("_Input_contra", contravariant=True)


class Run(Protocol[_Input_contra]):
    """One pass over inputs: encodings of a network, examples of a linear model."""

    def __call__(
        self, encodings: Sequence[_Input_contra], *, high_precision: bool = False
    ) -> NDArray[np.float32]:
        """Logits [B, C] of B inputs."""
        ...


class Tolerance(NamedTuple):
    """How far logits may be from the stored ones.

    Attributes:
        largest: The largest difference of any input.
        median: The median of the inputs' largest differences.
    """

    largest: float
    median: float


_Stored = TypeVar("_Stored")


@dataclass(frozen=True, slots=True, eq=False)
class Checks(Generic[_Stored]):
    """Stored inputs and the logits that they must give.

    Attributes:
        encodings: N inputs, the shortest first.
        passes: [N, C] logits of the first pass, and of the high-precision pass where there is one.
        tolerance: How far logits may be from those.
    """

    encodings: Sequence[_Stored]
    passes: Sequence[NDArray[np.float32]]
    tolerance: Tolerance

    def to_json(self) -> dict[str, Any]:
        """The content of ``checks.json``."""
        return {
            "tolerance": self.tolerance._asdict(),
            "inputs": [_stored(one) for one in self.encodings],
            "passes": [logits.tolist() for logits in self.passes],
        }

    @classmethod
    def of_stored(cls, inputs: Sequence[_Stored], value: Mapping[str, Any]) -> Checks[_Stored]:
        """Undo ``to_json``; ``KeyError``, ``TypeError`` and ``ValueError`` are the caller's to explain."""
        passes = [np.array(logits, np.float32) for logits in value["passes"]]
        if not inputs or not passes or any(p.shape != (len(inputs), passes[0].shape[1]) for p in passes):
            raise ValueError("not as many logits as inputs")
        return cls(inputs, passes, Tolerance(**value["tolerance"]))


def _stored(one: object) -> list[Any]:
    match one:
        case Encoding():
            return [one.ids.tolist(), one.second, one.first_position]
        case Example():
            return list(one.question)
    raise TypeError(f"no input of a model: {type(one).__name__}")


def stored_encodings(value: Mapping[str, Any]) -> list[Encoding]:
    """A network's inputs, as JSON has them; errors are the caller's to explain."""
    encodings = [
        Encoding(np.array(ids, np.int32), int(second), int(position))
        for ids, second, position in value["inputs"]
    ]
    for ids, second, position in encodings:
        if ids.ndim != 1 or not 0 <= second <= len(ids) or not 0 <= position < len(ids):
            raise ValueError("an input whose parts do not fit")
    return encodings


def stored_examples(value: Mapping[str, Any]) -> list[Example]:
    """A linear model's inputs, as JSON has them; errors are the caller's to explain."""
    examples = [
        Example(str(text), int(start), int(end), second=str(second))
        for text, start, end, second in value["inputs"]
    ]
    if any(not 0 <= one.start <= one.end <= len(one.text) for one in examples):
        raise ValueError("an input whose parts do not fit")
    return examples


class Compared(NamedTuple):
    """How logits differ from the stored ones.

    Attributes:
        num: Inputs compared.
        found: Their differences.
        allowed: What they may be.
        changed: Inputs whose label differs in some pass.
    """

    num: int
    found: Tolerance
    allowed: Tolerance
    changed: int

    @property
    def passed(self) -> bool:
        """Whether both differences are allowed; NaN is not."""
        return self.found.largest <= self.allowed.largest and self.found.median <= self.allowed.median


def compare(run: Run[_Stored], checks: Checks[_Stored], count: int | None = None) -> Compared:
    """Compute the first ``count`` stored inputs in the first pass, or all in every pass, and compare.

    Args:
        run: Computes logits [B, C] of inputs; see ``OnnxModel.run_pass``.
        checks: What they must be.
        count: How many inputs; None takes all.
    """
    encodings = checks.encodings[:count]
    begins = range(0, len(encodings), _BATCH)
    differences, changed = np.zeros(len(encodings), np.float32), np.zeros(len(encodings), bool)
    for number, logits in enumerate(checks.passes if count is None else checks.passes[:1]):
        stored = logits[: len(encodings)]
        found = np.concatenate([run(encodings[i : i + _BATCH], high_precision=number == 1) for i in begins])
        differences = np.maximum(differences, np.abs(found - stored).max(1))
        changed |= found.argmax(1) != stored.argmax(1)
    lower_median = float(np.sort(differences)[(len(differences) - 1) // 2])
    summary = Tolerance(float(differences.max()), lower_median)
    return Compared(len(encodings), summary, checks.tolerance, int(changed.sum()))

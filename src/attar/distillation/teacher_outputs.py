"""What the teachers give for the rows of a batch: looked up, or computed beside the student's step.

A teacher that runs online encodes the examples itself, from the text: its tokens may be others than
the student's, and those that ``token_dropout`` hides from the student are not hidden from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from attar.distillation.features import forward_with_features
from attar.distillation.matches import Feature, Features
from attar.distillation.teachers import Teacher
from attar.models.checkpoint import Checkpoint, batch_to, finite_logits
from attar.models.precision import bf16_inference
from attar.recipe.load import AttentionForm
from attar.task import Example

__all__ = [
    "CachedLogits",
    "LogitProvider",
    "OnlineLogits",
    "OnlineTeacher",
    "TeacherEnsemble",
    "TeacherOutput",
]


class TeacherOutput(NamedTuple):
    """What a teacher gives for B rows.

    Attributes:
        logits: [B, C], or None where they are not wanted.
        features: Of the layers that matches want, or None where they want none of this teacher.
    """

    logits: torch.Tensor | None
    features: Features | None = None


LogitProvider = Callable[[torch.Tensor], TeacherOutput]
"""[B] rows of the training examples -> the teacher's output for them, on the rows' device."""


class TeacherEnsemble:
    """The weighted mean of the logits of several providers, and the features of the one that has them.

    Args:
        providers: With the weight of each in the mean; one of weight 0 is there for its features.
    """

    def __init__(self, providers: Sequence[tuple[float, LogitProvider]]) -> None:
        self.providers = providers

    def __call__(self, rows: torch.Tensor) -> TeacherOutput:
        """See ``LogitProvider``."""
        logits: torch.Tensor | None = None
        features: Features | None = None
        for weight, provider in self.providers:
            output = provider(rows)
            if weight and output.logits is not None:
                logits = weight * output.logits + (0.0 if logits is None else logits)
            features = output.features if features is None else features
        return TeacherOutput(logits, features)


class CachedLogits:
    """Logits [N, C] that were computed before, in the order of the examples."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self.logits = torch.from_numpy(logits)

    def __call__(self, rows: torch.Tensor) -> TeacherOutput:
        """See ``LogitProvider``."""
        self.logits = self.logits.to(rows.device)
        return TeacherOutput(self.logits[rows])


class OnlineLogits:
    """The logits of a teacher of any kind for the N training examples, computed in each step."""

    def __init__(self, teacher: Teacher, examples: Sequence[Example]) -> None:
        self.teacher, self.examples = teacher, examples

    def __call__(self, rows: torch.Tensor) -> TeacherOutput:
        """See ``LogitProvider``."""
        logits = self.teacher.predict_logits([self.examples[row] for row in rows.tolist()])
        return TeacherOutput(torch.from_numpy(logits).to(rows.device))


class OnlineTeacher:
    """A checkpoint that runs in each step of the student, in bf16 where that is native.

    Args:
        checkpoint: The model, with its own input.
        examples: The N training examples.
        layers: Feature -> layers to capture.
        form: See ``forward_with_features``.

    Attributes:
        encodings: The examples as it encodes them.
        pad_to: Tokens that its batches are padded to; None for those of the longest example.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        examples: Sequence[Example],
        layers: Mapping[Feature, Sequence[int]],
        form: AttentionForm = "scores",
    ) -> None:
        self.checkpoint, self.layers, self.form = checkpoint, layers, form
        self.encodings = checkpoint.encoder.encode(examples)
        self.pad_to: int | None = None

    def __call__(self, rows: torch.Tensor) -> TeacherOutput:
        """See ``LogitProvider``."""
        model = self.checkpoint.model.to(rows.device).eval()
        encodings = [self.encodings[row] for row in rows.tolist()]
        inputs = batch_to(self.checkpoint, encodings, rows.device, self.pad_to)
        # Not inference_mode: its tensors cannot be saved for the student's backward pass.
        with torch.no_grad(), bf16_inference(rows.device):
            logits, features = forward_with_features(model, inputs, self.layers, self.form)
        logits = logits.float()
        if not bool(torch.isfinite(logits).all()):
            finite_logits(logits.cpu().numpy(), "the teacher")
        return TeacherOutput(logits, features if self.layers else None)

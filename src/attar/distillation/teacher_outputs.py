"""What the teachers say about the rows of a batch: looked up, or computed beside the student's step.

A teacher that runs along encodes the examples itself, from the text: its tokens may be others than
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
from attar.models.checkpoint import Checkpoint, batch_to
from attar.models.precision import bf16_inference
from attar.recipe.load import AttentionForm
from attar.task import Example

__all__ = ["Answer", "Answers", "CachedLogits", "LogitProvider", "OnlineProvider", "OnlineTeacher"]


class Answer(NamedTuple):
    """What is said about B rows.

    Attributes:
        logits: [B, C], or None where nobody was asked for them.
        features: Of the layers that matches want, or None where they want none of this speaker.
    """

    logits: torch.Tensor | None
    features: Features | None = None


LogitProvider = Callable[[torch.Tensor], Answer]
"""[B] rows of the training examples -> what it says about them, on the rows' device."""


class Answers:
    """The weighted mean of the logits of several speakers, and the features of the one that has them.

    Args:
        speakers: With the share of each in the mean; one of share 0 is there for its features.
    """

    def __init__(self, speakers: Sequence[tuple[float, LogitProvider]]) -> None:
        self.speakers = speakers

    def __call__(self, rows: torch.Tensor) -> Answer:
        """What they say about [B] rows."""
        logits: torch.Tensor | None = None
        features: Features | None = None
        for share, speak in self.speakers:
            answer = speak(rows)
            if share and answer.logits is not None:
                logits = share * answer.logits + (0.0 if logits is None else logits)
            features = answer.features if features is None else features
        return Answer(logits, features)


class CachedLogits:
    """Logits that were asked for before.

    Args:
        logits: [N, C], in the order of the examples.
    """

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self.logits = torch.from_numpy(logits)

    def __call__(self, rows: torch.Tensor) -> Answer:
        """See ``LogitProvider``."""
        self.logits = self.logits.to(rows.device)
        return Answer(self.logits[rows])


class OnlineProvider:
    """A teacher of any kind, asked in each step.

    Args:
        teacher: Whom to ask.
        examples: The N training examples.
    """

    def __init__(self, teacher: Teacher, examples: Sequence[Example]) -> None:
        self.teacher, self.examples = teacher, examples

    def __call__(self, rows: torch.Tensor) -> Answer:
        """See ``LogitProvider``."""
        logits = self.teacher.ask([self.examples[row] for row in rows.tolist()])
        return Answer(torch.from_numpy(logits).to(rows.device))


class OnlineTeacher:
    """A checkpoint that runs along with the student, in bf16 where that is native.

    Args:
        checkpoint: The model, with its own input.
        examples: The N training examples.
        layers: Feature -> layers that it shall show.
        form: See ``forward_with_features``.

    Attributes:
        encodings: The examples as it reads them.
        layers: As given.
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

    def __call__(self, rows: torch.Tensor) -> Answer:
        """See ``LogitProvider``."""
        model = self.checkpoint.model.to(rows.device).eval()
        encodings = [self.encodings[row] for row in rows.tolist()]
        inputs = batch_to(self.checkpoint, encodings, rows.device, self.pad_to)
        # Not inference_mode: what it gives may not be kept for the student's backward pass.
        with torch.no_grad(), bf16_inference(rows.device):
            logits, features = forward_with_features(model, inputs, self.layers, self.form)
        return Answer(logits.float(), features if self.layers else None)

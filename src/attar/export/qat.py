"""Quantisation-aware training: a model learns to give its own logits in the arithmetic of int8.

A short self-distillation, run by ``attar export`` where int8 costs too much: the teacher is the model
as it was trained, the student the same model with the int8 graph's quantisation simulated in its
forward pass. Rounding has no gradient, so the backward pass takes it for the identity within its range
(straight-through estimator, Bengio et al. 2013, arXiv:1308.3432, section 2.3; Jacob et al. 2018,
arXiv:1712.05877, section 3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.models.checkpoint import Checkpoint, predict_logits
from attar.models.encoders import set_dropout
from attar.recipe.load import DistillRecipe
from attar.task import Example
from attar.training.fit import DevScore, FitResult, fit
from attar.training.objectives import Objective

__all__ = ["FakeQuantLinear", "fake_quantised", "train_fake_quantised"]


@dataclass(slots=True, eq=False)
class FakeQuantLinear:
    """Simulates one linear layer y = W x + b of the int8 graph.

    Attributes:
        shift: [in] of the input's equalisation, as ``scale``.
        input_scale: Of the equalised input in uint8, as ``zero_point``.
        weight_scales: [out] of the weights, which are multiplied by ``scale`` first.
        limits: [in] their largest quantised values.
    """

    shift: torch.Tensor
    scale: torch.Tensor
    input_scale: torch.Tensor
    zero_point: torch.Tensor
    weight_scales: torch.Tensor
    limits: torch.Tensor

    def __call__(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """The output [..., out] as int8 computes it, of [..., in], the weights [out, in] and biases [out]."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name).to(inputs.device))
        quantised = _round((inputs - self.shift) / self.scale / self.input_scale) + self.zero_point
        values = (quantised.clamp(0, 255) - self.zero_point) * self.input_scale
        scales = self.weight_scales[:, None]
        weights = torch.clamp(_round(weight * self.scale / scales), -self.limits, self.limits) * scales
        return F.linear(values, weights, bias + weight @ self.shift)


def _round(values: torch.Tensor) -> torch.Tensor:
    """The nearest integers, with the gradient of the values themselves."""
    return values + (values.round() - values).detach()


@contextlib.contextmanager
def fake_quantised(
    words: nn.Embedding, layers: Sequence[tuple[nn.Linear, FakeQuantLinear]]
) -> Iterator[None]:
    """Within this context a model computes as its int8 graph does.

    Its word embeddings are quantised row by row to 127 values of either sign, its linear ``layers`` each
    by its simulation; the others stay as they are.
    """

    def embed(ids: torch.Tensor) -> torch.Tensor:
        rows = F.embedding(ids, words.weight)
        scales = (rows.detach().abs().amax(-1, keepdim=True) / 127).clamp(min=1e-30)
        return _round(rows / scales) * scales

    def forward_of(module: nn.Linear, simulated: FakeQuantLinear) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda inputs: simulated(inputs, module.weight, module.bias)

    changed: list[nn.Module] = [words, *(module for module, _ in layers)]
    try:
        words.forward = embed  # type: ignore[method-assign, assignment]
        for module, simulated in layers:
            module.forward = forward_of(module, simulated)  # type: ignore[method-assign, assignment]
        yield
    finally:
        for one in changed:
            one.__dict__.pop("forward", None)


class SelfDistillation(Objective):
    """Logits and hidden states against those of the unquantised model, on the same tokens.

    1/C sum_c (s_c - t_c)^2 of the logits, plus the mean over the layers of
    |h - g|^2 / |g - mean g|^2, summed over the real tokens of an example and over the batch below
    the line. The tokens that ``token_dropout`` hides are hidden from both: what is left has smaller
    margins than the training texts as they are.
    """

    def __init__(self, teacher: nn.Module) -> None:
        super().__init__()
        self.teacher = [teacher]  # a list: it is not trained

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``."""
        teacher = self.teacher[0].to(rows.device).eval()
        with torch.no_grad():
            target = teacher(**inputs, output_hidden_states=True)
        found = model(**inputs, output_hidden_states=True)
        logits = (found.logits - target.logits).square().mean(-1)
        real = inputs["attention_mask"].unsqueeze(-1).float()
        hidden = torch.zeros_like(logits)
        for ours, theirs in zip(found.hidden_states[1:], target.hidden_states[1:], strict=True):
            mean = (theirs * real).sum((0, 1)) / real.sum()
            variance = ((theirs - mean).square() * real).sum() / len(rows)
            hidden = hidden + ((ours - theirs).square() * real).sum((1, 2)) / variance
        layers = len(found.hidden_states) - 1
        return {"logits": logits, "hidden": hidden / layers}


def train_fake_quantised(
    student: Checkpoint,
    teacher: Checkpoint,
    layers: Sequence[tuple[nn.Linear, FakeQuantLinear]],
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: DistillRecipe,
    folder: Path,
) -> FitResult:
    """Train a model in place until, quantised, it agrees with the unquantised one.

    Args:
        student: The model as it starts.
        teacher: The unquantised model.
        layers: The student's linear layers, each with its simulation.
        train: What it is trained on; labels are not read.
        dev: Where agreement is measured; it selects nothing.
        settings: The loop's settings.
        folder: Gets the loop's metrics and, while it runs, its state: a killed training resumes there.

    Returns:
        How it went; the score is the share of dev examples whose label is the teacher's.
    """
    wanted = predict_logits(teacher, dev)

    def agreement() -> DevScore:
        logits = predict_logits(student, dev)
        equal = float((logits.argmax(1) == wanted.argmax(1)).mean())
        return DevScore(equal, {"dev/logit_mse": float(np.square(logits - wanted).mean())})

    set_dropout(student.model, 0.0)
    with fake_quantised(student.model.get_input_embeddings(), layers):
        return fit(
            student,
            student.encoder.encode(train),
            SelfDistillation(teacher.model),
            settings,
            evaluate=agreement,
            folder=folder,
            seed=0,
            name="int8",
        )

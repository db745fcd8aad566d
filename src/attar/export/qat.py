"""Quantisation-aware fine-tuning: a model learns to answer as it did, in the arithmetic of int8.

A short distillation, run by ``attar export`` where int8 costs too much: the teacher is the model as
it was trained, the student the same model with the rounding of the int8 graph in its forward pass.
Rounding has no gradient, so the backward pass takes it for the identity within its range
(straight-through, Bengio et al. 2013, arXiv:1308.3432, section 2.3; Jacob et al. 2018,
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
from attar.training.state import TrainingStates

__all__ = ["RoundedLinear", "learn_rounded", "rounded_forward"]


@dataclass(slots=True, eq=False)
class RoundedLinear:
    """How the int8 graph rounds one linear layer, y = W x + b.

    Attributes:
        centre: [in], subtracted from the input.
        width: [in], divides it then.
        step: Of the uint8 grid of what results.
        zero: The code that 0 has there.
        steps: [out] of the weights, which are multiplied by ``width`` first.
        reach: [in] their largest codes.
    """

    centre: torch.Tensor
    width: torch.Tensor
    step: torch.Tensor
    zero: torch.Tensor
    steps: torch.Tensor
    reach: torch.Tensor

    def __call__(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """The layer's output [..., out] as int8 gives it, of its input [..., in].

        Args:
            inputs: [..., in].
            weight: [out, in].
            bias: [out].
        """
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name).to(inputs.device))
        codes = _rounded((inputs - self.centre) / self.width / self.step) + self.zero
        grid = (codes.clamp(0, 255) - self.zero) * self.step
        steps = self.steps[:, None]
        table = torch.clamp(_rounded(weight * self.width / steps), -self.reach, self.reach) * steps
        return F.linear(grid, table, bias + weight @ self.centre)


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """The nearest whole numbers, with the gradient of the values themselves."""
    return values + (values.round() - values).detach()


@contextlib.contextmanager
def rounded_forward(words: nn.Embedding, layers: Sequence[tuple[nn.Linear, RoundedLinear]]) -> Iterator[None]:
    """While it is open, a model computes as its int8 graph does.

    Args:
        words: Its word embeddings; each row is rounded to 127 steps of its largest value.
        layers: Its linear layers and how they are rounded; the others compute as always.
    """

    def embed(ids: torch.Tensor) -> torch.Tensor:
        rows = F.embedding(ids, words.weight)
        steps = (rows.detach().abs().amax(-1, keepdim=True) / 127).clamp(min=1e-30)
        return _rounded(rows / steps) * steps

    def compute(module: nn.Linear, rounded: RoundedLinear) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda inputs: rounded(inputs, module.weight, module.bias)

    changed: list[nn.Module] = [words, *(module for module, _ in layers)]
    try:
        words.forward = embed  # type: ignore[method-assign, assignment]
        for module, rounded in layers:
            module.forward = compute(module, rounded)  # type: ignore[method-assign, assignment]
        yield
    finally:
        for one in changed:
            one.__dict__.pop("forward", None)


class SameAnswers(Objective):
    """The model's answers and hidden states, against those of the model as it was, on the same tokens.

    1/C sum_c (s_c - t_c)^2 of the logits, plus the mean over the layers of
    |h - g|^2 / |g - mean g|^2, summed over the real tokens of an example and over the batch below
    the line. The tokens that ``token_dropout`` hides are hidden from both: what is left is nearer to
    a tie than texts that were learnt by heart.

    Args:
        teacher: The model as it was.
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
            wanted = teacher(**inputs, output_hidden_states=True)
        found = model(**inputs, output_hidden_states=True)
        logits = (found.logits - wanted.logits).square().mean(-1)
        real = inputs["attention_mask"].unsqueeze(-1).float()
        hidden = torch.zeros_like(logits)
        for mine, its in zip(found.hidden_states[1:], wanted.hidden_states[1:], strict=True):
            mean = (its * real).sum((0, 1)) / real.sum()
            spread = ((its - mean).square() * real).sum() / len(rows)
            hidden = hidden + ((mine - its).square() * real).sum((1, 2)) / spread
        layers = len(found.hidden_states) - 1
        return {"logits": logits, "hidden": hidden / layers}


def learn_rounded(
    student: Checkpoint,
    teacher: Checkpoint,
    layers: Sequence[tuple[nn.Linear, RoundedLinear]],
    train: Sequence[Example],
    dev: Sequence[Example],
    settings: DistillRecipe,
    folder: Path,
) -> FitResult:
    """Train a model in place until, rounded, it answers as it did.

    Args:
        student: The model as it starts.
        teacher: The model as it was.
        layers: The student's linear layers and how they are rounded.
        train: What it learns on; their labels are not read.
        dev: Examples that choose nothing: how many keep their label is reported.
        settings: The loop's settings.
        folder: Gets the loop's metrics and, while it runs, its state: a killed training goes on there.

    Returns:
        How it went; the score is the share of dev examples with the label of before.
    """
    before = predict_logits(teacher, dev)

    def agreement() -> DevScore:
        logits = predict_logits(student, dev)
        equal = float((logits.argmax(1) == before.argmax(1)).mean())
        return DevScore(equal, {"dev/logit_mse": float(np.square(logits - before).mean())})

    set_dropout(student.model, 0.0)
    with rounded_forward(student.model.get_input_embeddings(), layers):
        result = fit(
            student,
            student.encoder.encode(train),
            SameAnswers(teacher.model),
            settings,
            evaluate=agreement,
            folder=folder,
            seed=0,
            name="int8",
        )
    TrainingStates(folder / "state").clear()
    return result

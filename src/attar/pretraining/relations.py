"""A student learns the layers of an encoder, piece by piece, without labels and without a task.

Task-agnostic distillation: relations of queries, keys and values (MiniLMv2, Wang et al. 2021,
arXiv:2012.15828) and hidden states through learned projections (the general stage of TinyBERT,
Jiao et al. 2020, arXiv:1909.10351, section 3.2), by the matches of ``[distill]``.
"""

from __future__ import annotations

import torch
from torch import nn

from attar.distillation.features import forward_with_features
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import wanted
from attar.models.checkpoint import Checkpoint, batch_to
from attar.models.precision import bf16_inference
from attar.pretraining.pieces import Pieces
from attar.training.objectives import Objective

__all__ = ["LayerDistillation"]


class LayerDistillation(Objective):
    """The sum of the losses of the matches with an encoder that runs in each step.

    Args:
        teacher: The encoder; it is not trained, and computes in bf16 where that is native.
        pieces: All pieces, in the teacher's vocabulary.
        losses: What is compared.
    """

    def __init__(self, teacher: Checkpoint, pieces: Pieces, losses: MatchLosses) -> None:
        super().__init__()
        # In a tuple, it is no part of what is trained and saved.
        self._teacher, self.pieces, self.losses = (teacher,), pieces, losses
        self.layers = wanted(losses.matches)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """See ``Objective.forward``; the rows are numbers of pieces."""
        (teacher,) = self._teacher
        given = batch_to(teacher, [self.pieces[row] for row in rows.tolist()], rows.device)
        # Not inference_mode: its tensors cannot be saved for the student's backward pass.
        with torch.no_grad(), bf16_inference(rows.device):
            _, targets = forward_with_features(
                teacher.model.to(rows.device).eval(), given, self.layers.teacher
            )
        logits, features = forward_with_features(model, inputs, self.layers.student)
        losses: dict[str, torch.Tensor] = self.losses(features, targets, inputs["attention_mask"])
        # The unused head gets a gradient of 0: several processes wait for one of every weight.
        first = next(iter(losses))
        return losses | {first: losses[first] + 0.0 * logits.sum(1)}

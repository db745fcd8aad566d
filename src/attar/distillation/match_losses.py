"""The losses of all matches: from the features of both models to one weighted loss [B] a match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn

from attar.distillation.losses.attention import (
    attention_ce,
    attention_ce_mean,
    attention_mse,
    attention_mse_sum,
)
from attar.distillation.losses.hidden import cosine_loss, flow_loss, gram_loss, hidden_mse, pkd_loss
from attar.distillation.losses.masked import lengths_of, pair_share, token_share
from attar.distillation.losses.relations import (
    contrastive_loss,
    relation_loss,
    rkd_angle_loss,
    rkd_distance_loss,
)
from attar.distillation.matches import EQUAL_WIDTHS, Features, Layer, Match, layer_numbers
from attar.errors import RecipeError

__all__ = ["MatchLosses"]

Pair = tuple[torch.Tensor, torch.Tensor]

_ON_TOKENS: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]] = {
    "hidden_mse": hidden_mse,
    "cos": cosine_loss,
    "attention_mse": attention_mse,
    "attention_mse_sum": attention_mse_sum,
    "attention_ce": attention_ce,
    "attention_ce_mean": attention_ce_mean,
    "relation": relation_loss,
}
_ON_EXAMPLES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "pkd": pkd_loss,
    "rkd_distance": rkd_distance_loss,
    "rkd_angle": rkd_angle_loss,
    "contrastive": contrastive_loss,
}
_ON_GRAMS = ("mmd", "nst")
_EQUAL_HEADS = ("attention_mse", "attention_ce")
_SHARES = {
    **dict.fromkeys(("hidden_mse", "cos", "attention_ce", "attention_ce_mean"), token_share),
    **dict.fromkeys(("attention_mse", "attention_mse_sum", *_ON_GRAMS), pair_share),
}


class MatchLosses(nn.Module):
    """Compares the features of student and teacher, match by match.

    It holds the learned projections, which train with the student and start as textbrewer's do
    (weights normal with deviation 0.02, biases 0).

    Args:
        matches: What is compared; ``with_projections`` fits them to the widths.
        student_width: D of the student's hidden states.
        teacher_width: D of the teacher's.
        weigh_by: "tokens": the mean over the batch is the mean over its tokens, as in textbrewer.
            "examples": every example weighs the same, so that its loss does not depend on what else
            is in the batch, and parts of a batch add up to the whole by themselves.
        max_tokens: textbrewer's "mmd" divides by the length that batches are padded to. With this
            length the value is the same however short the padding; without it, "mmd" divides by
            the widths.

    Raises:
        RecipeError: Widths differ and a match has no projection, or one for other widths.
    """

    def __init__(
        self,
        matches: Sequence[Match],
        student_width: int,
        teacher_width: int,
        *,
        weigh_by: Literal["tokens", "examples"] = "tokens",
        max_tokens: int | None = None,
    ) -> None:
        super().__init__()
        for match in matches:
            _check_widths(match, student_width, teacher_width)
        self.matches = tuple(matches)
        self.weigh_by, self.max_tokens = weigh_by, max_tokens
        self.projections = nn.ModuleList(_projection(match.projection) for match in matches)

    def forward(
        self,
        student: Features,
        teacher: Features,
        mask: torch.Tensor | None,
        *,
        batch_lengths: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compare. No gradient reaches the teacher.

        Args:
            student: Those that ``wanted`` names for the student.
            teacher: The same of the teacher, for the same tokens.
            mask: [B, T], not 0 at real tokens; None counts padding too.
            batch_lengths: [N] real tokens of all examples of the batch, where these B are only a
                part of it; makes parts weighed by tokens add up to the whole.

        Returns:
            Losses [B], weighted, under the names of the matches (equal names are added up). Their
            mean over the batch is what the formulas say.

        Raises:
            RecipeError: A wanted layer is not there, or the numbers of heads do not fit.
        """
        real = None if mask is None else mask.bool()
        losses: dict[str, torch.Tensor] = {}
        for match, projection in zip(self.matches, self.projections, strict=True):
            own = _layers(student, match, match.student_layer, "student")
            theirs = _layers(teacher, match, match.teacher_layer, "teacher")
            own = {number: projection(states.float()) for number, states in own.items()}
            first, second = (own[number] for number in layer_numbers(match.student_layer))
            targets = tuple(theirs[number].detach() for number in layer_numbers(match.teacher_layer))
            # Differences of Gram matrices and squares of scores do not bear half precision.
            with torch.autocast(first.device.type, enabled=False):
                value = self._compare(match, (first, second), (targets[0], targets[1]), real)
            if real is not None and self.weigh_by == "tokens" and match.loss in _SHARES:
                value = value * _SHARES[match.loss](lengths_of(real), batch_lengths)
            value = match.weight * value
            losses[match.name] = losses[match.name] + value if match.name in losses else value
        return losses

    def _compare(self, match: Match, student: Pair, teacher: Pair, mask: torch.Tensor | None) -> torch.Tensor:
        if match.loss in _EQUAL_HEADS and student[0].shape[1:-2] != teacher[0].shape[1:-2]:
            heads = [x.shape[1] if x.dim() == 4 else "summed" for x in (student[0], teacher[0])]
            raise RecipeError(
                f"matches: {match.name} compares head by head, but the student's heads are {heads[0]} and "
                f"the teacher's {heads[1]}; attention_mse_sum and attention_ce_mean take any numbers"
            )
        if match.loss in _ON_TOKENS:
            return _ON_TOKENS[match.loss](student[0], teacher[0], mask)
        if match.loss in _ON_EXAMPLES:
            return _ON_EXAMPLES[match.loss](student[0], teacher[0])
        if match.loss in _ON_GRAMS:
            return gram_loss(student, teacher, mask, self.max_tokens)
        return flow_loss(student, teacher, mask)


def _projection(widths: tuple[int, int] | None) -> nn.Module:
    if widths is None:
        return nn.Identity()
    linear = nn.Linear(*widths)
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


def _check_widths(match: Match, student_width: int, teacher_width: int) -> None:
    if match.projection and match.projection != (student_width, teacher_width):
        raise RecipeError(
            f"matches: {match.name} projects {match.projection[0]} to {match.projection[1]}, but the "
            f"student is {student_width} wide and the teacher {teacher_width}; give those widths"
        )
    if match.loss in EQUAL_WIDTHS and not match.projection and student_width != teacher_width:
        raise RecipeError(
            f"matches: {match.name} compares vectors, but the student is {student_width} wide and the "
            f"teacher {teacher_width}; give it projection = ({student_width}, {teacher_width}), or "
            "choose mmd, relation, rkd_distance or rkd_angle, which take any widths"
        )


def _layers(features: Features, match: Match, layer: Layer, side: str) -> dict[int, torch.Tensor]:
    found = {}
    for number in layer_numbers(layer):
        states = features.get(match.feature, {}).get(number)
        if states is None:
            raise RecipeError(
                f"matches: {match.name} wants layer {number} of the {side}, which has no {match.feature} "
                'there; choose a layer that it has, or matches = "auto"'
            )
        found[number] = states
    return found

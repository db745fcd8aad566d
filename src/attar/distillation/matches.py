"""Matches: which layer of the student learns from which layer of the teacher, by which loss.

Layer 0 is the output of the embeddings, layer k that of the k-th Transformer layer; the k-th
layer's attentions, queries, keys and values have number k too. ``PRESET_MATCHES`` holds those of
the original system by name (textbrewer's examples/matches), ``auto_matches`` fits any depths.

Flow: recipe -> Match -> ``wanted`` says what to capture -> Features of both models ->
``attar.distillation.match_losses.MatchLosses`` -> one weighted loss [B] a match.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from attar.errors import RecipeError
from attar.recipe.load import MatchRecipe
from attar.suggest import did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "AUTO_MATCHES",
    "EQUAL_WIDTHS",
    "PRESET_MATCHES",
    "Feature",
    "Features",
    "Layer",
    "Match",
    "MatchLoss",
    "Wanted",
    "auto_hidden_matches",
    "auto_matches",
    "check_layers",
    "check_names",
    "layer_numbers",
    "wanted",
    "with_projections",
]

Feature = Literal["hidden", "attention", "query", "key", "value"]
MatchLoss = Literal[
    "hidden_mse", "cos", "pkd", "mmd", "nst", "gram", "fsp",
    "attention_mse", "attention_mse_sum", "attention_ce", "attention_ce_mean",
    "relation", "rkd_distance", "rkd_angle", "contrastive",
]  # fmt: skip
Layer = int | tuple[int, int]
Features = Mapping[Feature, Mapping[int, "torch.Tensor"]]
"""What one model computed for a batch, by layer: attentions [B, H, T, T] (or [B, T, T], summed over the
heads), everything else [B, T, D], heads joined."""

_LAYER_PAIRS = ("mmd", "nst", "gram", "fsp")
EQUAL_WIDTHS = ("hidden_mse", "cos", "pkd", "gram", "fsp", "contrastive")
"""Losses that compare vectors: the widths must be equal or the student's projected."""


@dataclass(frozen=True, slots=True)
class Match:
    """One feature of one layer (or pair of layers) of each model, compared by one loss.

    Attributes:
        feature: What is compared.
        loss: By what; "mmd", "nst", "gram" and "fsp" take a pair of layers a side, where one
            number means it twice.
        teacher_layer: 0 is the embeddings (hidden states only).
        student_layer: The same.
        weight: Factor of the loss.
        projection: Widths (student, teacher) of a learned linear map of the student's states, or
            None.

    Raises:
        RecipeError: An unknown loss, or one that does not compare this feature or these layers.
    """

    feature: Feature
    loss: MatchLoss
    teacher_layer: Layer
    student_layer: Layer
    weight: float = 1.0
    projection: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.loss not in get_args(MatchLoss):
            losses = get_args(MatchLoss)
            hint = did_you_mean(self.loss, losses) or f"; there are {', '.join(losses)}"
            raise RecipeError(f"matches: no loss is called {self.loss!r}{hint}")
        if self.feature not in _features_of(self.loss):
            raise RecipeError(
                f"matches: {self.loss} compares {' or '.join(_features_of(self.loss))}, not {self.feature!r}"
            )
        for layer in (self.student_layer, self.teacher_layer):
            if isinstance(layer, tuple) and self.loss not in _LAYER_PAIRS:
                raise RecipeError(f"matches: {self.loss} takes one layer of each model, not {layer}")
        if self.projection and self.loss not in EQUAL_WIDTHS:
            raise RecipeError(f"matches: {self.loss} compares any widths; leave its projection out")

    @property
    def name(self) -> str:
        """Such as ``hidden_mse@4-12``: loss, layer of the student, layer of the teacher."""
        prefix = "" if self.loss.startswith(self.feature) or self.feature == "hidden" else f"{self.feature}_"
        sides = (dict.fromkeys(layer_numbers(layer)) for layer in (self.student_layer, self.teacher_layer))
        return f"{prefix}{self.loss}@{'-'.join(','.join(map(str, side)) for side in sides)}"


def _features_of(loss: str) -> tuple[str, ...]:
    if loss.startswith("attention"):
        return ("attention",)
    return ("query", "key", "value") if loss == "relation" else ("hidden",)


def layer_numbers(layer: Layer) -> tuple[int, int]:
    """One number means the layer twice."""
    return layer if isinstance(layer, tuple) else (layer, layer)


def _evenly(
    loss: MatchLoss, step: int, *, student_layers: int | None = None, width: int | None = None
) -> tuple[Match, ...]:
    """Every ``step``-th layer of a 12-layer teacher; a student of ``width`` is projected to 768."""
    feature: Feature = "attention" if loss.startswith("attention") else "hidden"
    depth = student_layers or 12 // step
    return tuple(
        Match(feature, loss, layer, layer * depth // 12, projection=(width, 768) if width else None)
        for layer in range(step if feature == "attention" else 0, 13, step)
    )


def _flow(step: int, width: int) -> tuple[Match, ...]:
    """Every ``step``-th layer of a 12-layer teacher together with the next of them."""
    return tuple(
        Match("hidden", "fsp", (t, t + step), (t // step, t // step + 1), projection=(width, 768))
        for t in range(0, 12, step)
    )


PRESET_MATCHES: Mapping[str, tuple[Match, ...]] = MappingProxyType(
    {
        **{f"L3_{loss}": _evenly(loss, 4) for loss in get_args(MatchLoss) if loss.startswith("attention")},
        **{f"L4_{loss}": _evenly(loss, 3) for loss in get_args(MatchLoss) if loss.startswith("attention")},
        "L3_hidden_mse": _evenly("hidden_mse", 4),
        "L3_hidden_smmd": _evenly("mmd", 4),
        "L3n_hidden_mse": _evenly("hidden_mse", 4, width=384),
        "L4_hidden_smmd": _evenly("mmd", 3),
        "L4t_hidden_mse": _evenly("hidden_mse", 3, width=312),
        "L4t_hidden_sgram": _evenly("gram", 3, width=312),
        "L6_hidden_mse": _evenly("hidden_mse", 2),
        "L6_hidden_smmd": _evenly("mmd", 2),
        "small_hidden_mse": _evenly("hidden_mse", 2, student_layers=12, width=256),
        "small_hidden_smmd": _evenly("mmd", 2, student_layers=12),
        # textbrewer has these losses, but no preset for them.
        "L4_hidden_nst": _evenly("nst", 3),
        "L4t_hidden_cos": _evenly("cos", 3, width=312),
        "L4t_hidden_flow": _flow(3, 312),
        "L4t_hidden_pkd": _evenly("pkd", 3, width=312),
    }
)
"""Name -> matches for a 12-layer teacher of width 768; ``with_projections`` fits other widths."""


def auto_matches(student_layers: int, teacher_layers: int) -> tuple[Match, ...]:
    """MiniLMv2's relations for any depths and widths.

    The relations of the queries, keys and values of the student's last layer with those of one
    layer of the teacher: the last one up to 12 layers, of deeper teachers the one at 7/8 of the
    depth (21 of 24), whose last layers MiniLMv2 found worse to learn from (arXiv:2012.15828). One
    pair of layers leaves the student free in how it uses the others, and relations need neither
    projections nor equal numbers of heads.
    """
    layer = teacher_layers if teacher_layers <= 12 else round(teacher_layers * 7 / 8)
    features: tuple[Feature, ...] = ("query", "key", "value")
    return tuple(Match(feature, "relation", layer, student_layers) for feature in features)


def auto_hidden_matches(student_layers: int, teacher_layers: int) -> tuple[Match, ...]:
    """Every hidden state of the student with one of the teacher's, evenly spaced, by mean squares.

    The embeddings with the embeddings, the last layer with the last, as TinyBERT's general
    distillation does (arXiv:1909.10351, section 3.2). Unlike relations it reaches every weight of
    the student's last layer.
    """
    layers = ((round(i * teacher_layers / student_layers), i) for i in range(student_layers + 1))
    return tuple(Match("hidden", "hidden_mse", theirs, ours) for theirs, ours in layers)


AUTO_MATCHES: Mapping[str, Callable[[int, int], tuple[Match, ...]]] = MappingProxyType(
    {"auto": auto_matches, "auto_hidden": auto_hidden_matches}
)
"""Presets that depend on the numbers of layers."""


def check_names(entries: Sequence[MatchRecipe], key: str = "distill.matches") -> None:
    """Refuse names that are no preset, before anything is trained.

    Args:
        entries: The recipe's matches.
        key: Where they stand in it.

    Raises:
        RecipeError: A name is unknown; the nearest is named.
    """
    for entry in entries:
        if entry.preset in (None, *AUTO_MATCHES, *PRESET_MATCHES):
            continue
        known = [*AUTO_MATCHES, *PRESET_MATCHES]
        hint = did_you_mean(str(entry.preset), known, cutoff=0.5) or f"; there are {', '.join(known)}"
        raise RecipeError(f"{key}: no preset is called {entry.preset!r}{hint}")


def with_projections(matches: Sequence[Match], student_width: int, teacher_width: int) -> tuple[Match, ...]:
    """The matches, projected where they were already or compare vectors of widths that differ."""
    widths = (student_width, teacher_width)
    return tuple(
        replace(match, projection=widths)
        if match.projection or (match.loss in EQUAL_WIDTHS and student_width != teacher_width)
        else match
        for match in matches
    )


def check_layers(matches: Sequence[Match], student_layers: int, teacher_layers: int) -> None:
    """Refuse matches whose layers are not there.

    Raises:
        RecipeError: The first such layer, and which there are.
    """
    for match in matches:
        lowest = 0 if match.feature == "hidden" else 1
        ours, theirs = layer_numbers(match.student_layer), layer_numbers(match.teacher_layer)
        needed = [("student", student_layers, n) for n in ours]
        needed += [("teacher", teacher_layers, n) for n in theirs]
        for side, depth, number in needed:
            if not lowest <= number <= depth:
                raise RecipeError(
                    f"matches: {match.name} wants layer {number} of the {side}, whose {match.feature} "
                    f'layers are {lowest} to {depth}; choose among them, or matches = "auto"'
                )


class Wanted(NamedTuple):
    """What to capture of each model: feature -> numbers of the layers, ascending."""

    student: dict[Feature, tuple[int, ...]]
    teacher: dict[Feature, tuple[int, ...]]


def wanted(matches: Sequence[Match]) -> Wanted:
    """The features and layers that these matches compare."""
    student: dict[Feature, set[int]] = {}
    teacher: dict[Feature, set[int]] = {}
    for match in matches:
        student.setdefault(match.feature, set()).update(layer_numbers(match.student_layer))
        teacher.setdefault(match.feature, set()).update(layer_numbers(match.teacher_layer))
    return Wanted(*({f: tuple(sorted(layers)) for f, layers in side.items()} for side in (student, teacher)))

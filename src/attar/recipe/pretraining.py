"""``[pretrain]``: what is learnt from text without labels, before there is a task."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from attar.recipe.base import Positive
from attar.recipe.data import SourceRecipe
from attar.recipe.training import FitRecipe, MatchRecipe

__all__ = ["PretrainRecipe"]


class PretrainRecipe(FitRecipe):
    """``pretrain``: a general stage on text without labels.

    ``kind = "relations"`` teaches the recipe's student the layers of an encoder; ``matches`` says
    which, as in ``[distill]``. "mlm" goes on with the encoder's own masked-language-model training:
    ``mask_share`` of the tokens are asked for. ``encoder`` names the encoder, as ``train.encoder``
    does; left out, it is that one.

    ``texts`` are sources as in ``[data]``, of which the text alone is read; a ``.txt`` file
    without a form holds one text a line. They are cut where clauses end into pieces of at
    most ``max_tokens``; ``held_out`` is the share of them that is never trained on but gives the
    loss that is reported. ``keep`` counts by that loss.
    """

    kind: Literal["relations", "mlm"] = "relations"
    encoder: str | None = None
    texts: tuple[SourceRecipe, ...] = ()
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 128
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.01
    matches: tuple[MatchRecipe, ...] = (MatchRecipe(preset="auto"), MatchRecipe(preset="auto_hidden"))
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
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

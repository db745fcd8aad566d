"""``[distill.unlabelled]`` and ``[distill.augment]``: what the teachers answer beside the training split."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from attar.recipe.base import Positive, Section, Share
from attar.recipe.data import SourceRecipe

__all__ = ["AugmentRecipe", "UnlabelledRecipe"]


class AugmentRecipe(Section):
    """``distill.augment``: changed copies of the training examples, made once, for the teachers to answer."""

    copies: Annotated[int, Field(ge=0)] = 0
    """Most copies of each example."""
    kinds: Annotated[tuple[Literal["clauses", "terms", "noise"], ...], Field(min_length=1)] = (
        "clauses",
        "terms",
        "noise",
    )
    """What is changed, in turns: clauses without the term are left out, another term of the same wordtype
    is put in its place, letters outside it are replaced, left out or exchanged."""
    noise: Share = 0.1
    """Share of the letters that `noise` changes."""


class UnlabelledRecipe(Section):
    """``distill.unlabelled``: reviews without labels; a list of sources alone may stand for it."""

    sources: tuple[SourceRecipe, ...] = ()
    """Files, folders, MongoDB collections, as in `data.sources`; only the text is read, and a `.txt` file
    without a format holds one review a line."""
    terms: str | tuple[str, ...] = ()
    """Terms to look for beside those of the training split of two characters or more: a list, or a file
    of one a line."""
    per_term: Positive = 50
    """Most places of a term that are put to the teachers."""
    min_confidence: Share = 0.5
    """Least top prob of the teachers' mean logits, calibrated on dev."""
    balance: Literal["none", "sqrt", "equal"] = "sqrt"
    """How the predicted labels share `limit`: as they come, by the square root of their counts, or
    equally; what a rare label cannot fill stays empty."""
    limit: Positive = 10_000
    """Most examples that are kept."""

    @model_validator(mode="before")
    @classmethod
    def _from_sources(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return {"sources": value} if isinstance(value, list | tuple) else value

"""``[distill.unlabelled]`` and ``[distill.augment]``: what the teachers answer beside the training split."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from attar.recipe.base import Positive, Section, Share
from attar.recipe.data import SourceRecipe

__all__ = ["AugmentRecipe", "UnlabelledRecipe"]


class AugmentRecipe(Section):
    """``distill.augment``: changed copies of the training examples, for the teachers to answer.

    ``copies`` of each example, in whose making the ``kinds`` take turns: "clauses" leaves out some
    that do not hold the term, "terms" puts another term of the same wordtype in its place, "noise"
    changes that share of the letters outside the term. They are made once, not in each epoch.
    """

    copies: Annotated[int, Field(ge=0)] = 0
    kinds: Annotated[tuple[Literal["clauses", "terms", "noise"], ...], Field(min_length=1)] = (
        "clauses",
        "terms",
        "noise",
    )
    noise: Share = 0.1


class UnlabelledRecipe(Section):
    """``distill.unlabelled``: reviews without labels; a list of sources alone may stand for it.

    Of ``sources`` only the text is read; a ``.txt`` file without a form holds one review a line.
    The training terms and ``terms`` (a list, or a file of one a line) are looked for in them, and
    at most ``per_term`` places of each term are put to the teachers.

    Kept is what they are sure of: the top prob of their mean logits, divided by the temperature
    that calibrates them on dev, is at least ``min_confidence``. ``balance`` says how the predicted
    labels share ``limit`` examples: as they come ("none"), by the square root of their counts
    ("sqrt") or equally; what a rare label cannot fill stays empty.
    """

    sources: tuple[SourceRecipe, ...] = ()
    terms: str | tuple[str, ...] = ()
    per_term: Positive = 50
    min_confidence: Share = 0.5
    balance: Literal["none", "sqrt", "equal"] = "sqrt"
    limit: Positive = 10_000

    @model_validator(mode="before")
    @classmethod
    def _from_sources(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return {"sources": value} if isinstance(value, list | tuple) else value

"""``[distill.unlabelled]`` and ``[distill.augment]``: what the teachers answer beside the training split."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from attar.sections.base import Positive, Section, Share
from attar.sections.data import SourceRecipe

__all__ = ["UnlabelledRecipe"]


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

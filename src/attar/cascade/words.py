"""What is known of a cascade's agreement with its last member, in a sentence."""

from __future__ import annotations

from attar.cascade.thresholds import Bound
from attar.language.translator import ENGLISH, Translator

__all__ = ["bound_in_words"]


def bound_in_words(bound: Bound, agreement: float, confidence: float, tr: Translator = ENGLISH) -> str:
    """What dev showed, and what follows from that.

    Args:
        bound: As ``choose_thresholds`` returned it.
        agreement: What was asked for.
        confidence: Of a binomial bound.
        tr: The language; English on the card.
    """
    seen = tr(
        "On dev it gave the last member's label for {same} of {num} examples",
        same=f"{bound.num - bound.disagreeing:,}", num=f"{bound.num:,}",
    )  # fmt: skip
    asked = f"{agreement:.1%}"
    if bound.method == "conformal":
        return tr(
            "{seen}; by conformal risk control that is at least {asked} agreement in the mean over such dev "
            "splits, no more.",
            seen=seen, asked=asked,
        )  # fmt: skip
    return tr(
        "{seen}; by an exact binomial bound (Clopper-Pearson) that is at least {asked} agreement with "
        "{confidence} confidence.",
        seen=seen, asked=asked, confidence=f"{confidence:.0%}",
    )  # fmt: skip

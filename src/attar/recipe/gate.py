"""``[gate]``: what the artifact must reach before it takes its place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from attar.recipe.base import Section, Share

__all__ = ["GateRecipe"]

_Gain = Annotated[float, Field(ge=-1.0, le=1.0)]
_Above0 = Annotated[float, Field(gt=0.0)]


class GateRecipe(Section):
    """``run`` and ``evaluate``: what the artifact must reach on the test split, scores as fractions of 1.

    Differences have paired 95 % intervals over whole reviews. Beside these keys int8 is always held to
    `export.max_f1_loss` against its checkpoint, and every label must have examples.
    """

    max_loss_to_teacher: Share = 0.02
    """Macro-F1 that it may lose to its teacher: refused where it surely loses more, a warning where it seems
    to. 1 turns it off."""
    min_gain_over_linear: _Gain = 0.0
    """Macro-F1 that it must gain over the linear model: refused where it surely gains less, a warning where
    it does not surely gain more. -1 turns it off."""
    min_gain_over_finetuned: _Gain | None = None
    """The same over the same student without a teacher; left out, that is shown only."""
    min_gain_over_service: _Gain = 0.0
    """With `--against` alone: macro-F1 that a new model must surely gain over the one in service, for the
    verdict promote. Below 0 one is promoted that surely loses less."""
    min_macro_f1: Share | None = None
    """Least macro-F1; a warning where its interval reaches below."""
    min_recall: Share | dict[str, Share] | None = None
    """Least recall of each label, or a table of labels; a warning where the interval (Wilson's) reaches
    below."""
    max_mb: _Above0 | None = None
    """Largest file of weights, in millions of bytes."""
    min_rate: _Above0 | None = None
    """Least examples a second, as the report measures them on its machine."""

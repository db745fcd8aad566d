"""What every section of a recipe is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Margin", "Positive", "Section", "Share"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Margin = Annotated[int, Field(ge=0)] | Literal["all"]


class Section(BaseModel):
    """A part of a recipe: frozen, and without keys of other names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

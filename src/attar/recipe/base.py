"""What every section of a recipe is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Margin", "Positive", "Section", "Share", "meaning_of"]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Margin = Annotated[int, Field(ge=0)] | Literal["all"]


class Section(BaseModel):
    """A part of a recipe: frozen, and without keys of other names.

    The docstring under a field is what the reference and the error messages say of its key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def meaning_of(section: type[BaseModel], key: str) -> str:
    """The docstring of a key on one line; of a key that only sets another default, its parent's."""
    for model in section.__mro__:
        field = model.model_fields.get(key) if issubclass(model, BaseModel) else None
        if field is not None and field.description:
            return " ".join(field.description.split())
    return ""

"""What every section of a recipe is made of."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from attar.errors import RecipeError

__all__ = [
    "FilePath",
    "FolderName",
    "Margin",
    "Positive",
    "Section",
    "Share",
    "TeacherName",
    "expand_variables",
    "meaning_of",
]

_LONGEST_NAME = 200

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Margin = Annotated[int, Field(ge=0)] | Literal["all"]


def expand_variables(path: str) -> str:
    """``path`` with ``$NAME`` and ``${NAME}`` replaced by environment variables.

    Raises:
        RecipeError: A variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise RecipeError(f"{path}: the environment variable {name} is not set")
        return os.environ[name]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, path)


def _from_folder(path: str, info: ValidationInfo) -> str:
    """A path of a recipe that is read from a file, relative to that file's folder."""
    if info.context is None:
        return path
    whole = expand_variables(path)
    return whole if "://" in whole or Path(whole).is_absolute() else str(info.context["folder"] / whole)


def _teacher_from_folder(name: str, info: ValidationInfo) -> str:
    return name if name == "linear" else _from_folder(name, info)


FilePath = Annotated[str, AfterValidator(_from_folder)]
TeacherName = Annotated[str, AfterValidator(_teacher_from_folder)]


def _folder_name(name: str) -> str:
    if (
        name in ("", ".", "..")
        or re.search(r"[/\\\x00-\x1f\x7f]", name)
        or len(name.encode()) > _LONGEST_NAME
    ):
        raise ValueError(
            f"must be the plain name of a folder: no /, no \\, not '..', at most {_LONGEST_NAME} bytes"
        )
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]


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

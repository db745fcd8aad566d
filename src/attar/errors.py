"""The errors that attar raises on purpose.

    AttarError
    ├── DataError         a source, a row, a prepared folder
    ├── RecipeError       a recipe, a setting, a command line
    ├── CheckpointError   a trainable folder, an encoder, a resumed run
    ├── ArtifactError     a deployable folder
    │   └── ParityError   an export that does not answer as its checkpoint does
    └── GateError         a model that does not deserve what it costs

A message says what and where, what was expected, and what to do next. The command line prints it
on one line and exits with 2; anything else that escapes is a bug of ours.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "ArtifactError",
    "AttarError",
    "CheckpointError",
    "DataError",
    "GateError",
    "ParityError",
    "RecipeError",
    "did_you_mean",
]


class AttarError(Exception):
    """Base of every error that attar raises on purpose."""


class DataError(AttarError):
    """A source, a row or a prepared folder cannot be used."""


class RecipeError(AttarError):
    """A recipe, a setting or a command line is not valid."""


class CheckpointError(AttarError):
    """A trainable folder, an encoder or a run to resume cannot be used."""


class ArtifactError(AttarError):
    """A deployable folder is missing something, damaged or foreign."""


class ParityError(ArtifactError):
    """An exported model does not answer as the checkpoint it came from."""


class GateError(AttarError):
    """A model does not deserve what it costs."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name: ``; did you mean 'text'?``, or "" if none is near.

    Args:
        name: What the user wrote.
        known: What it could have been.
        cutoff: How alike they must be, from 0 to 1 (``difflib.SequenceMatcher.ratio``).
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""

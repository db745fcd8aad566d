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

__all__ = [
    "ArtifactError",
    "AttarError",
    "CheckpointError",
    "DataError",
    "GateError",
    "ParityError",
    "RecipeError",
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

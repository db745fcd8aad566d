"""The errors that attar raises on purpose, one class per cause that a caller treats differently.

    AttarError
    ├── DataError            a source, a row or a prepared folder
    ├── RecipeError          a recipe, a setting or a command line
    ├── MissingPackageError  an optional package that is not installed
    ├── RunError             a run that cannot start or continue: a lock, a port, a loss that is not finite
    ├── CheckpointError      a trainable folder, an encoder or the state of a training
    ├── ArtifactError        a deployable folder
    │   └── ParityError      an exported graph that does not compute what its checkpoint computes
    └── GateError            a model that a threshold of the recipe refuses

A message says what and where, what was expected, and what to do next. The command line prints it
on one line and exits with 2; anything else that escapes is a bug of ours. ``require`` is here too: it is
how every optional package is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.util import find_spec
from types import ModuleType

__all__ = [
    "TRAINING_PACKAGES",
    "ArtifactError",
    "AttarError",
    "CheckpointError",
    "DataError",
    "GateError",
    "MissingPackageError",
    "ParityError",
    "RecipeError",
    "RunError",
    "require",
    "require_installed",
]

TRAINING_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "onnx",
    "sklearn",
    "tensorboard",
    "jinja2",
)
"""What training, export and evaluation import, all of the extra ``train``, by import name."""

# Extra of pyproject.toml -> what needs it.
_NEEDED_BY = {
    "data": "the HTML page needs",
    "excel": "Excel needs",
    "modelscope": "hub = 'modelscope' needs",
    "mongodb": "MongoDB needs",
    "parquet": "Parquet needs",
    "serve": "the HTTP service needs",
    "t2s": "normalise step 't2s' needs",
    "train": "training, export and evaluation need",
}


class AttarError(Exception):
    """Base of every error that attar raises on purpose."""


class DataError(AttarError):
    """A source, a row or a prepared folder cannot be used."""


class RecipeError(AttarError):
    """A recipe, a setting or a command line is not valid."""


class MissingPackageError(AttarError):
    """An optional package is not installed; the message has the line that installs it."""


class RunError(AttarError):
    """A run cannot start or continue, though its settings are valid.

    Another process holds the folder, or attar did not write it; an earlier stage is unfinished; a port
    cannot be listened on; the loss is not finite.
    """


class CheckpointError(AttarError):
    """A trainable folder, an encoder or the state of a training cannot be used."""


class ArtifactError(AttarError):
    """A deployable folder is incomplete, damaged or not one of attar's."""


class ParityError(ArtifactError):
    """An exported graph does not compute what its checkpoint computes."""


class GateError(AttarError):
    """A model does not pass a threshold of the recipe."""


def require(package: str, extra: str) -> ModuleType:
    """Import an optional package, which an extra of attar installs; a dotted name imports a submodule.

    Raises:
        MissingPackageError: It, or something that it needs, is not installed or cannot be loaded.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        top = package.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and (error.name or top).partition(".")[0] == top:
            raise _missing([top], extra) from error
        raise MissingPackageError(
            f"the package {top} cannot be imported ({error}); {_install_line(extra)}"
        ) from error


def require_installed(packages: Iterable[str], extra: str) -> None:
    """Check that optional packages are installed, without the seconds that importing them may take.

    Raises:
        MissingPackageError: Some are not installed; the message names them all.
    """
    if missing := [name for name in packages if not _is_installed(name)]:
        raise _missing(missing, extra)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a module in sys.modules without a spec
        return False


def _missing(packages: list[str], extra: str) -> MissingPackageError:
    what = f"package{'s' * (len(packages) > 1)} {', '.join(packages)}"
    return MissingPackageError(f"{_NEEDED_BY[extra]} the {what}; {_install_line(extra)}")


def _install_line(extra: str) -> str:
    return f"pip install 'attar[{extra}]'"

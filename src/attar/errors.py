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

A message says what and where, what was expected, and what to do next; what may be secret in it is left
out. The command line prints it on one line and exits with its ``exit_code``; anything else that escapes
is a bug of ours. ``require`` is here too: it is how every optional package is imported.
"""

from __future__ import annotations

import errno
import importlib
import re
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
    "may_hold_secret",
    "redacted",
    "require",
    "require_installed",
    "system_error",
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
    "spark": "--engine spark needs",
    "t2s": "normalise step 't2s' needs",
    "train": "training, export and evaluation need",
    "zstd": "files packed as .zst need",
}


# A scheme, however its colon and slashes are spelt; what stands before the @ of a host; options.
_SCHEME = r"\b([A-Za-z][\w+.-]*)\s?(?:[:;]\s*[/\\]+|[/\\]{2,})"
# No ] after the @: [USER:PASSWORD@] shows how an address is written.
_AT = r"(?:@|%40)"
_WITH_USER = re.compile(
    rf"{_SCHEME}(?:\S{{0,400}}{_AT}|(?!\.\.\.)[^\s/@'\"]+:[^/@'\"]{{0,60}}{_AT}(?=\s?\w))(?!\])"
    rf"|\b(mongodb(?:\+srv)?):\S{{0,400}}{_AT}(?!\])|(?:\w[^\s'\":]{{0,200}})?:\S{{1,400}}@(?!\])",
    re.I,
)
_OPTIONS = re.compile(rf"({_SCHEME}[^\s?#'\"]*[?#])(?!OPTIONS\])[^\s'\"]+")
_SECRET_OPTION = re.compile(
    r"([?&;#][\w.-]*(?:token|key|secret|passw|pwd|auth|credential|signature)[\w.-]*=)"
    r"\s?(?:(?:token|bearer|basic)\s+)?[^\s&'\"]+",
    re.I,
)

# How Python shows a byte of a file's name that is no UTF-8; a text never has these.
_NAME_BYTE = re.compile("[\udc80-\udcff]")

_SYSTEM_ADVICE = {
    errno.ENOSPC: "no space left; free some, or name a place on another disk",
    errno.EDQUOT: "the disk quota is used up; free some, or name a place on another disk",
    errno.EFBIG: "a file would grow beyond the largest size allowed here (ulimit -f, or the file system's)",
    errno.EROFS: "the file system is read-only; name a place that can be written to",
    errno.EACCES: "permission denied; check who may read and write there",
    errno.EPERM: "not permitted; check who may read and write there",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a file stands where a folder is expected",
    errno.EISDIR: "a folder stands where a file is expected",
    errno.ENOENT: "no such file or folder; was it moved or removed meanwhile?",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOMEM: "not enough memory; use a smaller batch, fewer workers, or a larger machine",
    errno.EIO: "the disk gives input/output errors",
    errno.ENOTEMPTY: "the folder was written to meanwhile",
    errno.EEXIST: "something else has the name already",
    errno.ELOOP: "links that lead in a circle; name the file itself",
}
# What libraries say of a full disk, or of memory, in errors of their own.
_LIBRARY_ADVICE = (
    (re.compile(r"unexpected pos \d+ vs|file write failed|No space left|os error 28"), errno.ENOSPC),
    (re.compile(r"File too large|os error 27"), errno.EFBIG),
    (re.compile(r"Read-only file system|os error 30"), errno.EROFS),
    (re.compile(r"Permission denied|os error 13"), errno.EACCES),
    (re.compile(r"can't allocate memory|out of memory|bad_alloc|Cannot allocate memory", re.I), errno.ENOMEM),
    (re.compile(r"Too many open files"), errno.EMFILE),
    (re.compile(r"Symlink loop"), errno.ELOOP),  # of pathlib before Python 3.13
    (re.compile(r"cannot be opened\.?$|Parent directory .* does not exist"), errno.ENOENT),
)  # fmt: skip


class AttarError(Exception):
    """Base of every error that attar raises on purpose.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code = 2

    def __init__(self, *args: object) -> None:
        super().__init__(*(redacted(arg) if isinstance(arg, str) else arg for arg in args))


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

    exit_code = 3


def redacted(text: str) -> str:
    """A text without what may be secret in the addresses in it.

    Whatever stands before an ``@`` in an address, misspelt or not (``MONGODB://``, ``mongodb:/``, no scheme
    at all), all options of an address with a scheme, and elsewhere the values of options whose names
    speak of a token, a key or a password.
    """

    def without_user(match: re.Match[str]) -> str:
        scheme = match[1] or match[2]
        return f"{scheme}://...@" if scheme else "...@"

    if "@" in text or "%40" in text:
        text = _WITH_USER.sub(without_user, text)
    if "=" in text:  # before the options as a whole, which end at a blank
        text = _SECRET_OPTION.sub(r"\1...", text)
    return _OPTIONS.sub(r"\1...", text) if "?" in text or "#" in text else text


def may_hold_secret(place: object) -> bool:
    """Whether what is named as a path reads like an address with something secret in it.

    A file or folder of that name would show the secret to whoever sees the folder.
    """
    return redacted(str(place)) != str(place)


def system_error(error: BaseException) -> RunError | None:
    """An error of the system (disk, memory, permissions), also from within a library, as one of ours.

    Returns:
        The error to raise instead; None if it is of another kind, a bug perhaps.
    """
    if isinstance(error, AttarError) or not isinstance(error, Exception):
        return None
    if isinstance(error, UnicodeEncodeError) and _NAME_BYTE.search(error.object, error.start, error.end):
        return RunError("a file or folder has a name with bytes that are no UTF-8; give it another one")
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    if number not in _SYSTEM_ADVICE and not isinstance(error, KeyError | TypeError | AttributeError):
        said = f"{error} {error.__context__ or ''}"
        number = next((code for pattern, code in _LIBRARY_ADVICE if pattern.search(said)), number)
    advice = _SYSTEM_ADVICE.get(number or 0)
    if advice is None and not isinstance(error, OSError | EOFError):
        return None
    named = getattr(error, "filename", None)
    if named is None and number == errno.ELOOP and (quoted := re.search(r"'(.*)'", str(error))):
        named = quoted[1]
    where = f"{named!s}: " if isinstance(named, str | bytes) or hasattr(named, "__fspath__") else ""
    if isinstance(error, EOFError):
        advice = advice or "the input, or a file, ends too early; is it whole?"
    return RunError(f"{where}{advice or f'{type(error).__name__}: {error}'}")


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

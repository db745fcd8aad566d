"""Where the package carries weights of its own, without torch."""

from __future__ import annotations

from pathlib import Path

from attar.errors import CheckpointError

__all__ = ["general_folder"]

_GENERAL = Path(__file__).with_name("general_student")


def general_folder() -> Path:
    """The checkpoint of the general student.

    Raises:
        CheckpointError: The package lacks it.
    """
    if not (_GENERAL / "attar.json").is_file():
        raise CheckpointError(
            f"student.start = 'general': {_GENERAL} holds no checkpoint; install attar again, or run "
            "make general-student in its sources, or set student.start = 'layers'"
        )
    return _GENERAL

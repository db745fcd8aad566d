"""Where a run keeps what each verb wrote, and the models that one report compares."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["Models", "RunFolders"]


class RunFolders(NamedTuple):
    """Where a run keeps what each verb wrote."""

    data: Path
    pretrained: Path
    linear: Path
    teacher: Path
    student: Path
    finetuned: Path
    candidate: Path
    report: Path
    artifact: Path

    @classmethod
    def under(cls, out: Path) -> RunFolders:
        """The folders of a run."""
        return cls(*(out / name for name in cls._fields))

    @property
    def refused(self) -> Path:
        """Where an artifact lies that the gate refused."""
        return self.artifact.with_name(f"{self.artifact.name}-refused")


class Models(NamedTuple):
    """The models that one report compares; None where there is none."""

    teacher: Path | None = None
    student: Path | None = None
    finetuned: Path | None = None
    artifact: Path | None = None

"""States that a killed training resumes from, exactly.

The last two are kept, each in a file named by its step and the first half of its SHA-256, written to a
draft and renamed: a kill at any moment leaves a whole one. One that does not match its name is
skipped with a warning, and so is one of a training on other data.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from attar.io.files import file_hash
from attar.text.encoding import Encoding

__all__ = ["TrainingStates", "owner_of"]

_LOG = logging.getLogger(__name__)
_OWNER = "owner"
_FINGERPRINTED = 256  # examples whose tokens tell one training's state from another's


def owner_of(encodings: Sequence[Encoding], total_steps: int, seed: int) -> str:
    """A hash that tells a training from one on other examples, of another length or with another seed."""
    digest = hashlib.sha256(f"{seed} {total_steps}".encode())
    digest.update(repr([len(e.ids) for e in encodings]).encode())
    for encoding in encodings[:_FINGERPRINTED]:
        digest.update(encoding.ids.tobytes())
    return digest.hexdigest()


class TrainingStates:
    """The resumable states in one folder.

    Args:
        folder: Created when the first is saved.
        owner: Says whose they are; a state of another owner is not used, but one of an older attar,
            which names none, is. None uses any.
    """

    def __init__(self, folder: Path, owner: str | None = None) -> None:
        self.folder, self.owner = folder, owner

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after ``step`` optimiser steps and drop all but the last two."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "draft.pt"
        torch.save(state | {_OWNER: self.owner}, draft)
        draft.replace(self.folder / f"step-{step:08d}-{file_hash(draft)[:32]}.pt")
        for old in self._files()[:-2]:
            old.unlink()

    def latest(self) -> dict[str, Any] | None:
        """The newest state that is whole, or None."""
        for path in reversed(self._files()):
            try:
                if file_hash(path)[:32] != path.stem.rsplit("-", 1)[1]:
                    _LOG.warning("%s is damaged; falling back to the state before it", path)
                    continue
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
                _LOG.warning("%s cannot be read (%s); falling back to the state before it", path, error)
                continue
            owner = state.pop(_OWNER, None)
            if None in (owner, self.owner) or owner == self.owner:
                return state
            _LOG.warning("%s is another training's; falling back to the state before it", path)
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.pt"))

"""What a job writes beside its output: the rows that it cannot use, and a note on a refused artifact.

Both appear together with the output. What an earlier job left there is replaced, or removed where this one
has none, with the leave that replaces the output; a file of somebody else's never.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from attar.errors import DataError
from attar.io.json_text import parse_json
from attar.io.mongo import is_mongodb
from attar.io.outputs import check_output
from attar.scoring.options import STREAM, ScoreOptions
from attar.scoring.outputs import file_beside
from attar.scoring.refused import is_note

__all__ = ["Beside", "check_free"]

_IsOwn = Callable[[Path], bool]


@dataclass(frozen=True, slots=True)
class Beside:
    """The files beside an output.

    Attributes:
        place: Of the output.
        rejected: Of the rows that cannot be used; None where they are only counted.
        note: Of the note on a refused artifact; None beside a stream, where the log alone says so.
        note_text: What it says; "" where none is needed.
        overwrite: Whether what an earlier job wrote may be replaced.
    """

    place: str
    rejected: Path | None
    note: Path | None
    note_text: str
    overwrite: bool

    @classmethod
    def of(cls, place: str, options: ScoreOptions, note_text: str) -> Beside:
        """The files beside a place.

        Args:
            place: Of the output.
            options: Of the job.
            note_text: From ``attar.scoring.refused``.
        """
        is_stream = place == STREAM
        rejected = options.rejected
        if rejected is None and not is_stream:
            rejected = file_beside(place, ".rejected.jsonl")
        note = None if is_stream else file_beside(place, ".refused.json")
        return cls(place, rejected, note, note_text, options.overwrite)

    def check_writable(self, files: list[Path]) -> None:
        """Refuse files that cannot be written, or that are read.

        Args:
            files: The files and folders that are read.

        Raises:
            DataError: Such a file, or one name for the output and for the rejected rows.
        """
        is_file = self.place != STREAM and not is_mongodb(self.place)
        if is_file and self.rejected is not None and self.rejected.resolve() == Path(self.place).resolve():
            raise DataError(f"{self.rejected}: --out and --rejected name the same file; name another one")
        for one in (self.rejected, self.note if self.note_text else None):
            if one is not None:
                check_output(one, files)

    def check_free(self, is_own: _IsOwn = lambda _: False) -> None:
        """Refuse to replace what an earlier job wrote without leave, and what is somebody else's at all.

        Args:
            is_own: Whether this job itself put a file there before it was killed.

        Raises:
            DataError: Something is there.
        """
        if self.rejected is not None and not is_own(self.rejected):
            hint = "; move it away, or name another file with --rejected"
            self._check_free(self.rejected, hint, is_ours=_is_rejected_rows(self.rejected))
        if self.note is not None and not is_own(self.note):
            is_ours = is_note(self.note)
            if is_ours or self.note_text:  # else it is no matter of ours
                self._check_free(self.note, "; move it away, or name another --out", is_ours=is_ours)

    def _check_free(self, path: Path, hint: str, *, is_ours: bool) -> None:
        if not os.path.lexists(path):
            return
        if not is_ours:
            raise DataError(f"{path} is there, and attar score did not write it{hint}")
        if not self.overwrite and not is_mongodb(self.place):
            raise DataError(
                f"{path} is there already, of an earlier run; add --overwrite to replace it, or move it away"
            )

    def remove_earlier(self, written: set[Path], is_own: _IsOwn) -> None:
        """Remove what an earlier job left in the places of files that this one does not write.

        Args:
            written: Those that it writes.
            is_own: As of ``check_free``, which is asked once more.

        Raises:
            DataError: Something of somebody else's is there.
        """
        self.check_free(is_own)
        for one, is_ours in ((self.rejected, _is_rejected_rows), (self.note, is_note)):
            if one is not None and one not in written and not is_own(one) and is_ours(one):
                one.unlink()


def check_free(place: str, *, overwrite: bool) -> None:
    """Refuse to replace an output without leave.

    Raises:
        DataError: Something is there.
    """
    if not is_mongodb(place) and place != STREAM and os.path.lexists(place) and not overwrite:
        raise DataError(f"{place} is there already; add --overwrite to replace it, or name another --out")


def _is_rejected_rows(path: Path) -> bool:
    """Whether a file is one of rejected rows as ``attar score`` writes it."""
    try:
        with path.open("rb") as stream:
            first = parse_json(stream.readline().decode())
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and list(first) == ["line", "where", "reason", "row"]

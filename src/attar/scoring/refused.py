"""An artifact that its gate refused, and that somebody uses all the same: the log says so, and a file.

``OUT.refused.json`` stays beside the output: which artifact it was, and the words of the gate.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from attar.artifact import Artifact, check_not_refused, refusal
from attar.io.files import read_json
from attar.io.mongo import shown_place

__all__ = ["check_refused", "is_note", "note_text"]

_LOG = logging.getLogger(__name__)
_FORMAT = "attar-accepted-refusal-1"


def check_refused(artifact: Artifact, *, accepted: bool) -> None:
    """Refuse an artifact that its gate refused, unless somebody says that it is to be used all the same.

    Raises:
        GateError: It was refused, and that is not accepted.
    """
    if not accepted:
        check_not_refused(artifact)
    elif said := refusal(artifact):
        _LOG.warning("the gate refused %s, it is used all the same: %s", artifact.folder, said)


def note_text(artifact: Artifact, model: Mapping[str, str], place: str) -> str:
    """What the file beside the output says; "" where the gate refused nothing.

    Args:
        artifact: That scores.
        model: Its task, version and hash.
        place: The output; of an address what is secret is left out.
    """
    said = refusal(artifact)
    if said is None:
        return ""
    note = {"format": _FORMAT, "output": shown_place(place), "artifact": dict(model), "gate": said}
    return json.dumps(note, ensure_ascii=False, indent=2) + "\n"


def is_note(path: Path) -> bool:
    """Whether a file is such a note."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and value.get("format") == _FORMAT

"""Cards with a seal: JSON files that hold the hash of their own content.

A card describes the files beside it and has their hashes; its seal does the same for the card. It
shows damage, not forgery: who changes a card on purpose can write its seal too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attar.io.files import content_hash
from attar.io.json_text import parse_json

__all__ = ["SEAL", "check_seal", "read_card_file", "sealed"]

SEAL = "seal"
"""The key of the hash; a card of an older attar has none."""
_MAX_BYTES = 16 << 20
_BROKEN = "changed since it was written: its content does not match its seal"


def sealed(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card with its seal, which is that of its content as JSON has it."""
    content = json.loads(json.dumps({key: value for key, value in card.items() if key != SEAL}))
    return {**card, SEAL: content_hash(content)}


def read_card_file(path: Path, *, strict: bool = False) -> dict[str, Any]:
    """Read a card, without checking its seal: the format that it names is to be looked at first.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too large, no JSON object, or refused by ``strict``; see ``parse_json``.
    """
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise ValueError(f"{size:,} bytes, more than the {_MAX_BYTES:,} that such a file may have")
    card = parse_json(path.read_text("utf-8-sig"), strict=strict)
    if not isinstance(card, dict):
        raise ValueError(f"holds a {type(card).__name__}, not an object")
    return card


def check_seal(card: Mapping[str, Any]) -> None:
    """Check that a card is as it was written; one without a seal is taken as it is.

    Raises:
        ValueError: It was changed.
    """
    if SEAL in card and card[SEAL] != content_hash({k: v for k, v in card.items() if k != SEAL}):
        raise ValueError(_BROKEN)

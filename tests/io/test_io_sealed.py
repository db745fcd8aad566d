from __future__ import annotations

import json

import pytest

from attar.io import sealed as module
from attar.io.files import write_json
from attar.io.sealed import SEAL, check_seal, read_card_file, sealed

CARD = {"name": "口红", "values": (1.0, 0.1, None), "by_number": {2: "b", 10: "a"}}


def test_round_trip(tmp_path):
    write_json(tmp_path / "card.json", sealed(CARD))
    card = read_card_file(tmp_path / "card.json", strict=True)
    check_seal(card)
    assert card == json.loads(json.dumps(CARD)) | {SEAL: card[SEAL]}
    assert sealed(sealed(CARD)) == sealed(CARD)


def test_a_change_is_seen_and_no_seal_is_fine():
    check_seal({"name": "口红"})
    with pytest.raises(ValueError, match="does not match its seal"):
        check_seal(sealed(CARD) | {"name": "口紅"})


def test_what_is_no_card(tmp_path, monkeypatch):
    path = tmp_path / "card.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match="a list, not an object"):
        read_card_file(path)
    monkeypatch.setattr(module, "_MAX_BYTES", 2)
    with pytest.raises(ValueError, match="3 bytes, more than the 2"):
        read_card_file(path)

from __future__ import annotations

import pytest

from attar.io.files import read_json
from attar.io.json_text import MAX_DEPTH, parse_json


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 1_000_000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(tmp_path, depth, left, right):
    text = left * depth + "1" + right * depth
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH}"):
        parse_json(text)
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(ValueError, match="deeper"):
        read_json(tmp_path / "deep.json")


def test_what_is_deep_enough_passes():
    value = parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert isinstance(value, list)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e999", '{"a": 1, "a": 1}'])
def test_strict(text):
    parse_json(text)
    with pytest.raises(ValueError, match=r"not finite|twice"):
        parse_json(text, strict=True)


@pytest.mark.parametrize("text", ["", "{", "[1,]", "\x00", "1" * 5_000])
def test_no_json(text):
    with pytest.raises(ValueError):
        parse_json(text)

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.io import json_list
from attar.io.json_list import list_items


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(json_list, "_BLOCK_BYTES", 3)


def read(path):
    return list(list_items(path, "things", "expected things"))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.lists(ANYTHING, max_size=5), st.integers(1, 40), st.sampled_from([None, 0, 2]), st.booleans())
def test_any_list_is_read_whatever_the_size_of_the_blocks(
    tmp_path_factory, items, block_bytes, indent, escaped
):
    file = tmp_path_factory.mktemp("list") / "a.json"
    file.write_text(json.dumps(items, indent=indent, ensure_ascii=escaped), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_list, "_BLOCK_BYTES", block_bytes)
        assert [item for _, item in read(file)] == items


@pytest.mark.usefixtures("small_blocks")
def test_each_item_has_the_line_that_it_begins_on(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('\n[\n {"a":\n 1},\n\n [2,\n3], 12345678\n,\n"香\\n味"\n]\n', "utf-8")
    assert read(file) == [(3, {"a": 1}), (6, [2, 3]), (7, 12345678), (9, "香\n味")]


@pytest.mark.usefixtures("small_blocks")
def test_a_byte_order_mark_is_skipped(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('["香"]', "utf-8-sig")
    assert read(file) == [(1, "香")]


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.json:1: not a JSON list of things \(expected \[\); expected things"),
        (b'\n{"a": 1}', r"a\.json:2: .*expected \["),
        (b"[1\n2]", r"a\.json:1: .*expected one comma"),
        (b"[1,\n2,\n]", r"a\.json:2: .*expected one comma"),
        (b"[1,\n2", r"a\.json:2: .*expected one comma"),
        (b'[1,\n{"a" 2}]', r"a\.json:2: .*Expecting ':'"),
        (b'[1,\n"a', r"a\.json:2: .*Unterminated string"),
        (b"[1]\n\n[2]", r"a\.json:3: .*text after the list"),
        (b"[1,\n" + b"[" * 200_000, r"a\.json:2: .*nested deeper than 64 levels"),
        (b"[1,\n" + b"1" * 5000 + b"]", r"a\.json:2: .*a number of too many digits"),
        (b'["a",\n"\xff"]', r"a\.json:2: byte 2 of the line is not UTF-8"),
    ],
)
def test_what_is_no_list_is_an_error_with_its_line(tmp_path, monkeypatch, content, message, block_bytes):
    monkeypatch.setattr(json_list, "_BLOCK_BYTES", block_bytes)
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(file)


def test_a_fault_early_in_a_long_file_is_found_without_reading_it_all(tmp_path, monkeypatch):
    monkeypatch.setattr(json_list, "_BLOCK_BYTES", 64)
    file = tmp_path / "a.json"
    file.write_text('[{"a": b}' + ', {"a": "b"}' * 10_000 + "]", "utf-8")
    read_bytes = 0
    with file.open("rb") as stream:

        def count(num_bytes):
            nonlocal read_bytes
            read_bytes += num_bytes
            return stream.read(num_bytes)

        buffer = json_list._Buffer(count)
        with pytest.raises(json_list._WrongError):
            buffer.next_item()
    assert read_bytes < 1000


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(DataError, match=r"a\.json: cannot be read \(No such file"):
        read(tmp_path / "a.json")

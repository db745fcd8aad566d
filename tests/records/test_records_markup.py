from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.records.audit.audit import Rejection
from attar.records.readers.text_formats import read_markup
from attar.records.record import Record


def read(path: Path, content: str) -> list[Record | Rejection]:
    path.write_text(content, "utf-8")
    return list(read_markup(path))


def test_marks_become_records_with_offsets_metadata_and_place(tmp_path):
    file = tmp_path / "a.txt"
    content = (
        "# channel: 微博\n\n[粉底液|积极|产品]遮瑕好[允悲]，[持妆|消极]差。\n# channel: 京东\n[味道|中性]淡\n"
    )
    first, second, third = read(file, content)
    text = "粉底液遮瑕好[允悲]，持妆差。"
    assert first == Record(text, "粉底液", 0, 3, "积极", {"channel": "微博", "wordtype": "产品"}, f"{file}:3")
    assert second == Record(text, "持妆", 11, 13, "消极", {"channel": "微博"}, f"{file}:3")
    assert (third.text, third.meta, third.where) == ("味道淡", {"channel": "京东"}, f"{file}:5")


def test_settings_hold_for_all_following_lines_and_a_mark_overrides_them(tmp_path):
    records = read(tmp_path / "a.txt", "# channel: 微博\n# wordtype: 成分\n[水|积极]好[泵|消极|属性]坏\n")
    assert [record.meta["wordtype"] for record in records] == ["成分", "属性"]
    assert {record.meta["channel"] for record in records} == {"微博"}


@pytest.mark.parametrize(
    "line", ["#空瓶记# [水|积极]好", "# 红榜: [水|积极]好", "# note: [水|积极]好", "#ootd：[水|积极]好"]
)
def test_a_hashtag_is_not_a_setting(tmp_path, line):
    (record,) = read(tmp_path / "a.txt", line)
    assert record.text == line.replace("[水|积极]", "水")
    assert record.text[record.start : record.end] == "水"


@pytest.mark.parametrize(
    "line", ["[水|积极]好|坏", "[外[水|积极]|消极]好", "[水|积极|产品|x]", "[水|积极", "|"]
)
def test_a_broken_mark_rejects_its_line_alone(tmp_path, line):
    bad, good = read(tmp_path / "a.txt", f"{line}\n[水|积极]好\n")
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.where, bad.row) == ("bad_mark", f"{tmp_path / 'a.txt'}:1", [line])
    assert "水" not in bad.message
    assert isinstance(good, Record)


def test_a_review_without_a_mark_is_reported(tmp_path):
    (rejection,) = read(tmp_path / "a.txt", "只是一句话[允悲]\n")
    assert isinstance(rejection, Rejection)
    assert rejection.reason == "no_mark"


def test_an_empty_term_or_label_is_left_to_the_audit(tmp_path):
    first, second = read(tmp_path / "a.txt", "[|积极]好[水|]")
    assert (first.term, first.start, first.end) == ("", 0, 0)
    assert second.label is None


def test_a_line_that_is_not_utf8_is_named(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes("[水|积极]好\n".encode() + "[泵头|消极]坏\n".encode("gb18030"))
    with pytest.raises(DataError, match=r"a\.txt:2: byte 2 of the line is not UTF-8; .*iconv"):
        list(read_markup(file))


WORD = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="|[]#"), min_size=1)


@given(st.lists(st.tuples(WORD, WORD, st.sampled_from(["积极", "消极"])), min_size=1))
def test_what_is_marked_is_read_back(tmp_path_factory, parts):
    line = "".join(f"{before}[{term}|{label}]" for before, term, label in parts)
    records = read(tmp_path_factory.mktemp("m") / "a.txt", line)
    text = "".join(before + term for before, term, _ in parts)
    assert {record.text for record in records} == {text}
    assert [record.text[record.start : record.end] for record in records] == [term for _, term, _ in parts]
    assert [record.label for record in records] == [label for *_, label in parts]

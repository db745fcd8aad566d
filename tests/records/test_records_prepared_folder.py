import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.records.audit.audit import Rejection
from attar.records.prepared_folder import read_rows, write_rows
from attar.records.record import Record
from attar.task import Example


def test_both_widths_are_read_with_the_line_of_each_row(tmp_path):
    file = tmp_path / "train.json"
    file.write_text(
        '[\n["香味好", "香味", 0, 2, "积极", "京东", "属性"],\n\n  ["泵坏", "泵", "消极"]]', "utf-8"
    )
    wide, narrow = read_rows(file)
    meta = {"channel": "京东", "wordtype": "属性"}
    assert wide == Record("香味好", "香味", 0, 2, "积极", meta, f"{file}:2")
    assert narrow == Record("泵坏", "泵", None, None, "消极", {}, f"{file}:4")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_list_on_one_line_is_named_by_index(tmp_path, count):
    file = tmp_path / "train.json"
    rows = [["香味好", "香味", "积极"], [1]] * count
    file.write_text(json.dumps(rows[:count]), "utf-8")
    assert [row.where for row in read_rows(file)] == [f"{file}[{index}]" for index in range(count)]
    # One row a line, as attar writes them, is named by line; so is a first row beside the bracket.
    for start, first in (("[\n", 2), ("[", 1)):
        file.write_text(start + ",\n".join(map(json.dumps, rows[: count + 1])) + "]", "utf-8")
        assert [row.where for row in read_rows(file)] == [f"{file}:{first + n}" for n in range(count + 1)]


def test_other_rows_are_rejected_one_by_one(tmp_path):
    file = tmp_path / "train.json"
    rows = [
        ["a", "b"],
        {"text": "a"},
        [1, "b", "积极"],
        ["ab", "b", "x", 2, "积极", "", ""],
        ["ab", "b", "积极"],
    ]
    file.write_text(json.dumps(rows), "utf-8")
    *bad, good = read_rows(file)
    assert [row.reason for row in bad if isinstance(row, Rejection)] == ["bad_row"] * 3 + ["bad_offsets"]
    assert isinstance(good, Record)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[["a", "b", "c"]\n["a", "b", "c"]]', "train.json:1: not a JSON list of rows .*one comma"),
        ('[["a", "b", "c"],]', "one comma"),
        ('[["a", "b", "c"],,["a", "b", "c"]]', "one comma"),
        ('[["a", "b", "c"],\n["a", "b', "train.json:2: "),
        ('{"a": 1}', r"expected \["),
        ("", r"expected \["),
        ('[["a", "b", "c"]] x', "text after the list"),
        ('[["a", "b", "c"]', "one comma"),
    ],
)
def test_what_is_no_list_is_an_error_with_its_line(tmp_path, content, message):
    file = tmp_path / "train.json"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        list(read_rows(file))


def test_an_empty_list_has_no_rows(tmp_path):
    write_rows(tmp_path / "a.json", [])
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == []
    assert list(read_rows(tmp_path / "a.json")) == []


ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)))
META = st.dictionaries(st.sampled_from(["channel", "wordtype"]), st.text("京东属性", min_size=1))


@st.composite
def some_example(draw):
    left, term, right = draw(ANY_TEXT), draw(ANY_TEXT.filter(bool)), draw(ANY_TEXT)
    label = draw(st.sampled_from(["积极", "消极"]))
    return Example(left + term + right, len(left), len(left + term), label, draw(META))


@given(st.lists(some_example()))
def test_what_is_written_is_read_back_one_row_a_line(tmp_path_factory, examples):
    file = tmp_path_factory.mktemp("rows") / "a.json"
    write_rows(file, examples)
    read = list(read_rows(file))
    assert [Example(r.text, r.start, r.end, r.label, r.meta) for r in read] == examples
    assert [r.where for r in read] == [f"{file}:{n}" for n in range(2, len(examples) + 2)]
    assert len(json.loads(file.read_text("utf-8"))) == len(examples)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.json"
    write_rows(file, [Example("香味好", 0, 2, "积极")])
    before = file.read_bytes()

    def broken():
        yield Example("泵坏", 0, 1, "消极")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_rows(file, broken())
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]

import json

import pytest

from attar.errors import DataError
from attar.records.sources import read_source, source_files

MARKED = "# channel: 京东\n[泵|消极]坏\n"


def test_txt_and_json_are_told_apart_by_their_start(tmp_path):
    row = ["泵坏", "泵", "消极"]
    contents = {
        "markup.txt": MARKED,
        "unset.txt": "\n[泵|消极]坏",
        "rows.txt": json.dumps([row]),
        "rows.json": json.dumps([row], indent=1),
        "objects.json": json.dumps({"text": "泵坏", "term": "泵", "label": "消极"}) + "\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, "utf-8")
        (record,) = read_source(tmp_path / name, {})
        assert (record.text, record.term, record.label) == ("泵坏", "泵", "消极"), name


def test_a_folder_is_all_its_known_files_in_order(tmp_path):
    for name in ("b.txt", "a.txt", ".hidden.txt", "README.md"):
        (tmp_path / name).write_text(MARKED, "utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.txt").write_text(MARKED, "utf-8")
    assert [file.name for file in source_files(tmp_path)] == ["a.txt", "b.txt"]
    assert [record.where for record in read_source(tmp_path, {})] == [
        f"{tmp_path / 'a.txt'}:2",
        f"{tmp_path / 'b.txt'}:2",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "the file is empty"),
        ("a.txt", b" \n\n", "only blank lines"),
        ("a.json", b"[]", "holds no rows"),
        ("a.csv", b"text,term,label\n", "holds no rows"),
        ("a.txt", "只是一句话".encode(), "no known form; expected"),
        ("a.json", b'{\n "a": 1\n}', "no known form; expected"),
        ("a.json", b'[{"a": 1}]', "no known form; expected"),
        ("a.xlsx", b"PK", r"unknown extension '\.xlsx'; expected one of \.jsonl"),
        ("a.jsonl", '{"text": "泵"}'.encode("gb18030"), r"a\.jsonl:1: byte 11 .* not UTF-8"),
        ("a.parquet", b"PAR1 cut short", "not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_source(tmp_path / name, {}))


def test_a_missing_file_names_its_neighbours(tmp_path):
    with pytest.raises(DataError, match=r"no such file or folder; .* is empty"):
        list(read_source(tmp_path / "review.csv", {}))
    (tmp_path / "reviews.csv").write_text("x", "utf-8")
    (tmp_path / ".hidden").write_text("x", "utf-8")
    with pytest.raises(DataError, match=r"no such file or folder; beside it: reviews\.csv$"):
        list(read_source(tmp_path / "review.csv", {}))
    with pytest.raises(DataError, match="nor is there a folder"):
        list(read_source(tmp_path / "no" / "review.csv", {}))


def test_a_folder_without_a_known_file_says_what_is_there(tmp_path):
    (tmp_path / "notes.md").write_text("x", "utf-8")
    with pytest.raises(DataError, match=r"no file to read in this folder .* there is notes\.md"):
        list(read_source(tmp_path, {}))


def test_a_file_that_may_not_be_opened_says_so(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl"
    file.write_text("{}", "utf-8")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(file), "open", refuse)
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be read \(Permission denied\)"):
        list(read_source(file, {}))

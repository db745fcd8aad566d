import json

import pytest

from attar.errors import DataError
from attar.recipe.load import JoinRecipe, SourceRecipe
from attar.records.readers.sources import read_source, source_files
from attar.records.record import Record

MARKED = "# channel: 京东\n[泵|消极]坏\n"


def read(path, **options):
    return list(read_source(SourceRecipe(path=str(path), **options)))


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
        (record,) = read(tmp_path / name)
        assert (record.text, record.term, record.label) == ("泵坏", "泵", "消极"), name


def test_a_folder_is_all_its_known_files_in_order(tmp_path):
    for name in ("b.txt", "a.txt", ".hidden.txt", "README.md"):
        (tmp_path / name).write_text(MARKED, "utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.txt").write_text(MARKED, "utf-8")
    assert [file.name for file in source_files(tmp_path)] == ["a.txt", "b.txt"]
    assert [record.where for record in read(tmp_path)] == [
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
        ("a.txt", "只是一句话".encode(), "no known format; set it"),
        ("a.json", b'{\n "a": 1\n}', "no known format; set it"),
        ("a.json", b'[{"a": 1}]', "no column 'text' for text; there are 'a'; name the right one"),
        ("a.json", b'[{"text": "a"}, {"text"', r"a\.json:1: not a JSON list of rows"),
        ("a.xlsx", b"PK", "not an Excel workbook"),
        ("a.xls", b"\xd0\xcf", r"unknown ending '\.xls'; known are \.jsonl.* and save it as \.xlsx"),
        (
            "a.dat",
            b"\xd0\xcf",
            r"unknown ending '\.dat'; known are \.jsonl.* format = \"\.\.\.\", one of rows",
        ),
        ("a.toml", b'task = "cosmetics"', r"a\.toml: this is a recipe, not data; name it with --recipe"),
        ("a.txt", "泵\n".encode("gb18030"), r"a\.txt:1: byte 1 .* not UTF-8"),
        ("a.parquet", b"PAR1 cut short", "not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


def test_a_missing_file_names_its_neighbours(tmp_path):
    with pytest.raises(DataError, match=r"no such file or folder; .* is empty"):
        read(tmp_path / "review.csv")
    (tmp_path / "reviews.csv").write_text("x", "utf-8")
    (tmp_path / ".hidden").write_text("x", "utf-8")
    with pytest.raises(DataError, match=r"no such file or folder; beside it: reviews\.csv$"):
        read(tmp_path / "review.csv")
    with pytest.raises(DataError, match="nor is there a folder"):
        read(tmp_path / "no" / "review.csv")


def test_a_folder_without_a_known_file_says_what_is_there(tmp_path):
    (tmp_path / "notes.md").write_text("x", "utf-8")
    with pytest.raises(DataError, match=r"no file to read in this folder .* there is notes\.md"):
        read(tmp_path)


def test_a_file_that_may_not_be_opened_says_so(tmp_path, monkeypatch):
    file = tmp_path / "a.jsonl"
    file.write_text("{}", "utf-8")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(file), "open", refuse)
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be read \(Permission denied\)"):
        read(file)


@pytest.mark.parametrize(
    ("name", "content", "label"),
    [
        ("target.txt", "\n$T$坏\n泵\n-1\n", "-1"),
        ("triplets.txt", "泵 坏####[((0, 0), (1, 1), 'NEG')]\n", "NEG"),
        ("bio.txt", "泵\tB-COM\n坏\tO\n", "COM"),
        ("bio.txt", "泵\tB-COM\n坏\tO", "COM"),
        ("marks.txt", "\n  # channel: shop\n[泵|消极]坏\n", "消极"),
        ("export.json", json.dumps([{"id": 1, "data": {"text": "泵坏"}, "annotations": []}]), None),
    ],
)
def test_more_formats_are_known_by_their_start(tmp_path, name, content, label):
    (tmp_path / name).write_text(content, "utf-8")
    (record,) = read(tmp_path / name)
    if label is None:
        assert record.reason == "missing_label"
    else:
        assert (record.text, record.term, record.start, record.label) == ("泵坏", "泵", 0, label)


def test_a_long_first_example_is_still_detected(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("泵\tB-COM\n" + "坏\tO\n" * 200_000, "utf-8")
    (record,) = read(file)
    assert len(record.text) == 200_001


def test_the_format_of_the_recipe_overrides_the_ending(tmp_path):
    file = tmp_path / "reviews.dat"
    file.write_text("香味好\n\n  泵坏\n", "utf-8")
    with pytest.raises(DataError, match=r"unknown ending '\.dat'"):
        read(file)
    first, second = read(file, format="lines", constants={"label": "积极", "channel": "京东"}, split="train")
    assert first == Record(
        "香味好", "", None, None, "积极", {"channel": "京东"}, f"{file}:1", annotator="", split="train"
    )
    assert (second.text, second.where) == ("  泵坏", f"{file}:3")


def test_constants_fill_every_format_and_override_its_columns(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text,label,stars\n泵坏,好,5\n", "utf-8")
    constants = {"term": "泵", "label": "消极", "annotator": "甲", "channel": "天猫"}
    (record,) = read(file, constants=constants)
    assert (record.term, record.label, record.annotator) == ("泵", "消极", "甲")
    assert record.meta == {"stars": "5", "channel": "天猫"}


def test_a_constant_makes_its_column_unneeded_but_no_metadata_of_it(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "泵坏", "term": "泵", "mood": "坏"}\n', "utf-8")
    with pytest.raises(DataError, match="no column 'label' for label"):
        read(file)
    (record,) = read(file, constants={"label": "消极"}, columns={"label": "mood"})
    assert (record.label, record.meta) == ("消极", {})


@pytest.mark.parametrize(("occurrence", "starts"), [("only", [None]), ("first", [0]), ("all", [0, 3])])
def test_the_occurrence_that_is_meant(tmp_path, occurrence, starts):
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "香香，香香香", "term": "香香", "label": "1"}\n', "utf-8")
    records = read(file, occurrence=occurrence)
    assert [record.start for record in records] == starts
    assert all(record.text[record.start : record.end] == "香香" for record in records if record.start)


@pytest.mark.parametrize("occurrence", ["first", "all"])
def test_what_has_offsets_or_no_such_term_stays_as_it_is(tmp_path, occurrence):
    file = tmp_path / "a.json"
    rows = [["泵坏泵", "泵", 2, 3, "-1", "", ""], ["泵坏", "香", "1"], ["泵坏", "", "1"], [1]]
    file.write_text(json.dumps(rows), "utf-8")
    given, absent, empty, bad = read(file, occurrence=occurrence)
    assert (given.start, absent.start, empty.start) == (2, None, None)
    assert bad.reason == "bad_row"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.jsonl", {"names": ("text", "label")}, "names means nothing for the format 'jsonl', only for csv"),
        ("a.jsonl", {"delimiter": "|"}, "delimiter means nothing"),
        ("a.jsonl", {"quoted": False}, "quoted means nothing"),
        ("a.jsonl", {"query": {"a": 1}}, "query means nothing .* only for mongodb"),
        ("a.txt", {"columns": {"text": "a"}}, "columns means nothing for the format 'markup'"),
        ("a.txt", {"empty": ("_",)}, "empty means nothing"),
        ("a.txt", {"occurrence": "first"}, "occurrence means nothing"),
        ("a.txt", {"join": {"path": "b.csv", "on": "id"}}, "join means nothing"),
        ("a.csv", {"delimiter": ""}, "delimiter is empty"),
        ("a.csv", {"constants": {"start": "1"}}, r"constants\.start: offsets differ"),
    ],
)
def test_an_option_that_a_format_does_not_have_is_an_error(tmp_path, name, options, message):
    (tmp_path / name).write_text(MARKED, "utf-8")
    with pytest.raises(DataError, match=message):
        read(tmp_path / name, **options)


def test_columns_of_the_recipe_are_for_tables_without_their_own(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"review": "泵坏", "own": "别的", "label": "1"}\n', "utf-8")
    (tmp_path / "b.txt").write_text(MARKED, "utf-8")
    (table, marked) = read_source(SourceRecipe(path=str(tmp_path)), {"text": "review"})
    assert (table.text, marked.text) == ("泵坏", "泵坏")
    own = SourceRecipe(path=str(tmp_path / "a.jsonl"), columns={"text": "own"})
    (record,) = read_source(own, {"text": "review"})
    assert record.text == "别的"


def test_a_joined_file_must_be_a_table_that_is_there(tmp_path):
    (tmp_path / "a.csv").write_text("id,label\n1,好\n", "utf-8")
    (tmp_path / "b.txt").write_text(MARKED, "utf-8")
    with pytest.raises(DataError, match=r"b\.csv: no such file or folder; beside it: "):
        read(tmp_path / "a.csv", join=JoinRecipe(path=str(tmp_path / "b.csv"), on="id"))
    with pytest.raises(DataError, match="no table, so it cannot be joined; expected one of csv"):
        read(tmp_path / "a.csv", join=JoinRecipe(path=str(tmp_path / "b.txt"), on="id"))


def test_fetched_documents_are_read_by_their_format(tmp_path):
    file = tmp_path / "documents.jsonl"
    file.write_text('{"_id": 1, "text": "泵坏", "term": "泵", "label": "-1"}\n', "utf-8")
    (record,) = read(file, format="mongodb", split="dev", occurrence="first")
    assert (record.text, record.start, record.label, record.split) == ("泵坏", 0, "-1", "dev")


def test_a_remote_source_is_a_bug_here():
    with pytest.raises(AssertionError):
        read("mongodb://localhost/a/b")


@pytest.mark.parametrize("first", [" ", "\u3000", "\t", "\xa0", "\u200b"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bio_file_is_known_though_its_first_characters_are_blanks(tmp_path, first, end):
    lines = [f"{first}\tO", "泵\tB-消极", f"{first}\tO", "坏\tO", ""]
    (tmp_path / "bio.txt").write_text(end.join(lines), "utf-8", newline="")
    (record,) = read(tmp_path / "bio.txt")
    assert (record.text, record.term, record.start) == (f"{first}泵{first}坏", "泵", 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "泵\tB-消极\n \tO\n坏\tO\n"),
        ("a.txt", "[泵|消极] 坏\n"),
        ("a.txt", "$T$ 坏\n泵\n消极\n"),
        ("a.txt", "泵 坏####[((0, 0), (1, 1), '消极')]\n"),
        ("a.json", '[["泵 坏", "泵", 0, 1, "消极", "", ""]]'),
        ("a.jsonl", '{"text": "泵 坏", "term": "泵", "label": "消极"}\n'),
        ("a.csv", "text,term,label\n泵 坏,泵,消极\n"),
    ],
)
def test_a_byte_order_mark_is_skipped_in_every_format(tmp_path, name, content):
    (tmp_path / name).write_text(content, "utf-8-sig")
    (record,) = read(tmp_path / name)
    assert (record.text.replace(" ", ""), record.term, record.label) == ("泵坏", "泵", "消极")

import datetime
import decimal
import json
import sys
import zipfile

import openpyxl
import pytest
from written_tables import write_rows

from attar.errors import DataError, MissingPackageError
from attar.recipe.load import JoinRecipe, SourceRecipe
from attar.records.audit.audit import Rejection
from attar.records.readers.sources import read_source
from attar.records.record import Record

EXTENSIONS = [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".xlsx"]
ROWS = [
    {"text": "香味好，泵坏", "keyword": "香味", "start": 0, "end": 2, "label": "积极", "channel": "京东"},
    {"text": '他说"行"，\n泵坏', "keyword": "泵", "start": None, "end": None, "label": "-1", "channel": None},
]


def read(path, columns=None, **options):
    return list(read_source(SourceRecipe(path=str(path), columns=columns or {}, **options)))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_gives_the_same_records(tmp_path, extension):
    file = write_rows(tmp_path / f"a{extension}", ROWS)
    first, second = read(file)
    line = 1 if extension in (".jsonl", ".json", ".parquet") else 2
    assert first == Record("香味好，泵坏", "香味", 0, 2, "积极", {"channel": "京东"}, f"{file}:{line}")
    assert second == Record('他说"行"，\n泵坏', "泵", None, None, "-1", {}, f"{file}:{line + 1}")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_columns_are_mapped_and_the_rest_is_metadata(tmp_path, extension):
    row = {"content": "泵坏", "aspect": "泵", "polarity": -1, "text": "别的", "stars": 1}
    (record,) = read(
        write_rows(tmp_path / f"a{extension}", [row]),
        {"text": "content", "term": "aspect", "label": "polarity"},
    )
    assert (record.text, record.term, record.label) == ("泵坏", "泵", "-1")
    assert record.meta == {"text": "别的", "stars": "1"}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_missing_column_names_what_is_there(tmp_path, extension):
    file = write_rows(tmp_path / f"a{extension}", [{"review": "泵坏", "label": "消极"}])
    with pytest.raises(
        DataError, match=r"no column 'text' .*'label'; did you mean 'review'\?; .*data\.columns\.text"
    ):
        read(file)
    with pytest.raises(DataError, match="no column 'aspect' for term"):
        read(file, {"text": "review", "term": "aspect"})


def test_columns_as_pandas_writes_them_are_told_how_to_write_rows(tmp_path):
    columns = {"text": {"0": "泵坏"}, "term": {"0": "泵"}, "label": {"0": "消极"}}
    (tmp_path / "a.json").write_text(json.dumps(columns), "utf-8")
    (rejected,) = read(tmp_path / "a.json")
    assert rejected.reason == "bad_row"
    assert "orient='records'" in rejected.message


def test_a_column_that_is_not_ours_names_the_nearest(tmp_path):
    file = write_rows(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match=r"data\.columns\.txt: .*did you mean 'text'"):
        read(file, {"txt": "text"})


def test_a_csv_without_a_header_leaks_no_review(tmp_path):
    file = tmp_path / "a.csv"
    review = "这瓶水好用得不得了，我已经回购第五次了，真的值得"
    file.write_text(f"{review},水,积极\n", "utf-8")
    with pytest.raises(DataError, match="is there a header line") as caught:
        read(file)
    assert review[:5] not in str(caught.value)


def test_a_csv_row_of_another_width_is_rejected_and_lines_are_counted(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,term,label\n"两\n行",行,积极\n泵,坏了,泵,消极\n泵坏,泵,消极\n', "utf-8")
    first, bad, last = read(file)
    assert (first.text, first.where) == ("两\n行", f"{file}:2")
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.where) == ("bad_row", f"{file}:4")
    assert last.where == f"{file}:5"


def test_an_open_quote_and_a_repeated_column_are_errors(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,term,label\n"泵坏,泵,消极\n', "utf-8")
    with pytest.raises(DataError, match="write a quote inside a field twice"):
        read(file)
    file.write_text("text,text,label\na,b,c\n", "utf-8")
    with pytest.raises(DataError, match="occurs twice"):
        read(file)


def test_bad_json_lines_are_rejected_one_by_one(tmp_path):
    file = tmp_path / "a.jsonl"
    good = json.dumps(ROWS[0])
    offset = json.dumps({**ROWS[0], "start": "first"})
    file.write_text(f'{{"text": \n[1]\n\n{good}\n{"[" * 100_000}\n{offset}\n', "utf-8")
    outcomes = read(file)
    reasons = [row.reason if isinstance(row, Rejection) else "" for row in outcomes]
    assert reasons == ["bad_row", "bad_row", "", "bad_row", "bad_offsets"]
    assert outcomes[2].where == f"{file}:4"


def test_a_json_line_that_is_not_utf8_is_rejected_alone(tmp_path):
    file = tmp_path / "a.jsonl"
    good = json.dumps(ROWS[0]).encode()
    file.write_bytes(good + '\n{"text": "泵"}\n'.encode("gb18030") + good)
    _, bad, last = read(file)
    assert (bad.reason, bad.where) == ("not_utf8", f"{file}:2")
    assert "byte 11 of the line is not UTF-8; save the file as UTF-8 (iconv" in bad.message
    assert last.where == f"{file}:3"


def test_a_file_of_bad_json_lines_alone_is_all_rejections(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("not json\n", "utf-8")
    (rejection,) = read(file)
    assert isinstance(rejection, Rejection)


def test_whole_floats_are_offsets(tmp_path):
    file = write_rows(tmp_path / "a.parquet", [{**ROWS[0], "start": 0.0, "end": 2.0, "label": 1.0}])
    (record,) = read(file)
    assert (record.start, record.end, record.label) == (0, 2, "1")


def test_all_our_columns_may_have_other_names(tmp_path):
    row = {"a": "泵坏", "b": "泵", "c": 0, "d": 1, "e": "-1", "f": "京东", "g": "包装", "h": "甲", "i": "x"}
    columns = dict(
        zip(("text", "term", "start", "end", "label", "channel", "wordtype", "annotator"), row, strict=False)
    )
    file = write_rows(tmp_path / "a.csv", [row])
    meta = {"i": "x", "channel": "京东", "wordtype": "包装"}
    assert read(file, columns) == [Record("泵坏", "泵", 0, 1, "-1", meta, f"{file}:2", "甲")]


def test_dots_lead_into_nested_objects_unless_a_column_has_that_name(tmp_path):
    rows = [
        {"data": {"text": "泵坏", "who": {"name": "甲"}}, "label.x": "-1"},
        {"data": {"text": ["不", "是"], "who": "乙"}, "label.x": "1"},
        {"data": None, "label.x": "1", "more": {"b": 1}},
    ]
    file = write_rows(tmp_path / "a.jsonl", rows)
    columns = {"text": "data.text", "annotator": "data.who.name", "label": "label.x"}
    first, second, third = read(file, columns)
    assert (first.text, first.annotator, first.label, first.meta) == ("泵坏", "甲", "-1", {})
    assert (second.reason, "a list, not a string" in second.message) == ("bad_row", True)
    assert (third.text, third.meta) == ("", {"more": '{"b": 1}'})
    with pytest.raises(DataError, match=r"no column 'date\.text' for text"):
        read(file, {**columns, "text": "date.text"})


def test_cells_that_say_nothing(tmp_path):
    row = {"text": "泵坏", "term": " _", "start": " ", "end": "", "label": "-1", "note": "无", "rest": "_x"}
    for extension in (".csv", ".xlsx", ".jsonl"):
        (record,) = read(write_rows(tmp_path / f"a{extension}", [row]), empty=("_", "无"))
        assert (record.term, record.start, record.end, record.meta) == ("", None, None, {"rest": "_x"})
    (nested,) = read(
        write_rows(tmp_path / "b.jsonl", [{"data": {"text": "泵坏", "term": "_"}, "label": "1"}]),
        {"text": "data.text", "term": "data.term"},
        empty=("_",),
    )
    assert nested.term == ""


@pytest.mark.parametrize(
    ("delimiter", "quoted", "line"),
    [
        ("|", True, '"泵|坏"|泵|"说""坏"""'),
        ("\t", False, '泵|坏\t泵\t说"坏"'),
        ("###", True, '泵|坏###泵###说"坏"'),
    ],
)
def test_delimiters_and_quotes(tmp_path, delimiter, quoted, line):
    file = tmp_path / "a.txt"
    file.write_bytes(f"{line}\r\n\r\n{line}{delimiter}\n{line}\n".encode())
    options = {"format": "csv", "delimiter": delimiter, "quoted": quoted, "names": ("text", "term", "label")}
    first, wide, last = read(file, **options)
    assert (first.text, first.term, first.label, first.where) == ("泵|坏", "泵", '说"坏"', f"{file}:1")
    assert (wide.reason, wide.where) == ("bad_row", f"{file}:3")
    assert wide.message.startswith("4 fields, the recipe names 3")
    assert last.where == f"{file}:4"


def test_names_of_the_recipe_must_differ(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("泵坏,1\n", "utf-8")
    with pytest.raises(DataError, match="the source's names: a column name occurs twice"):
        read(file, names=("text", "text"))


@pytest.fixture
def labels(tmp_path):
    (tmp_path / "labels.csv").write_text("id,term,label\n1,泵,-1\n1,香味,1\n3,泵,1\n\n2,a\n", "utf-8")
    return tmp_path / "labels.csv"


def test_a_joined_table_gives_its_columns_by_key(tmp_path, labels):
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("id,review,label\n1,泵坏香味好,别的\n2\n4,没人要\n", "utf-8")
    join = JoinRecipe(path=str(reviews), on="id")
    *broken, first, second, absent, short = read(labels, {"text": "review"}, join=join)
    assert [(row.reason, row.where) for row in broken] == [
        ("bad_row", f"{reviews}:3"),
        ("bad_row", f"{reviews}:4"),
    ]
    assert first == Record("泵坏香味好", "泵", None, None, "-1", {"id": "1"}, f"{labels}:2")
    assert (second.text, second.term) == (first.text, "香味")
    assert (absent.reason, absent.where, absent.row) == ("bad_row", f"{labels}:4", ["3", "泵", "1"])
    assert "no row with this id in reviews.csv" in absent.message
    assert (short.reason, short.where) == ("bad_row", f"{labels}:6")


def test_a_table_may_be_joined_from_another_format(tmp_path, labels):
    reviews = write_rows(tmp_path / "reviews.jsonl", [{"id": 1, "text": "泵坏"}, {"id": 3.0, "text": "泵好"}])
    first, _, third, _ = read(labels, join=JoinRecipe(path=str(reviews), on="id"))
    assert (first.text, third.text) == ("泵坏", "泵好")


def test_a_key_twice_or_nowhere_is_an_error(tmp_path, labels):
    reviews = tmp_path / "reviews.csv"
    reviews.write_text("id,text\n1,泵坏\n1,泵好\n", "utf-8")
    with pytest.raises(DataError, match=r"reviews\.csv:3: the id of this row occurs before"):
        read(labels, join=JoinRecipe(path=str(reviews), on="id"))
    with pytest.raises(DataError, match=r"reviews\.csv: no column 'term' to join on; there are 'id', 'text'"):
        read(labels, join=JoinRecipe(path=str(reviews), on="term"))
    reviews.write_text("key,text\n1,泵坏\n", "utf-8")
    with pytest.raises(DataError, match=r"labels\.csv: no column 'key' to join on"):
        read(labels, join=JoinRecipe(path=str(reviews), on="key"))


def test_excel_sheets_dates_and_numbers(tmp_path):
    file = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    book.active.append([None])
    book.active.append(["text", None, "label", "day", "moment", "price", "bought"])
    book.active.append([])
    moment = datetime.datetime(2024, 2, 1, 8, 30)
    book.active.append([12.0, "x", 1, datetime.date(2024, 2, 1), moment, 9.5, True])
    book.active.append(["短"])
    book.active.append(["长", None, 1, None, None, None, None, "多"])
    other = book.create_sheet("二月")
    other.append(["text", "label"])
    other.append(["泵坏", "-1"])
    book.save(file)
    full, short, wide = read(file)
    day = {"day": "2024-02-01", "moment": "2024-02-01T08:30:00", "price": "9.5", "bought": "true"}
    assert full == Record("12", "", None, None, "1", {"column 2": "x", **day}, f"{file}:4")
    assert (short.text, short.label, short.where) == ("短", None, f"{file}:5")
    assert (wide.reason, wide.where) == ("bad_row", f"{file}:6")
    (second,) = read(f"{file}#二月")
    assert (second.text, second.where) == ("泵坏", f"{file}:2")
    with pytest.raises(DataError, match=r"a\.xlsx: no sheet 三月; there are Sheet, 二月"):
        read(f"{file}#三月")


def test_a_damaged_sheet_is_a_data_error(tmp_path):
    good, bad = write_rows(tmp_path / "good.xlsx", ROWS), tmp_path / "bad.xlsx"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[: len(content) // 2] if "sheet1" in name else content)
    with pytest.raises(DataError, match=r"bad\.xlsx: (the sheet cannot be read|not an Excel workbook)"):
        read(bad)


def test_excel_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    file = write_rows(tmp_path / "a.xlsx", ROWS)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'attar\[excel\]'"):
        read(file)


def test_values_that_only_tables_with_types_have(tmp_path):
    row = {
        "text": "泵坏",
        "label": 1,
        "share": float("nan"),
        "day": datetime.datetime(2024, 2, 1),
        "price": decimal.Decimal("9.90"),
    }
    (record,) = read(write_rows(tmp_path / "a.parquet", [row]))
    assert (record.label, record.meta) == ("1", {"day": "2024-02-01", "price": "9.90"})

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from attar.errors import DataError
from attar.records.audit import Rejection
from attar.records.record import Record
from attar.records.sources import read_source

ROWS = [
    {"text": "香味好，泵坏", "keyword": "香味", "start": 0, "end": 2, "label": "积极", "channel": "京东"},
    {"text": '他说"行"，\n泵坏', "keyword": "泵", "start": None, "end": None, "label": "-1", "channel": None},
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case _:
            comma = "\t" if path.suffix == ".tsv" else ","
            quoted = [
                ['"' + ("" if v is None else str(v)).replace('"', '""') + '"' for v in row.values()]
                for row in rows
            ]
            lines = [comma.join(rows[0]), *(comma.join(row) for row in quoted)]
            path.write_text("\n".join(lines), "utf-8-sig", newline="")
    return path


@pytest.mark.parametrize("extension", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_every_form_gives_the_same_records(tmp_path, extension):
    file = write(tmp_path / f"a{extension}", ROWS)
    first, second = read_source(file, {})
    line = 2 if extension in (".csv", ".tsv") else 1
    assert first == Record("香味好，泵坏", "香味", 0, 2, "积极", {"channel": "京东"}, f"{file}:{line}")
    assert second == Record('他说"行"，\n泵坏', "泵", None, None, "-1", {}, f"{file}:{line + 1}")


@pytest.mark.parametrize("extension", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_columns_are_mapped_and_the_rest_is_metadata(tmp_path, extension):
    row = {"content": "泵坏", "aspect": "泵", "polarity": -1, "text": "别的", "stars": 1}
    (record,) = read_source(
        write(tmp_path / f"a{extension}", [row]),
        {"text": "content", "term": "aspect", "label": "polarity"},
    )
    assert (record.text, record.term, record.label) == ("泵坏", "泵", "-1")
    assert record.meta == {"text": "别的", "stars": "1"}


@pytest.mark.parametrize("extension", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_a_missing_column_names_what_is_there(tmp_path, extension):
    file = write(tmp_path / f"a{extension}", [{"review": "泵坏", "label": "消极"}])
    with pytest.raises(DataError, match=r"no column 'text' .*'review', 'label'; .*data\.columns\.text"):
        list(read_source(file, {}))
    with pytest.raises(DataError, match="no column 'aspect' for term"):
        list(read_source(file, {"text": "review", "term": "aspect"}))


def test_a_column_that_is_not_ours_names_the_nearest(tmp_path):
    file = write(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(DataError, match=r"data\.columns\.txt: .*did you mean 'text'"):
        list(read_source(file, {"txt": "text"}))


def test_a_csv_without_a_header_leaks_no_review(tmp_path):
    file = tmp_path / "a.csv"
    review = "这瓶水好用得不得了，我已经回购第五次了，真的值得"
    file.write_text(f"{review},水,积极\n", "utf-8")
    with pytest.raises(DataError, match="is there a header line") as caught:
        list(read_source(file, {}))
    assert review[:5] not in str(caught.value)


def test_a_csv_row_of_another_width_is_rejected_and_lines_are_counted(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,term,label\n"两\n行",行,积极\n泵,坏了,泵,消极\n泵坏,泵,消极\n', "utf-8")
    first, bad, last = read_source(file, {})
    assert (first.text, first.where) == ("两\n行", f"{file}:2")
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.where) == ("bad_row", f"{file}:4")
    assert last.where == f"{file}:5"


def test_an_open_quote_and_a_repeated_column_are_errors(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('text,term,label\n"泵坏,泵,消极\n', "utf-8")
    with pytest.raises(DataError, match="write a quote inside a field twice"):
        list(read_source(file, {}))
    file.write_text("text,text,label\na,b,c\n", "utf-8")
    with pytest.raises(DataError, match="occurs twice"):
        list(read_source(file, {}))


def test_bad_json_lines_are_rejected_one_by_one(tmp_path):
    file = tmp_path / "a.jsonl"
    good = json.dumps(ROWS[0])
    offset = json.dumps({**ROWS[0], "start": "first"})
    file.write_text(f'{{"text": \n[1]\n\n{good}\n{"[" * 100_000}\n{offset}\n', "utf-8")
    outcomes = list(read_source(file, {}))
    reasons = [row.reason if isinstance(row, Rejection) else "" for row in outcomes]
    assert reasons == ["bad_row", "bad_row", "", "bad_row", "bad_offsets"]
    assert outcomes[2].where == f"{file}:4"


def test_a_file_of_bad_json_lines_alone_is_all_rejections(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("not json\n", "utf-8")
    (rejection,) = read_source(file, {})
    assert isinstance(rejection, Rejection)


def test_whole_floats_are_offsets(tmp_path):
    file = write(tmp_path / "a.parquet", [{**ROWS[0], "start": 0.0, "end": 2.0, "label": 1.0}])
    (record,) = read_source(file, {})
    assert (record.start, record.end, record.label) == (0, 2, "1")

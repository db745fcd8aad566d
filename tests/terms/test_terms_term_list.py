"""Lists of terms in files: what is read, and what is refused with its line."""

import json

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.terms.term_list import read_term_list

NAMES = {"持妆": "持妆", "不脱妆": "持妆", "持久": "持妆", "颜色": "颜色", "防晒": "防晒", "SPF": "防晒"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
def test_a_line_for_each_term(tmp_path, ending):
    path = tmp_path / f"terms.{ending}"
    lines = ["持妆,不脱妆 ,持久", "", "颜色", "防晒,,SPF"]
    path.write_text("\n".join(lines).replace(",", "\t" if ending == "tsv" else ","), "utf-8-sig")
    read = read_term_list(path)
    assert read.names == NAMES
    assert set(read.categories.values()) == {""}
    assert [match.term for match in read.finder().find("不脱妆，颜色好，spf")] == ["持妆", "颜色", "防晒"]


ROWS = [
    {"term": "持妆", "synonyms": "不脱妆、持久", "category": "功效"},
    {"term": "颜色", "synonyms": None, "category": None},
    {"term": "防晒", "synonyms": "SPF", "category": "功效"},
]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "xlsx", "parquet"])
def test_a_table_with_categories(tmp_path, ending):
    path = tmp_path / f"terms.{ending}"
    match ending:
        case "jsonl":
            rows = [{**row, "synonyms": (row["synonyms"] or "").split("、")} for row in ROWS]
            path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist(ROWS), path)
        case "xlsx":
            book = openpyxl.Workbook()
            for row in [[*ROWS[0]], *([*row.values()] for row in ROWS)]:
                book.active.append(row)
            book.save(path)
        case _:
            cut = "\t" if ending == "tsv" else ","
            lines = [[*ROWS[0]], *([cell or "" for cell in row.values()] for row in ROWS)]
            path.write_text("\n".join(map(cut.join, lines)), "utf-8")
    read = read_term_list(path)
    assert read.names == NAMES
    assert read.categories == {"持妆": "功效", "颜色": "", "防晒": "功效"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("持妆,持久\n防晒,持久\n", r"terms.csv:2: '持久' stands under '持妆' too \(.*terms.csv:1\)"),
        ("SPF\n防晒,ｓｐｆ\n", r"terms.csv:2: 'ｓｐｆ' stands under 'SPF' too"),
        ("颜色\n持妆\n颜色,色号\n", r"terms.csv:3: the term '颜色' stands in .*terms.csv:1 too"),
        (",持久\n", r"terms.csv:1: the term itself is empty"),
        ("term,category\n,功效\n", r"holds no terms"),
        ("\n \n", r"holds no terms"),
        ('持妆,"持久\n', r"terms.csv:1: .*quote"),
    ],
)
def test_what_cannot_be_told_apart_is_an_error_with_its_line(tmp_path, text, said):
    path = tmp_path / "terms.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=said):
        read_term_list(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_term_list(tmp_path / "terms.txt")

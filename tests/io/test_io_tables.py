"""One reader a format: the same awkward files through prepare, score and compare, with the same outcome."""

from __future__ import annotations

import ast
import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from awkward_tables import AWKWARD, GOOD, folder_of_files, nested_parquet
from hypothesis import given
from hypothesis import strategies as st

from attar.compare.annotations import read_annotations
from attar.errors import DataError
from attar.io.tables.jsonl import json_line
from attar.io.tables.rows import as_offset
from attar.io.tables.table_files import open_tables, write_table
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.scoring.stage import ScoreOptions, score_file

SRC = Path(__file__).parents[2] / "src" / "attar"
DATA = DataRecipe(dev=0.3, test=0.3, near_duplicate=1)


class Outcome(NamedTuple):
    """What a verb made of a file: the places of terms, and what it refused and why."""

    used: set[tuple[str, int, int]]
    refused: set[tuple[str, str]]


def prepared(source, task, out, **options):
    prepare([SourceRecipe(path=str(source), **options)], task, DATA, 7, out)
    splits = [json.loads((out / f"{name}.json").read_text("utf-8")) for name in ("train", "dev", "test")]
    refused = [json.loads(line) for line in (out / "rejected.jsonl").read_text("utf-8").splitlines()]
    return Outcome(
        {(row[0], row[2], row[3]) for rows in splits for row in rows},
        {(row["where"], row["reason"]) for row in refused},
    )


def scored(predictor, source, out, options):
    score_file(predictor, source, out, options)
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    left = out.with_name(f"{out.name}.rejected.jsonl")
    refused = [json.loads(line) for line in left.read_text("utf-8").splitlines()] if left.exists() else []
    text = options.text.split(".")
    return Outcome(
        {(_within(row, text), row["start"], row["end"]) for row in rows},
        {(row["where"], row["reason"]) for row in refused},
    )


def _within(row, keys):
    for key in keys:
        row = row[key]
    return row


@pytest.mark.parametrize("name", AWKWARD)
def test_prepare_score_and_compare_make_the_same_of_an_awkward_file(predictor, tmp_path, name):
    make, num_used, refused = AWKWARD[name]
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    columns: dict[str, Any] = {}
    options = ScoreOptions()
    if make is nested_parquet:
        columns = {"columns": {"text": "review.text", "term": "review.aspect"}}
        options = ScoreOptions("review.text", "review.aspect")
    by_prepare = prepared(source, predictor.task, tmp_path / "data", **columns)
    by_score = scored(predictor, source, tmp_path / "out.jsonl", options)
    assert by_score == by_prepare
    assert len(by_prepare.used) == num_used
    assert by_prepare.refused == {(f"{source}:{line}", reason) for line, reason in refused}
    if make is not nested_parquet:
        terms = {(text, text[start:end]) for text, start, end in by_prepare.used}
        read = read_annotations(source)
        assert {(one.text.replace(" \n", "\r\n"), one.term) for one in read.annotations} >= terms
        assert set(read.left_out) <= {reason for _, reason in refused}


def test_a_stray_quote_is_the_same_error_unless_quotes_are_text(predictor, tmp_path):
    lines = ["\t".join(row.values()) for row in [dict.fromkeys(GOOD[0], ""), *GOOD]]
    lines[0] = "\t".join(GOOD[0])
    source = tmp_path / "a.tsv"
    source.write_text("\n".join([*lines[:5], '"' + lines[5], *lines[6:]]), "utf-8")
    said = set()
    for read in (
        lambda: prepared(source, predictor.task, tmp_path / "data"),
        lambda: scored(predictor, source, tmp_path / "out.jsonl", ScoreOptions()),
        lambda: read_annotations(source),
    ):
        with pytest.raises(DataError, match="set quoted = false") as caught:
            read()
        said.add(str(caught.value))
    assert len(said) == 1
    assert not (tmp_path / "out.jsonl").exists()
    plain = prepared(source, predictor.task, tmp_path / "data", quoted=False)
    assert plain == scored(predictor, source, tmp_path / "out.jsonl", ScoreOptions(quoted=False))
    assert ('"第4瓶的香味香', 5, 7) in plain.used


def test_what_is_scored_is_not_written_into_the_folder_that_is_read(predictor, tmp_path):
    source = folder_of_files(tmp_path)
    with pytest.raises(DataError, match="in the folder that is read"):
        score_file(predictor, source, tmp_path / "out.csv")
    (tmp_path / "out" / "o.csv").mkdir(parents=True)
    with pytest.raises(DataError, match="this is a folder, not a file"):
        score_file(predictor, source, tmp_path / "out" / "o.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def test_what_is_written_is_what_is_read(tmp_path, name):
    texts = ["a,b\tc", 'say "x"', "两\n行", "cr\rlf\r\n", " 空 ", "=1+1", "😀", "_x000D_", "第\u2028行"]
    rows = [{"text": text, "n": number} for number, text in enumerate(texts)]
    write_table(tmp_path / name, [rows[:4], rows[4:]], {"text": "string", "n": "int64"})
    (table,) = open_tables(tmp_path / name)
    assert table.columns == ("text", "n")
    for _ in range(2):  # a table can be read again
        assert [(row.values["text"], int(row.values["n"])) for row in table.rows()] == [
            (row["text"], row["n"]) for row in rows
        ]


@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=2), min_size=1, max_size=6))
def test_any_cells_come_back_from_delimited_tables(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "any.tsv"
    write_table(path, [[{"a": f"x{one}", "b": two} for one, two in cells]], {"a": "string", "b": "string"})
    (table,) = open_tables(path)
    assert [list(row.values.values()) for row in table.rows()] == [[f"x{one}", two] for one, two in cells]


def test_json_lines_are_strict():
    line = json_line(
        {"a": [float("nan"), 1.5], "b": float("-inf"), "c": datetime(2024, 2, 1, 8), "d": {1: None}}
    )
    assert json.loads(line, parse_constant=pytest.fail) == {
        "a": [None, 1.5],
        "b": None,
        "c": "2024-02-01T08:00:00",
        "d": {"1": None},
    }


@pytest.mark.parametrize(
    ("cell", "offset"),
    [
        ("3.0", 3),
        (" 7. ", 7),
        ("-1.00", -1),
        ("12", 12),
        (4.0, 4),
        (5, 5),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_offsets_in_every_spelling(cell, offset):
    assert as_offset(cell) == offset


@pytest.mark.parametrize("cell", ["3.5", "a", "1e3", 0.5, True, [1], "9" * 5000 + ".0", float("inf")])
def test_what_is_no_offset(cell):
    with pytest.raises(ValueError, match=r"whole numbers|digits"):
        as_offset(cell)


@pytest.mark.parametrize(
    "name", ["csv.reader", "csv.writer", "ExcelReader", "parquet.ParquetFile", "parquet.ParquetWriter"]
)
def test_each_format_is_read_and_written_in_one_package(name):
    users = {
        path.relative_to(SRC).parts[0]
        for path in SRC.rglob("*.py")
        if any(name in _dotted(node) for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    }
    assert users == {"io"}


def _dotted(node):
    """What a node names: ``a.b`` of an attribute, the module of an import."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names]
        return " ".join(
            [*names, *(f"{node.module}.{name}" for name in names if isinstance(node, ast.ImportFrom))]
        )
    return node.id if isinstance(node, ast.Name) else ""

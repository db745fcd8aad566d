"""Small files that stand for much: JSON nested too deep, and Parquet that unfolds to gigabytes."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written_tables import write_rows

from attar.compare.annotations import read_annotations
from attar.errors import AttarError, DataError, RecipeError
from attar.io.json_text import MAX_DEPTH
from attar.io.tables import parquet_pages
from attar.io.tables.parquet_footer import DamagedParquetError
from attar.io.tables.table_files import open_tables
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS

DEPTHS = [MAX_DEPTH + 1, 900, 100_000]
SHAPES = [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]
GOOD = {"text": "泵坏", "term": "泵", "label": "消极"}


def nested(depth, shape):
    return shape[0] * depth + "1" + shape[1] * depth


def outcomes(path, **keys):
    """Records, and rejections by their reason."""
    found = list(read_source(SourceRecipe(path=str(path), **keys), task=BUILT_IN_TASKS["cosmetics"]))
    records = [one for one in found if isinstance(one, Record)]
    return records, Counter(one.reason for one in found if not isinstance(one, Record))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_line_that_is_nested_too_deep_is_rejected_alone(tmp_path, depth, shape):
    deep = nested(depth, shape)
    good = json.dumps(GOOD)
    path = tmp_path / "a.jsonl"
    path.write_text(
        f'{good}\n{deep}\n{{"text": {deep}, "label": 1}}\n{good[:-1]}, "meta": {deep}}}\n{good}\n', "utf-8"
    )
    records, reasons = outcomes(path)
    assert (len(records), reasons) == (2, {"bad_row": 3})
    assert [record.where for record in records] == [f"{path}:1", f"{path}:5"]
    found = read_annotations(path)
    assert (len(found.annotations), found.left_out) == (2, {"bad_row": 3})


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_list_with_an_item_that_is_nested_too_deep_is_refused_with_its_line(tmp_path, depth, shape):
    deep = nested(depth, shape)
    rows = tmp_path / "rows.json"
    rows.write_text(f'[["泵坏", "泵", "消极"],\n["泵坏", {deep}, "消极"]]', "utf-8")
    tasks = tmp_path / "tasks.json"
    task = {"id": 1, "data": {"text": "泵坏"}, "annotations": []}
    tasks.write_text(f'[{json.dumps(task)},\n{{"data": {{"text": {deep}}}, "annotations": []}}]', "utf-8")
    for path in (rows, tasks):
        for read in (lambda path=path: outcomes(path), lambda path=path: read_annotations(path)):
            with pytest.raises(DataError, match=rf"{path.name}:2: .*nested deeper than {MAX_DEPTH} levels"):
                read()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", [*SHAPES, ("(", ")"), ("-", ""), ("{1:", "}"), ("[(", ",)]")])
@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet"])
def test_json_in_a_cell_is_not_followed_too_deep(tmp_path, depth, shape, ending):
    deep = nested(min(depth, 15_000) if ending == "xlsx" else depth, shape)[
        : 32_767 if ending == "xlsx" else None
    ]
    rows = [GOOD, GOOD | {"label": deep}, GOOD | {"label": f"[{deep}]"}, GOOD | {"term": f"[{deep}]"}]
    path = write_rows(tmp_path / f"a.{ending}", rows)
    for keys in ({}, {"explode": "、"}):
        records, reasons = outcomes(path, **keys)
        assert len(records) + reasons.total() == len(rows)
        assert reasons.keys() <= {"bad_row"}
        assert records[0].label == "消极"
    found = read_annotations(path)
    assert len(found.annotations) + found.left_out.total() == len(rows)


# --- Parquet ---------------------------------------------------------------------------------------------


def read(path):
    (table,) = open_tables(path)
    return [row.values for row in table.rows()]


@pytest.fixture
def small_limit(monkeypatch):
    """A tenth of a megabyte, so that a bomb need not be large to be one."""
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "0.0001")


HUGE = "好" * 100_000
DELTA = {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"}
BOMBS = {
    "a page": ({"text": pa.array([HUGE])}, {"use_dictionary": False}),
    "a dictionary": ({"text": pa.array([HUGE] * 50)}, {}),
    "shared beginnings": ({"text": pa.array([HUGE, HUGE])}, DELTA),
    "many values": ({"text": pa.nulls(20_000, pa.string())}, {}),
    "a long list": ({"text": ["好"], "tags": pa.array([[None] * 20_000], pa.list_(pa.string()))}, {}),
    "within an object": ({"text": pa.array(["好"]), "x": pa.array([{"a": [HUGE]}])}, {}),
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.usefixtures("small_limit")
def test_parquet_beyond_the_limit_is_refused_before_it_unfolds(tmp_path, kind, version, monkeypatch):
    columns, options = BOMBS[kind]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", data_page_version=version, **options)
    with pytest.raises(DataError, match=r"a\.parquet: .*more than a table of reviews.*ATTAR_MAX_TABLE_GB"):
        open_tables(path)
    monkeypatch.delenv("ATTAR_MAX_TABLE_GB")
    assert read(path) == pa.table(columns).to_pylist()


def test_values_that_come_from_a_dictionary_are_unfolded_a_few_rows_at_a_time(tmp_path, monkeypatch):
    texts = [f"{word}{'好' * 50_000}" for word in "甲乙"] * 40
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": texts, "n": list(range(80))}), path, row_group_size=50)
    file, sizes = pq.ParquetFile(path), []
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "0.002")
    at_once = parquet_pages.batch_rows(path, file.metadata, file.schema_arrow)
    assert 1 <= at_once <= 6  # 300 kB of dictionary, 2 MB at once
    for batch in file.iter_batches(at_once):
        sizes.append(batch.nbytes)
    assert max(sizes) < 2_000_000
    assert [row["n"] for row in read(path)] == list(range(80))


def test_as_many_rows_as_usual_where_nothing_is_large(tmp_path):
    path = write_rows(tmp_path / "a.parquet", [GOOD] * 3000)
    file = pq.ParquetFile(path)
    assert parquet_pages.batch_rows(path, file.metadata, file.schema_arrow) == 2048
    assert read(path) == [GOOD] * 3000


def test_columns_are_bounded_in_number_and_depth(tmp_path, monkeypatch):
    deep = pa.array([1])
    for _ in range(MAX_DEPTH + 1):
        deep = pa.StructArray.from_arrays([deep], ["a"])
    pq.write_table(pa.table({"text": ["好"], "x": deep}), tmp_path / "deep.parquet")
    with pytest.raises(DataError, match=f"deeper than {MAX_DEPTH} levels"):
        open_tables(tmp_path / "deep.parquet")
    monkeypatch.setattr(parquet_pages, "_MAX_COLUMNS", 8)
    many = pa.table([pa.nulls(1, pa.int8())] * 9, [str(n) for n in range(9)])
    pq.write_table(many, tmp_path / "many.parquet")
    with pytest.raises(DataError, match="has 9 columns; a table has up to 8"):
        open_tables(tmp_path / "many.parquet")


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_quote_without_an_end_does_not_take_in_all_that_follows(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", "0.0001")  # an eighth as many characters
    path = tmp_path / f"a.{ending}"
    content = b'text,term\ngood,go\n"' + b"\n" * 100_000
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    with pytest.raises(
        DataError, match=r"a\.csv.*:3: a cell of more than 12,500 characters.*ATTAR_MAX_TABLE_GB"
    ):
        list(open_tables(path)[0].rows())
    monkeypatch.delenv("ATTAR_MAX_TABLE_GB")
    with pytest.raises(DataError, match="write a quote inside a field twice"):
        list(open_tables(path)[0].rows())


@pytest.mark.parametrize("said", ["0", "-1", "much", "nan", "inf", ""])
def test_the_limit_is_a_number(tmp_path, monkeypatch, said):
    path = write_rows(tmp_path / "a.parquet", [GOOD])
    monkeypatch.setenv("ATTAR_MAX_TABLE_GB", said)
    with pytest.raises(RecipeError, match="ATTAR_MAX_TABLE_GB"):
        open_tables(path)


def varint(number):
    """Zigzag and seven bits a byte, as Thrift's compact protocol writes a number."""
    number, raw = number << 1 ^ number >> 63, []
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    return bytes([*raw, number])


def test_a_page_is_what_its_own_header_says(tmp_path):
    """The footer knows nothing of it: 2 GB of a folded page, after a text that is skipped."""
    data_page = b"\x15" + varint(7) + b"\x15\x00\x00"
    header = b"\x15\x00\x15" + varint(2**31 - 1) + b"\x15" + varint(40) + b"\x2c" + data_page
    page = header + b"\x58\x03abc" + b"\x19\x25" + varint(1) * 2 + b"\x11\x00"
    path = tmp_path / "page"
    path.write_bytes(b"PAR1" + page + b"x" * 40)
    with path.open("rb") as stream:
        found = parquet_pages._page_at(stream, 4)
    assert found == (2**31 - 1, 7, False, len(page) + 40)
    for cut in range(len(page)):
        path.write_bytes(page[:cut])
        with path.open("rb") as stream, pytest.raises(DamagedParquetError):
            parquet_pages._page_at(stream, 0)


def test_any_damage_to_the_headers_of_pages_is_an_error_of_ours_or_none(tmp_path):
    path = tmp_path / "a.parquet"
    write_rows(path, [GOOD | {"n": n} for n in range(40)])
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place, change in itertools.product(range(4, footer, 5), (0x01, 0x80, 0xFF)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
        with contextlib.suppress(AttarError):
            read(path)

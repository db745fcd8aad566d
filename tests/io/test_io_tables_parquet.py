"""Values of Parquet that Python has none for: read as near as it gets, and no row is lost."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.io.tables.table_files import column_types, open_tables, write_table
from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record

YEAR_0 = -62_198_755_200_000_000  # in microseconds
YEAR_10000 = 253_402_300_800_000_000
NANO = datetime.datetime(1970, 1, 1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("cells", "kind", "read"),
    [
        ([YEAR_0, 1], pa.timestamp("us"), ["-0001-01-01 00:00:00.000000", NANO]),
        ([YEAR_10000, 1], pa.timestamp("us"), ["10000-01-01 00:00:00.000000", NANO]),
        ([YEAR_10000], pa.timestamp("us", "Asia/Tokyo"), ["10000-01-01 09:00:00.000000+0900"]),
        ([7, None], pa.timestamp("us", "Not/AZone"), ["7", None]),
        ([1999, None], pa.timestamp("ns"), [NANO, None]),
        ([[1999], None], pa.list_(pa.timestamp("ns")), [[NANO], None]),
        ([[1999, YEAR_10000 * 10], []], pa.large_list(pa.timestamp("us")), None),
        ([{"a": 1999}, None], pa.struct([("a", pa.timestamp("ns"))]), [{"a": NANO}, None]),
        ([[("k", 1999)], None], pa.map_(pa.string(), pa.timestamp("ns")), [[("k", NANO)], None]),
        ([1999, None], pa.time64("ns"), [datetime.time(0, 0, 0, 1), None]),
        ([1999, None], pa.duration("ns"), [datetime.timedelta(microseconds=1), None]),
        ([2**62, 1], pa.duration("s"), [str(2**62), datetime.timedelta(seconds=1)]),
        ([2**31 - 1, 0], pa.date32(), None),
        ([86_400_000 * 10**7, 0], pa.date64(), None),
        ([2**64 - 1, None], pa.uint64(), [2**64 - 1, None]),
        ([1.5, float("inf")], pa.float32(), [1.5, float("inf")]),
    ],
)  # fmt: skip
def test_what_python_cannot_hold_is_read_as_near_as_it_gets(tmp_path, cells, kind, read):
    path = tmp_path / "a.parquet"
    cells = [*cells, None][:2]
    columns = {"text": ["泵坏", "香味好"], "label": ["消极", "积极"], "x": pa.array(cells, kind)}
    pq.write_table(pa.table(columns), path, row_group_size=1)
    (table,) = open_tables(path)
    values = [row.values["x"] for row in table.rows()]
    assert len(values) == 2
    if read is not None:
        assert values == [*read, None][:2]
    records = list(read_source(SourceRecipe(path=str(path))))
    assert [isinstance(record, Record) for record in records] == [True, True]
    assert ("x" in records[0].meta) is (values[0] is not None)


def test_objects_with_dictionaries_in_several_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    words = pa.array(["淡", "浓"] * 3).dictionary_encode()
    rows = pa.StructArray.from_arrays([words, pa.array(range(6))], ["word", "n"])
    pq.write_table(pa.table({"x": rows}), path, row_group_size=2)
    (table,) = open_tables(path)
    assert [row.values["x"] for row in table.rows()] == rows.to_pylist()


def test_a_value_that_its_type_cannot_hold_is_named_when_it_is_written(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": pa.array([YEAR_0, 1], pa.timestamp("us"))}), path)
    (table,) = open_tables(path)
    chunks, types = [[row.values for row in table.rows()]], column_types([table])
    with pytest.raises(DataError, match=r"the column 'x' .*timestamp.*write \.jsonl or \.csv"):
        write_table(tmp_path / "b.parquet", chunks, types)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    write_table(tmp_path / "b.csv", chunks, types)
    assert (tmp_path / "b.csv").read_text("utf-8").split("\n")[1] == "-0001-01-01 00:00:00.000000"

"""The footer of a Parquet file, read before Arrow is asked: no damage to it ends the process."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.io.tables.parquet_footer import Compact, DamagedParquetError, column_chunks
from attar.io.tables.table_files import open_tables

PROGRAM = """
import sys
from contextlib import suppress
from pathlib import Path
from attar.errors import AttarError
from attar.io.tables.table_files import open_tables
path = Path(sys.argv[1])
whole = path.read_bytes()
for place in range(len(whole) - 8 - int.from_bytes(whole[-8:-4], "little"), len(whole) - 8):
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with suppress(AttarError):
        list(open_tables(path)[0].rows())
print("done")
"""


@pytest.fixture
def file(tmp_path):
    """Two row groups of a text and of a list, as small as a footer gets."""
    table = pa.table({"text": ["好", "坏", None], "term": [["好"], [], ["坏", "x"]]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2, store_schema=False)
    return tmp_path / "a.parquet"


def test_no_damage_to_a_footer_ends_the_process(file):
    done = subprocess.run([sys.executable, "-c", PROGRAM, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_columns_lie_where_arrow_says(file):
    metadata = pq.ParquetFile(file).metadata
    with file.open("rb") as stream:
        found = list(column_chunks(stream, file.stat().st_size, 2))
    wanted = []
    for group in range(2):
        for place in range(2):
            column = metadata.row_group(group).column(place)
            start = min(column.data_page_offset, column.dictionary_page_offset)
            wanted.append((group, place, start, column.total_compressed_size))
    assert found == wanted


def test_a_row_group_of_other_columns(file):
    with file.open("rb") as stream, pytest.raises(DamagedParquetError, match="2 columns of 3"):
        list(column_chunks(stream, file.stat().st_size, 3))


def test_a_field_that_comes_twice():
    """Thrift in C++ joins the two, and a dictionary named in the first alone would be looked at by nobody."""
    with pytest.raises(DamagedParquetError, match="twice"):
        Compact(b"\x15\x02\x05\x02\x04\x00").struct()


def test_a_footer_longer_than_its_file(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:-8] + (len(whole)).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataError, match="not a Parquet file"):
        open_tables(file)
    with file.open("rb") as stream, pytest.raises(DamagedParquetError, match="longer"):
        list(column_chunks(stream, len(whole), 2))

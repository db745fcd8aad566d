"""What csv, json, pyarrow and openpyxl themselves read back is what attar reads, whatever is in the cells."""

from __future__ import annotations

import csv
import datetime
import json
import re

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_tables import write_sheets

from attar.errors import DataError
from attar.io.tables.table_files import TableOptions, open_file, open_tables, write_table

few = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

# fmt: off
ODD = ["\r", "\n", "\r\n", "\t", '"', '""', "'", ",", ";", "|", "\\", " ", "\u3000", "\u200b", "\ufeff",
       "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "😀", "👩‍👧", "e\u0301", "_x000D_", "_x005F_", "#N/A", "=1",
       "NaN", "null", "[", "{", "0", "-1.0", "香味", "\ue000", "\U0010ffff"]
# fmt: on
TEXT = st.lists(st.sampled_from(ODD) | st.characters(exclude_categories=("Cs",)), max_size=5).map("".join)


def rows_of(table):
    return [list(row.values.values()) if row.problem is None else row.problem for row in table.rows()]


@st.composite
def dialects(draw):
    """How csv writes a table: what separates cells and rows, and which cells have quotes."""
    return {
        "delimiter": draw(st.sampled_from([",", "\t", ";", "|"])),
        "lineterminator": draw(st.sampled_from(["\n", "\r\n"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
    }


@few
@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=5), dialects(), st.booleans())
def test_csv(tmp_path, cells, dialect, has_mark):
    path = tmp_path / "a.csv"
    if dialect["quoting"] != csv.QUOTE_ALL:
        # Before Python 3.13 csv writes one without quotes, and reads it as the end of a row.
        cells = [[cell.replace("\r", "") for cell in row] for row in cells]
    with path.open("w", encoding="utf-8-sig" if has_mark else "utf-8", newline="") as stream:
        csv.writer(stream, **dialect).writerows([["a", "b", "c"], *cells])
    with path.open(encoding="utf-8-sig", newline="") as stream:
        expected = list(csv.reader(stream, delimiter=dialect["delimiter"], strict=True))[1:]
    (table,) = open_file(path, "csv", TableOptions(delimiter=dialect["delimiter"]))
    assert rows_of(table) == expected


@few
@given(st.text(alphabet='ab"\n, ', max_size=30).map(lambda text: text.replace("\n", "\r\n", 1)))
def test_any_text_is_read_as_csv_reads_it_or_refused(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_bytes(f"x,y\n{text}".encode())
    expected = read = None
    with path.open(encoding="utf-8", newline="\n") as stream:
        try:
            expected = [row for row in csv.reader(stream, strict=True) if row][1:]
        except csv.Error:
            expected = "refused"
    try:
        (table,) = open_file(path, "csv")
        read = [row if isinstance(row, list) else row.cells for row in rows_of(table)]
    except DataError:
        read = "refused"
    assert read == expected


@few
@given(st.text(alphabet="ab\"\n' ;", max_size=30), st.sampled_from([";", "; ", "ab"]))
def test_without_quotes_a_table_is_its_lines_cut(tmp_path, text, delimiter):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode() or b"\n")
    lines = [line.rstrip("\r\n") for line in text.split("\n")]
    (table,) = open_file(path, "csv", TableOptions(names=("x", "y"), delimiter=delimiter, quoted=False))
    read = [row if isinstance(row, list) else row.cells for row in rows_of(table)]
    assert read == [line.split(delimiter) for line in lines if line]


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"x,y\na\rb,c\nd,e\r\n", [["a\rb", "c"], ["d", "e"]]),
        (b"x,y\r\n\ra,b\rc\r\nd,e", [["\ra", "b\rc"], ["d", "e"]]),
        (b"x,y\r\r\na,b\r\r\n", [["a", "b"]]),  # as text mode writes \r\n on Windows
        (b"x,y\ra,b\rc,d\r", [["a", "b"], ["c", "d"]]),
        (b"x,y\ra,b\r\rc,d", [["a", "b"], ["c", "d"]]),
    ],
)
def test_a_carriage_return_without_quotes_belongs_to_its_cell(tmp_path, content, rows, quoted):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    (table,) = open_file(path, "csv", TableOptions(quoted=quoted))
    for _ in range(2):
        assert rows_of(table) == rows


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@few
@given(
    st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", " \n\n\t"]),
)
def test_json_lines(tmp_path, rows, escaped, end):
    path = tmp_path / "a.jsonl"
    path.write_bytes("".join(json.dumps(row, ensure_ascii=escaped) + end for row in rows).encode())
    expected = [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
    (table,) = open_tables(path)
    assert repr([row.values for row in table.rows()]) == repr(expected)
    assert not any(row.problem for row in table.rows())


@few
@given(
    st.lists(
        st.sampled_from(
            ['{"a": 1}', '{"a": 1} {}', "[1]", "{", "1", "NaN", '"a"', "", "  ", "\x00", "{}\r", "{'a': 1}"]
        ),
        min_size=1,
    )
)
def test_each_line_is_an_object_or_a_problem(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n", "utf-8", newline="")
    (table,) = open_tables(path)
    rows = list(table.rows())
    assert [row.line for row in rows] == [n for n, line in enumerate(lines, 1) if line.strip()]
    for row in rows:
        try:
            value = json.loads(lines[row.line - 1])
        except ValueError:
            value = None
        assert row.values == value if isinstance(value, dict) else row.problem


DAYS = st.dates(datetime.date(1, 1, 1))
MOMENTS = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))
SPANS = st.timedeltas(datetime.timedelta(days=-(10**6)), datetime.timedelta(days=10**6))
WHOLE_SECONDS = MOMENTS.map(lambda at: at.replace(microsecond=0))
WITH_ZONE = MOMENTS.map(lambda at: at.replace(year=2000 + at.year % 30, day=1, tzinfo=datetime.UTC))
PLAIN = [
    (pa.string(), TEXT), (pa.large_string(), TEXT), (pa.dictionary(pa.int32(), pa.string()), TEXT),
    (pa.bool_(), st.booleans()), (pa.int8(), st.integers(-128, 127)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)), (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.decimal128(12, 3), st.decimals(-10**8, 10**8, places=3)), (pa.binary(), st.binary(max_size=5)),
    (pa.date32(), DAYS), (pa.timestamp("us"), MOMENTS), (pa.timestamp("ms"), WHOLE_SECONDS),
    (pa.timestamp("us", "Asia/Shanghai"), WITH_ZONE),
    (pa.time64("us"), st.times()), (pa.duration("us"), SPANS),
]  # fmt: skip


@st.composite
def arrow_columns(draw):
    """A column of Arrow: its type and its values, which may be lists, objects or maps of others."""
    kind, values = draw(st.sampled_from(PLAIN))
    match draw(st.sampled_from(["plain", "plain", "list", "struct", "map"])):
        case "list":
            kind, values = pa.list_(kind), st.lists(values | st.none(), max_size=3)
        case "struct":
            kind, values = (
                pa.struct([("a", kind), ("b", pa.string())]),
                st.fixed_dictionaries({"a": values, "b": TEXT}),
            )
        case "map":
            kind, values = pa.map_(pa.string(), kind), st.lists(st.tuples(TEXT, values), max_size=2)
    return pa.array(draw(st.lists(values | st.none(), min_size=6, max_size=6)), kind)


@few
@given(
    st.dictionaries(TEXT, arrow_columns(), min_size=1, max_size=4),
    st.fixed_dictionaries({
        "use_dictionary": st.booleans(),
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]), "row_group_size": st.sampled_from([1, 4, 100]),
        "write_page_index": st.booleans(), "write_statistics": st.booleans(),
    }),
)  # fmt: skip
def test_parquet(tmp_path, columns, options):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), path, **options)
    expected = pq.read_table(path).to_pylist()
    (table,) = open_tables(path)
    assert repr([row.values for row in table.rows()]) == repr(expected)
    assert table.count() == len(expected)


XML_TEXT = TEXT.map(lambda text: "".join(char for char in text if char in "\t\n" or " " <= char < "\ufffe"))
EXCEL = (
    st.none() | st.booleans() | st.integers(-2**53, 2**53) | st.floats(-1e300, 1e300) | XML_TEXT
    | WHOLE_SECONDS.filter(lambda at: at >= datetime.datetime(1900, 3, 1))
    | st.dates(datetime.date(1900, 3, 1)) | st.times().map(lambda at: at.replace(microsecond=0))
)  # fmt: skip


def unescaped(value):
    """The characters that Excel's ``_xHHHH_`` stand for; openpyxl leaves them as they are."""
    return (
        re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), value)
        if isinstance(value, str)
        else value
    )


@few
@given(st.lists(st.lists(EXCEL, max_size=4), max_size=5))
def test_excel(tmp_path, cells):
    path = write_sheets(tmp_path / "a.xlsx", {"a": [list("abcd"), *cells]})
    rows = [
        list(row)
        for row in openpyxl.load_workbook(path, data_only=True)["a"].iter_rows(2, max_col=4, values_only=True)
    ]
    (table,) = open_tables(path)
    expected = [
        [unescaped(value) for value in row] for row in rows if any(value is not None for value in row)
    ]
    assert repr(rows_of(table)) == repr(expected)


@few
@given(
    st.lists(
        st.fixed_dictionaries({"a": TEXT, "b": SCALARS | st.lists(TEXT, max_size=2)}), min_size=1, max_size=5
    )
)
def test_what_attar_writes_is_what_the_libraries_read(tmp_path, rows):
    types = {"a": "string", "b": "string"}
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        write_table(tmp_path / f"a.{ending}", [rows], types)
    for ending, delimiter in (("csv", ","), ("tsv", "\t")):
        with (tmp_path / f"a.{ending}").open(encoding="utf-8", newline="") as stream:
            head, *read = csv.reader(stream, delimiter=delimiter, strict=True)
        assert head == ["a", "b"]
        assert [row[0] for row in read] == [row["a"] for row in rows]
    lines = (tmp_path / "a.jsonl").read_bytes().decode().split("\n")[:-1]
    assert [json.loads(line, parse_constant=pytest.fail)["a"] for line in lines] == [row["a"] for row in rows]
    assert pq.read_table(tmp_path / "a.parquet")["a"].to_pylist() == [row["a"] for row in rows]

"""Files as people have them, what of each can be used, and what of it is refused and why."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from written_tables import write_rows, write_sheets

GOOD = [
    {"text": f"第{n}瓶的香味{word}", "term": "香味", "label": label}
    for n, (word, label) in enumerate(
        zip("淡浓怪甜香冲苦柔烈妙", "坏好坏好好坏坏好中中", strict=True)
    )
]  # fmt: skip


def jsonl(path, rows):
    path.write_bytes(
        b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    )
    return path


def bom_and_blanks(folder):
    path = write_rows(folder / "a.csv", GOOD, [" text", "term ", " label "])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return path


def cells(rows):
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def macro_workbook(folder):
    old = [row | {"text": f"旧{row['text']}"} for row in GOOD]
    sheets = {"旧": cells(old), "新": cells(GOOD), "result": [["what"], ["somebody's own"]]}
    return write_sheets(folder / "a.xlsm", sheets, hidden=["旧"])


def named_sheet(folder):
    rows = [{"": None} | row | {"text": f"{row['text']}_x000D_\n好"} for row in GOOD]
    path = write_sheets(folder / "a.xlsx", {"Sheet": [["not these"]], "二月": cells(rows)})
    return Path(f"{path}#二月")


def folder_of_files(folder):
    write_rows(folder / "1.csv", GOOD[:4])
    write_rows(folder / "2.tsv", GOOD[4:8], ["text", "keyword", "label"])
    jsonl(folder / "3.jsonl", GOOD[8:])
    (folder / "~$1.xlsx").write_bytes(b"lock")
    (folder / "_SUCCESS").touch()
    return folder


def parquet_folder(folder):
    days = {"at": pa.array([1, 2, 3, 4, 5], pa.timestamp("ns"))}
    for number, rows in enumerate((GOOD[:5], GOOD[5:])):
        columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]} | days
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")
    return folder


def nested(rows):
    return [{"review": {"text": row["text"], "aspect": row["term"]}, "label": row["label"]} for row in rows]


def nested_parquet(folder):
    pq.write_table(pa.Table.from_pylist(nested(GOOD)), folder / "a.parquet")
    return folder / "a.parquet"


def float_offsets(folder):
    rows = [row | {"text": f"{row['text']}香味", "start": "4.0", "end": "6.0"} for row in GOOD]
    return write_rows(folder / "a.csv", [*rows, GOOD[0] | {"text": "只有香味", "start": "", "end": ""}])


def late_offsets(folder):
    rows = [GOOD[n % 10] | {"text": f"{n}号的香味"} for n in range(120)]
    twice = {"text": "香味和香味", "term": "香味", "label": "好", "start": 3, "end": 5}
    return jsonl(folder / "a.jsonl", [*rows, twice])


def awkward_terms(folder):
    rows = [
        {"text": "618买的不亏", "term": 618, "label": "好"},
        {"text": "520那天到了", "term": 520.0, "label": "好"},
        {"text": "颜色发灰", "term": "颜色 ", "label": "坏"},
        {"text": "H&amp;M的便宜", "term": "H&M", "label": "好"},
        {"text": "ＳＫ－ＩＩ太贵", "term": "SK-II", "label": "坏"},
        {"text": "😀😀盖子坏了盖子", "term": "盖子", "start": 4, "end": 6, "label": "坏"},
        {"text": "没有写下的词", "start": 2, "end": 4, "label": "中"},
    ]
    return jsonl(folder / "a.jsonl", [*GOOD, *rows])


def unusable_rows(folder):
    rows = [
        b"{broken\n",
        b'"a string"\n',
        '{"text": "香味很好", "label": "好"}\n'.encode().replace(b"\xb3", b""),
        {"text": ["香", "味"], "term": "香味", "label": "好"},
        {"text": "香味", "term": {"zh": "香味"}, "label": "好"},
        {"text": " ", "term": "香味", "label": "好"},
        {"text": "香味", "term": None, "label": "好"},
        {"text": "香味", "term": "口红", "label": "好"},
        {"text": "香味", "term": "香味", "start": "a", "end": 2, "label": "好"},
        {"text": "香味香味", "term": "香味", "start": 1, "end": 3, "label": "好"},
        {"text": "香味香味", "term": "香味", "start": 1, "label": "好"},
        {"text": "\ud83d香味", "term": "香味", "label": "好"},
    ]
    return jsonl(folder / "a.jsonl", [*GOOD, *rows])


def wide_rows(folder):
    path = write_rows(folder / "a.csv", GOOD)
    path.write_text(path.read_text("utf-8") + "\n香味,香味\n\n香味,香味,好,多\n", "utf-8")
    return path


def written_values(folder):
    """What a program leaves where it saves a list, an object or bytes as CSV."""
    texts = [
        "['香味', '很', '好']", '["香味", "很好"]', "('香味', 1)", "{'zh': '香味好'}", '{"zh": "香味好"}',
        "b'\\xe9 香味'", "[香味]很好", "[1, 2]香味", "(香味)", "{香味}",
    ]  # fmt: skip
    more = [{"text": text, "term": "香味", "label": "好"} for text in texts]
    return write_rows(folder / "a.csv", [*GOOD, *more, {"text": "香味好", "term": "['香味']", "label": "好"}])


def semicolons(folder):
    path = write_rows(folder / "a.csv", GOOD)
    path.write_text(path.read_text("utf-8").replace(",", ";"), "utf-8")
    return path


def said_separator(folder):
    path = semicolons(folder)
    path.write_text("sep=;\r\n" + path.read_text("utf-8"), "utf-8")
    return path


def json_with_returns(folder):
    path = jsonl(folder / "a.jsonl", GOOD)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    return path


def wide_returns(folder):
    path = write_rows(folder / "a.csv", GOOD)
    path.write_bytes(path.read_text("utf-8").replace("\n", "\r").encode("utf-16"))
    return path


AWKWARD = {
    "a byte order mark, blanks in the header": (bom_and_blanks, 10, set()),
    "a workbook with macros, a hidden first sheet, one called result": (macro_workbook, 10, set()),
    "a sheet by name, an unnamed column, escaped line ends": (named_sheet, 10, set()),
    "a folder": (folder_of_files, 10, set()),
    "a folder of Parquet with nanoseconds": (parquet_folder, 10, set()),
    "nested Parquet": (nested_parquet, 10, set()),
    "offsets as 3.0": (float_offsets, 11, set()),
    "offsets that come after the first rows": (late_offsets, 121, set()),
    "numbers and terms that are repaired": (awkward_terms, 17, set()),
    "values as a program writes them": (
        written_values,
        14,
        {(line, "bad_row") for line in (12, 13, 14, 15, 16, 17, 22)},
    ),
    "semicolons between cells": (semicolons, 10, set()),
    "a first line that says what is between cells": (said_separator, 10, set()),
    "JSON lines that end with a carriage return": (json_with_returns, 10, set()),
    "wide characters and carriage returns": (wide_returns, 10, set()),
    "rows of another width": (wide_rows, 10, {(13, "bad_row"), (15, "bad_row")}),
    "rows that cannot be used": (
        unusable_rows,
        10,
        {
            (11, "bad_row"),
            (12, "bad_row"),
            (13, "not_utf8"),
            (14, "bad_row"),
            (15, "bad_row"),
            (16, "empty_text"),
            (17, "empty_term"),
            (18, "term_not_found"),
            (19, "bad_offsets"),
            (20, "bad_offsets"),
            (21, "bad_offsets"),
            (22, "bad_text"),
        },
    ),
}

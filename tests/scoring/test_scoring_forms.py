"""Every form that rows come in, and every form that they go out in; what the command line says of a job."""

from __future__ import annotations

import csv
import gzip
import io
import json
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from mongo_server import running_server, test_database

import attar
from attar.errors import DataError
from attar.scoring.options import ScoreOptions
from attar.scoring.stage import score_file

ARTIFACT = Path(__file__).with_name("fixtures") / "artifact"
ROWS = [{"text": f"第{n}瓶香味很好，香味", "term": "香味", "n": n} for n in range(5)]
WANTED = [(n, start) for n in range(5) for start in (3, 8)]
IN = (
    "jsonl", "json", "csv", "tsv", "parquet", "xlsx", "jsonl.gz", "csv.gz", "csv.zst", "tsv.zst",
    "gb18030.csv", "utf-16.tsv", "folder", "pattern", "several", "-", "mongodb",
)  # fmt: skip
OUT = ("jsonl", "csv", "tsv", "parquet", "xlsx", "json", "jsonl.gz", "csv.gz", "tsv.zst", "-", "mongodb")


@pytest.fixture(scope="module")
def loaded():
    predictor = attar.load(ARTIFACT, workers=1)
    yield predictor
    predictor.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("mongo")) as running:
        yield running


def table_text(rows, ending):
    if "jsonl" in ending:
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if ending == "json":
        return json.dumps(rows, ensure_ascii=False, indent=1)
    stream = io.StringIO()
    table = csv.DictWriter(stream, rows[0], delimiter="\t" if "tsv" in ending else ",")
    table.writeheader()
    table.writerows(rows)
    return stream.getvalue()


def write(folder, ending, rows, name="in"):
    path = folder / f"{name}.{ending}"
    encoding = ending.split(".", maxsplit=1)[0] if ending.startswith(("gb18030", "utf-16")) else "utf-8"
    data = table_text(rows, ending).encode(encoding)
    match ending.rpartition(".")[2]:
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "xlsx":
            book = openpyxl.Workbook()
            for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
                book.active.append(cells)
            book.save(path)
        case "gz":
            path.write_bytes(gzip.compress(data))
        case "zst":
            path.write_bytes(zstandard.compress(data))
        case _:
            path.write_bytes(data)
    return path


def source_of(kind, folder, monkeypatch, uri, database):
    match kind:
        case "folder" | "pattern":
            for part, ending in enumerate(("csv", "jsonl.gz", "parquet", "xlsx", "tsv.zst")):
                write(folder, ending, ROWS[part : part + 1], f"part{part}")
            (folder / "~$part3.xlsx").write_bytes(b"the lock of Excel")
            (folder / "notes.txt").write_text("no rows", "utf-8")
            return folder if kind == "folder" else str(folder / "part[0-9].*")
        case "several":
            return [write(folder, "csv", ROWS[:2]), write(folder, "parquet", ROWS[2:])]
        case "-":
            data = io.BytesIO(table_text(ROWS, "jsonl").encode())
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
            return "-"
        case "mongodb":
            database.rows.insert_many([dict(row) for row in ROWS])
            return uri("rows")
        case _:
            return write(folder, kind, ROWS)


def read(path, ending):
    data = path.read_bytes() if isinstance(path, Path) else path
    data = gzip.decompress(data) if ending.endswith("gz") else data
    data = zstandard.ZstdDecompressor().decompressobj().decompress(data) if ending.endswith("zst") else data
    if ending == "parquet":
        return pq.read_table(path).to_pylist()
    if ending == "xlsx":
        head, *rows = openpyxl.load_workbook(path)["result"].values
        return [dict(zip(head, row, strict=True)) for row in rows]
    if ending == "json":
        regions = [
            (t["data"]["n"], r["value"]) for t in json.loads(data) for r in t["predictions"][0]["result"]
        ]
        return [{"n": n, "start": value["start"], "label": value["labels"][0]} for n, value in regions]
    if "jsonl" in ending or ending == "-":
        return [json.loads(line) for line in data.decode().splitlines()]
    assert data.startswith(b"\xef\xbb\xbf") == ("csv" in ending)
    lines = io.StringIO(data.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(lines, delimiter="\t" if "tsv" in ending else ","))


@pytest.mark.parametrize("out", OUT)
@pytest.mark.parametrize("kind", IN)
def test_every_form_in_and_out(loaded, tmp_path, monkeypatch, capfdbinary, request, kind, out):
    monkeypatch.chdir(tmp_path)
    is_mongodb = "mongodb" in (kind, out)
    with (
        test_database(request.getfixturevalue("server")) if is_mongodb else nullcontext((None, None)) as (
            uri,
            db,
        )
    ):
        (tmp_path / "rows").mkdir()
        source = source_of(kind, tmp_path / "rows", monkeypatch, uri, db)
        place = {"-": "-", "mongodb": uri and uri("scored")}.get(out, tmp_path / f"out.{out}")
        counts = score_file(loaded, source, place)
        found = list(db.scored.find()) if out == "mongodb" else None
    if found is not None:
        found.sort(key=lambda row: (int(row["n"]), row["start"]))
    else:
        found = read(capfdbinary.readouterr().out if out == "-" else place, out)
    assert (counts.rows, counts.predictions, counts.rejected.total(), counts.damaged) == (5, 10, 0, {})
    assert [(int(row["n"]), int(row["start"])) for row in found] == WANTED
    wanted = loaded.predict(
        [ROWS[n]["text"] for n, _ in WANTED], ["香味"] * 10, [(s, s + 2) for _, s in WANTED]
    )
    assert [row["label"] for row in found] == [one.label for one in wanted]
    left = {"out.json", "out.xml"} if out == "json" else {f"out.{out}"} - {"out.-", "out.mongodb"}
    assert {path.name for path in tmp_path.iterdir()} == {"rows", *left}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "xlsx"])
def test_a_date_of_excel_stays_a_date(loaded, tmp_path, ending):
    at = datetime(2024, 5, 6, 7, 8, 9)
    source = write(
        tmp_path, "xlsx", [{"text": "香味", "term": "香味", "at": at, "day": datetime(2024, 5, 6)}]
    )
    score_file(loaded, source, tmp_path / f"out.{ending}")
    (row,) = read(tmp_path / f"out.{ending}", ending)
    is_typed = ending in ("parquet", "xlsx")
    assert row["at"] == (at if is_typed else "2024-05-06T07:08:09")
    assert row["day"] == (datetime(2024, 5, 6) if is_typed else "2024-05-06")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_an_encoding_is_chosen_and_read_again(loaded, tmp_path, encoding):
    out = tmp_path / "out.csv"
    score_file(loaded, write(tmp_path, "jsonl", ROWS), out, ScoreOptions(encoding=encoding))
    assert out.read_bytes().decode(encoding).startswith("text,term,n,start")
    assert score_file(loaded, out, tmp_path / "again.jsonl").predictions == 10
    for place, said in (("x.jsonl", "is for CSV and TSV"), ("x.csv", "expected one of")):
        with pytest.raises(DataError, match=said):
            wrong = "latin-1" if place == "x.csv" else "gb18030"
            score_file(loaded, tmp_path / "in.jsonl", tmp_path / place, ScoreOptions(encoding=wrong))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet", "xlsx"])
def test_columns_that_are_kept(loaded, tmp_path, ending):
    rows = [row | {"label": "x", "other": 1} for row in ROWS]
    source = write(tmp_path, "jsonl", rows)
    score_file(loaded, source, tmp_path / f"out.{ending}", ScoreOptions(columns=("n", "label")))
    head = list(read(tmp_path / f"out.{ending}", ending)[0])
    assert head[:4] == ["n", "input_label", "start", "end"]
    assert not {"text", "term", "other"} & set(head)
    with pytest.raises(DataError, match=r"--columns othr: no such column.*did you mean 'other'"):
        score_file(loaded, source, tmp_path / "no.csv", ScoreOptions(columns=("othr",)))


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_packed_file_that_ends_early_is_named(loaded, tmp_path, packing):
    whole = write(tmp_path, f"jsonl.{packing}", [row | {"x": "ab" * n} for n, row in enumerate(ROWS * 400)])
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"in\.jsonl\.{packing}: damaged, or it ends too early"):
        score_file(loaded, whole, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == [whole.name]


def test_one_damaged_file_of_five(tmp_path, attar_main, one_line):
    folder = tmp_path / "rows"
    folder.mkdir()
    for number, ending in enumerate(("csv", "jsonl.gz", "xlsx", "tsv")):
        write(folder, ending, ROWS, f"part{number}")
    bad = write(folder, "parquet", ROWS, "part4")
    bad.write_bytes(bad.read_bytes()[:-20])
    out = tmp_path / "out.jsonl"
    code, printed, said = attar_main("score", ARTIFACT, "--in", folder, "--out", out)
    assert code == 2
    last = said.strip().splitlines()[-1]
    assert "1 of the files could not be read whole; the others are scored" in last
    assert "part4.parquet" in last
    assert "40 mentions of 20 rows" in printed
    assert len(read(out, "jsonl")) == 40
    code, _, said = attar_main("score", ARTIFACT, "--in", bad, "--out", tmp_path / "alone.jsonl")
    assert "part4.parquet" in one_line(code, said)
    assert not (tmp_path / "alone.jsonl").exists()


def test_strict_and_where_rejected_rows_go(tmp_path, attar_main, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path, "jsonl", [*ROWS[:3], {"text": "香味", "term": "口红", "n": 9}])
    begin = ("score", ARTIFACT, "--in", source, "--out")
    code, printed, _ = attar_main(*begin, "a.csv", "--strict", "0.25")
    assert code == 0
    assert "rejected:  term_not_found 1 -> a.csv.rejected.jsonl" in printed
    code, _, said = attar_main(*begin, "b.csv", "--strict", "0.2", "--rejected", "mine.jsonl")
    assert code == 3
    assert "1 of 4 rows were rejected (25.00%), more than --strict 0.2 allows" in said
    assert read(tmp_path / "mine.jsonl", "jsonl")[0]["row"] == {"text": "香味", "term": "口红", "n": 9}
    code, _, said = attar_main(*begin, "c.csv", "--strict", "2")
    assert (code, "expected a share from 0 to 1" in said) == (2, True)
    assert not (tmp_path / "c.csv").exists()
    code, _, said = attar_main(*begin, "d.csv", "--format", "xml")
    assert (code, "a stream is one of jsonl, csv, tsv" in said) == (2, True)


def test_an_artifact_that_the_gate_refused(tmp_path, attar_main, refused_artifact):
    source = write(tmp_path, "jsonl", ROWS)
    out = tmp_path / "out.jsonl"
    code, _, said = attar_main("score", refused_artifact, "--in", source, "--out", out)
    assert (code, "--accept-refused" in said) == (3, True)
    assert not out.exists()
    code, printed, _ = attar_main("score", refused_artifact, "--in", source, "--out", out, "--accept-refused")
    assert code == 0
    assert len(read(out, "jsonl")) == 10
    note = tmp_path / "out.jsonl.refused.json"
    assert f"refused:   by the gate, and used all the same -> {note}" in printed
    kept = json.loads(note.read_text("utf-8"))
    assert kept["gate"] == "macro-F1 is 0.40, 0.60 is asked for."
    assert (kept["output"], kept["artifact"]["version"]) == (str(out), attar.load(ARTIFACT).artifact.version)
    # Another output of that name, without the refusal, takes the note away with the old one.
    code, _, said = attar_main("score", ARTIFACT, "--in", source, "--out", out)
    assert (code, "add --overwrite" in said) == (2, True)
    assert attar_main("score", ARTIFACT, "--in", source, "--out", out, "--overwrite")[0] == 0
    assert not note.exists()


def test_a_refusal_stands_in_the_summary_of_a_workbook(tmp_path, attar_main, refused_artifact):
    source, out = write(tmp_path, "jsonl", ROWS), tmp_path / "out.xlsx"
    assert attar_main("score", refused_artifact, "--in", source, "--out", out, "--accept-refused")[0] == 0
    cells = [cell.value for row in openpyxl.load_workbook(out)["summary"] for cell in row]
    assert cells[cells.index("the gate refused the model") + 1] == "macro-F1 is 0.40, 0.60 is asked for."


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_note_of_somebody_else_stays(tmp_path, attar_main, refused_artifact, is_refused):
    source, out = write(tmp_path, "jsonl", ROWS), tmp_path / "out.jsonl"
    mine = tmp_path / "out.jsonl.refused.json"
    mine.write_text('{"mine": 1}', "utf-8")
    artifact = refused_artifact if is_refused else ARTIFACT
    code, _, said = attar_main(
        "score", artifact, "--in", source, "--out", out, "--accept-refused", "--overwrite"
    )
    assert code == (2 if is_refused else 0)
    assert ("attar score did not write it" in said) == is_refused
    assert (mine.read_text("utf-8"), out.exists()) == ('{"mine": 1}', not is_refused)


def test_rejected_rows_cannot_be_the_output(tmp_path, attar_main):
    source, out = write(tmp_path, "jsonl", ROWS), tmp_path / "out.jsonl"
    code, _, said = attar_main("score", ARTIFACT, "--in", source, "--out", out, "--rejected", out)
    assert (code, "--out and --rejected name the same file" in said) == (2, True)
    (tmp_path / "other").mkdir()
    rows = [*ROWS, {"text": "香味", "term": "口红", "n": 9}]
    source, other = write(tmp_path, "jsonl", rows), tmp_path / "other" / "out.jsonl"
    assert attar_main("score", ARTIFACT, "--in", source, "--out", out, "--rejected", other)[0] == 0
    assert (len(read(out, "jsonl")), len(read(other, "jsonl"))) == (10, 1)


@pytest.fixture
def refused_artifact(tmp_path, edit_card):
    import shutil

    folder = tmp_path / "artifact-refused"
    shutil.copytree(ARTIFACT, folder)
    conditions = [
        {"name": "min_macro_f1", "status": "refuse", "said": "macro-F1 is 0.40, 0.60 is asked for."}
    ]
    edit_card(folder, verdict={"status": "refuse", "conditions": conditions})
    return folder

"""Several sources of one run: every ``--in`` counts."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.scoring import inputs
from attar.scoring.stage import score_file


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "a.csv").write_text("text,term,id\n口红很香,口红,1\n", "utf-8")
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"text": "粉底液太干", "keyword": "粉底液", "by": "x"}), "utf-8"
    )
    pq.write_table(
        pa.Table.from_pylist([{"text": "唇膏服帖", "term": "唇膏", "id": 7}]), tmp_path / "c.parquet"
    )
    return [tmp_path / name for name in ("a.csv", "b.jsonl", "c.parquet")]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet", "xlsx", "json"])
def test_rows_of_every_source_in_order(predictor, sources, tmp_path, ending):
    out = tmp_path / "out" / f"out.{ending}"
    counts = score_file(predictor, sources, out)
    assert (counts.rows, counts.predictions) == (3, 3)
    if ending == "parquet":
        rows = pq.read_table(out).to_pylist()
        assert [(row["text"], row["id"], row["by"]) for row in rows] == [
            ("口红很香", "1", None), ("粉底液太干", None, "x"), ("唇膏服帖", "7", None),
        ]  # fmt: skip
    if ending == "json":
        data = [task["data"] for task in json.loads(out.read_text("utf-8"))]
        assert [(each["text"], each["keyword"]) for each in data][1] == ("粉底液太干", "粉底液")


def test_in_given_twice_means_both(artifact_folder, sources, tmp_path, attar_main, one_line):
    out = tmp_path / "out.jsonl"
    named = [part for source in sources for part in ("--in", source)]
    code, printed, _ = attar_main("score", artifact_folder, *named, "--out", out)
    assert code == 0
    assert "3 mentions of 3 rows" in printed
    named += ["--overwrite"]
    code, _, said = attar_main("score", artifact_folder, *named, "--in", sources[0], "--out", out)
    assert "a.csv is named twice" in one_line(code, said)
    code, _, said = attar_main("score", artifact_folder, *named, "--in", tmp_path / "d.csv", "--out", out)
    assert "d.csv: no such file" in one_line(code, said)


def test_no_source_at_all(predictor, tmp_path):
    with pytest.raises(DataError, match="name what to score"):
        score_file(predictor, [], tmp_path / "out.csv")


def test_what_is_no_file_is_called_by_what_it_is(artifact_folder, tmp_path, attar_main, one_line):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    for name, said in (
        ("pipe.csv", "pipe.csv: a device or a pipe; attar score reads one as standard input: --in -"),
        ("loop.csv", "in a circle"),
        ("gone.csv", "gone.csv: a link that leads nowhere"),
    ):
        code, _, err = attar_main(
            "score", artifact_folder, "--in", tmp_path / name, "--out", tmp_path / "out.csv"
        )
        assert said in one_line(code, err)


def test_standard_input_that_finds_no_room(artifact_folder, tmp_path, attar_main, one_line, monkeypatch):
    def opened(buffering):
        return Path("/dev/full").open("wb", buffering)

    rows = io.BytesIO(b'{"text": "x", "term": "x"}\n' * 9)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(rows))
    monkeypatch.setattr(inputs.tempfile, "TemporaryFile", opened)
    code, _, said = attar_main("score", artifact_folder, "--in", "-", "--out", tmp_path / "out.jsonl")
    assert "folder of temporary files (No space left on device); free some" in one_line(code, said)
    assert list(tmp_path.iterdir()) == []


def test_csv_on_standard_input_is_told_of_its_format(
    artifact_folder, tmp_path, attar_main, one_line, monkeypatch
):
    for encoding in ("utf-8", "gb18030"):
        rows = io.BytesIO("text,term\n香味很好,香味\n".encode(encoding))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(rows))
        code, _, said = attar_main("score", artifact_folder, "--in", "-", "--out", tmp_path / "out.jsonl")
        assert "no line of it is a JSON object; if it is CSV" in one_line(code, said)
        assert "香味很好" not in said


def test_standard_input_that_is_closed(artifact_folder, tmp_path, attar_main, one_line, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    code, _, said = attar_main("score", artifact_folder, "--in", "-", "--out", tmp_path / "out.jsonl")
    assert "standard input is closed" in one_line(code, said)

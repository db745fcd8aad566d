"""Verbs that write files: an ``--out`` that is among their inputs is refused, and these stay as they are.

The verbs that write a stage's folder are in ``tests/test_pipeline_out.py``; the torture's part ``out`` tries
them all with every wrong output.
"""

import json
import shutil

import pytest


@pytest.fixture
def place(tmp_path, artifact_folder, make_rows):
    shutil.copytree(artifact_folder, tmp_path / "artifact")
    make_rows(tmp_path / "rows.jsonl", 5)
    (tmp_path / "terms.csv").write_text("口红\n", "utf-8")
    (tmp_path / "reviews").mkdir()
    make_rows(tmp_path / "reviews" / "rows.jsonl", 5)
    (tmp_path / "link").symlink_to(tmp_path / "artifact")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SCORE = ("score", "artifact", "--in", "rows.jsonl")


@pytest.mark.parametrize(
    "arguments",
    [
        (*SCORE, "--out", "artifact/attar.json"),
        (*SCORE, "--out", "artifact/scored.csv"),
        (*SCORE, "--out", "link/deep/scored.csv"),
        (*SCORE, "--terms", "terms.csv", "--out", "terms.csv"),
        ("score", "artifact", "--in", "reviews", "--out", "reviews/scored/scored.csv"),
        ("terms", "reviews", "--out", "reviews/terms.csv"),
        ("terms", "rows.jsonl", "--known", "terms.csv", "--out", "terms.csv"),
        ("bench", "artifact", "--out", "artifact"),
        ("bench", "artifact", "--out", "link/figures"),
        ("bench", "artifact", "--out", "terms.csv"),
        ("convert", "artifact", "artifact/new"),
        ("convert", "artifact", "link"),
        ("convert", "artifact", "."),
    ],
)
def test_an_output_among_the_inputs_is_refused(place, attar_main, one_line, monkeypatch, arguments):
    before = contents(place)
    monkeypatch.chdir(place)
    code, _, err = attar_main(*arguments)
    said = one_line(code, err)
    assert any(word in said for word in ("that is read", "are read", "this command reads", "is a file")), said
    assert contents(place) == before


def test_bench_finds_before_its_minutes_that_it_cannot_write(place, attar_main, one_line, monkeypatch):
    monkeypatch.setattr("attar.bench.stage.bench", lambda *_, **__: 1 / 0)
    (place / "figures" / "bench.svg").mkdir(parents=True)
    code, _, err = attar_main("bench", place / "artifact", "--out", place / "figures")
    assert "bench.svg: this is a folder" in one_line(code, err)
    assert json.loads((place / "artifact" / "attar.json").read_text("utf-8"))

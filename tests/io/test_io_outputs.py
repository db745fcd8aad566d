"""Outputs that cannot be written are refused before the first row, and nothing is touched."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from attar.compare.stage import compare_files
from attar.errors import DataError, RunError
from attar.io.folders import check_out
from attar.io.outputs import check_output
from attar.scoring.stage import score_file

ROWS = "text,term,label\n口红很香,口红,好\n粉底液太干,粉底液,坏\n"
ENDINGS = ("jsonl", "csv", "tsv", "parquet", "xlsx", "json")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in" / "rows.csv"
    path.parent.mkdir()
    path.write_text(ROWS, "utf-8")
    return path


@pytest.fixture
def before_the_first_row(predictor, monkeypatch):
    """The predictor, which may not be asked."""

    def asked(_):
        raise AssertionError("a row was scored")

    monkeypatch.setattr(predictor, "predict_probs", asked)
    return predictor


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_places_that_no_file_can_take(before_the_first_row, source, tmp_path, ending):
    (tmp_path / "stop").write_text("", "utf-8")
    (tmp_path / f"folder.{ending}").mkdir()
    (tmp_path / f"left.{ending}.rejected.jsonl").mkdir()
    os.mkfifo(tmp_path / f"pipe.{ending}")
    there = files(tmp_path)
    for name, said in (
        (f"folder.{ending}", "this is a folder"),
        (f"left.{ending}", "rejected.jsonl: this is a folder"),
        (f"pipe.{ending}", "a device or a pipe"),
        (f"stop/out.{ending}", "is a file, where a folder is needed"),
        (f"stop/more/out.{ending}", "is a file, where a folder is needed"),
        (f"{'长' * 90}.{ending}", "cannot be written"),
        (f"{'n' * 300}/out.{ending}", "cannot be written"),
        (f"{'deep/' * 1000}out.{ending}", "cannot be written"),
        (f"nul\0.{ending}", "NUL"),
        (f"in/out.{ending}", "in the folder that is read"),
        (f"in/more/out.{ending}", "in the folder that is read"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            score_file(before_the_first_row, source.parent, tmp_path / name)
        assert "name another file to write" in str(caught.value)
    assert files(tmp_path) == there


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_no_right_to_write_is_found_before_the_first_row(
    before_the_first_row, source, tmp_path, monkeypatch, code
):
    def refused(path, *_, **__):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("attar.io.outputs.os.open", refused)
    for out in ("out.csv", "new/folder/out.jsonl"):
        with pytest.raises(DataError, match=f"cannot be written .{os.strerror(code)}"):
            score_file(before_the_first_row, source, tmp_path / out)
    with pytest.raises(DataError, match="cannot be written"):
        compare_files([source, source], tmp_path / "out.xlsx")


def test_a_disk_that_fills_up_is_an_error_and_leaves_nothing(predictor, source, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"out\.csv: cannot be written \(No space left on device\)"):
        score_file(predictor, source, tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"out\.xlsx: cannot be written \(No space left on device\)"):
        compare_files([source, source], tmp_path / "out.xlsx")
    assert files(tmp_path) == ["in", "in/rows.csv"]


def test_nothing_that_is_read_is_overwritten(before_the_first_row, source, tmp_path):
    rejected = tmp_path / "out.csv.rejected.jsonl"
    rejected.write_text(json.dumps({"text": "口红很香", "term": "口红"}) + "\n", "utf-8")
    linked = tmp_path / "linked.csv"
    linked.symlink_to(source)
    hard = tmp_path / "hard.csv"
    hard.hardlink_to(source)
    for read, written in (
        (source, source),
        (rejected, tmp_path / "out.csv"),
        (source, linked),
        (linked, source),
        (source, hard),
    ):
        with pytest.raises(DataError, match="is one of the files that are read"):
            score_file(before_the_first_row, read, written)
    assert source.read_text("utf-8") == ROWS
    assert rejected.exists()
    for gold in (None, source):
        with pytest.raises(DataError, match="in the folder that is read"):
            compare_files([source.parent, source], source.parent / "out.xlsx", gold=gold)


@pytest.mark.parametrize("stem", ["out", "n" * 200])
def test_what_a_kill_left_when_it_was_asked_is_removed(tmp_path, stem):
    (tmp_path / f".{stem}.attar-0123abcd.csv").touch()  # of a name
    (tmp_path / ".new.attar-0123abcd").touch()  # of a folder that was to be made
    check_output(tmp_path / f"{stem}.csv")
    check_output(tmp_path / "new" / "out.csv")
    assert files(tmp_path) == []


def test_a_place_is_left_as_it_was(tmp_path):
    check_output(tmp_path / "a" / "b" / "out.csv")
    (tmp_path / "out.csv").write_text("old", "utf-8")
    check_output(tmp_path / "out.csv")
    assert files(tmp_path) == ["out.csv"]
    assert (tmp_path / "out.csv").read_text("utf-8") == "old"


@pytest.mark.parametrize("wrong", [None, 3, b"out.csv", ["a", None]])
def test_what_is_no_path_is_said(predictor, source, tmp_path, wrong):
    with pytest.raises(DataError, match="is no path"):
        score_file(predictor, source, wrong)
    with pytest.raises(DataError, match="is no path"):
        score_file(predictor, wrong, tmp_path / "out.csv")


@pytest.mark.parametrize("name", ["mongodb:/bob:S3cret@host/db/c.jsonl", "http:/host/out.jsonl?token=S3cret"])
def test_a_misspelt_address_is_no_name_for_a_result(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="something secret in it") as caught:
        check_output(Path(name))
    with pytest.raises(RunError, match="something secret in it") as also:
        check_out(Path(name), [])
    assert "S3cret" not in f"{caught.value} {also.value}"
    assert list(tmp_path.iterdir()) == []
    check_output(Path("a@b.jsonl"))
    check_out(Path("runs") / "me@home", [])

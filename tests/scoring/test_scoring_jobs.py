"""Jobs that are killed go on, write the same bytes, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openpyxl
import pytest

import attar
from attar.errors import DataError, RunError
from attar.scoring import cached_probs, chunks
from attar.scoring.options import ScoreOptions
from attar.scoring.stage import score_file
from attar.terms.term_list import Term, TermList

ARTIFACT = Path(__file__).with_name("fixtures") / "artifact"
ENDINGS = ("jsonl", "csv", "tsv", "parquet", "xlsx", "json", "jsonl.gz", "csv.zst")


@pytest.fixture(scope="module")
def loaded():
    predictor = attar.load(ARTIFACT, workers=1)
    yield predictor
    predictor.close()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small chunks and parts, so that few rows make many."""
    monkeypatch.setattr(chunks, "CHUNK_EXAMPLES", 8)
    monkeypatch.setattr(cached_probs, "_MAX_PART", 12)
    monkeypatch.setattr(cached_probs, "_FIRST_BATCH", 5)


def rows(num=60):
    made = [{"text": f"第{n}瓶香味很好，香味", "term": "香味", "n": n} for n in range(num)]
    made[7] |= {"term": "口红"}
    made[30] |= {"text": None}
    return [*made, made[3], made[3]]  # equal rows are two rows


def write_rows(path, some=None):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some or rows()), "utf-8")
    return path


def content(path):
    """The bytes, or of a workbook its cells."""
    if path.suffix != ".xlsx":
        return path.read_bytes()
    book = openpyxl.load_workbook(path)
    return {page.title: [[cell.value for cell in row] for row in page] for page in book}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    """Stands for a kill: no handler of attar's sees an error of this kind coming."""


def killed_after(predictor, monkeypatch, num_calls):
    """The predictor, killed when it is asked for the n-th time."""
    ask, calls = predictor.predict_probs, []

    def asked(examples):
        calls.append(len(examples))
        if len(calls) > num_calls:
            raise Killed
        return ask(examples)

    monkeypatch.setattr(predictor, "predict_probs", asked)
    return calls


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_killed_job_resumes_and_writes_the_same(loaded, tmp_path, monkeypatch, ending):
    source = write_rows(tmp_path / "in.jsonl")
    whole, out = tmp_path / f"whole.{ending}", tmp_path / "made" / f"out.{ending}"
    score_file(loaded, source, whole)
    for num_calls in (5, 0, 7):
        with monkeypatch.context() as patch:
            killed_after(loaded, patch, num_calls)
            with pytest.raises(Killed):
                score_file(loaded, source, out)
        assert not out.exists()
        assert names(out.parent) == [f"{out.name}.parts"]
        assert not [name for name in names(out.parent / f"{out.name}.parts") if name.startswith(".")]
    with monkeypatch.context() as patch:
        calls = killed_after(loaded, patch, 1000)
        counts = score_file(loaded, source, out)
    assert counts.reused >= 48  # of the two runs that came further, whole parts
    assert sum(calls) == counts.predictions - counts.reused
    assert counts.predictions == 120
    assert content(out) == content(whole)
    rejected = out.with_name(f"{out.name}.rejected.jsonl")
    assert rejected.read_bytes() == whole.with_name(f"{whole.name}.rejected.jsonl").read_bytes()
    more = ["out.xml"] if ending == "json" else []
    assert names(out.parent) == sorted([out.name, rejected.name, *more])


_SCRIPT = """
import sys
import attar
from attar.scoring import cached_probs, chunks
from attar.scoring.options import ScoreOptions
from attar.scoring.stage import score_file
chunks.CHUNK_EXAMPLES, cached_probs._MAX_PART = 64, 64
cached_probs._FIRST_BATCH, cached_probs._MAX_BATCH = 32, 32
artifact, source, out, workers = sys.argv[1:]
score_file(attar.load(artifact, workers=int(workers)), source, out)
"""


def test_kill_nine_at_any_moment_on_one_and_two_workers(loaded, tmp_path):
    source = write_rows(tmp_path / "in.jsonl", rows(1200))
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    score_file(loaded, source, whole)
    parts = out.with_name("out.csv.parts")
    for kill, workers in enumerate((1, 2, 1, 2)):
        command = [sys.executable, "-c", _SCRIPT, ARTIFACT, source, out, str(workers)]
        before = len(list(parts.glob("*.probs"))) if parts.exists() else 0
        with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE) as process:
            while process.poll() is None and kill < 3:
                if parts.exists() and len(list(parts.glob("*.probs"))) > before:
                    os.kill(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.002)
            said = process.communicate()[1].decode()
        if kill < 3:
            assert process.returncode == -signal.SIGKILL, said
            assert not out.exists()
    assert process.returncode == 0, said
    assert out.read_bytes() == whole.read_bytes()
    assert not [name for name in names(tmp_path) if name.startswith(".") or name.endswith(".parts")]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_kill_while_the_output_takes_its_place(loaded, tmp_path, monkeypatch, step):
    source, out = write_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    score_file(loaded, source, tmp_path / "whole.jsonl")
    replace, done = Path.replace, []

    def killed(path, place):
        if path.suffix == ".unfinished":
            if len(done) == step:
                raise Killed
            done.append(path)
        return replace(path, place)

    def removal(_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        if step == 2:
            patch.setattr("attar.scoring.job_folder.JobFolder.remove", removal)
        with pytest.raises(Killed):
            score_file(loaded, source, out)
    assert out.exists() == (step == 2)
    counts = score_file(loaded, source, out)
    assert (counts.predictions, counts.rejected.total()) == (120, 2)
    assert counts.rejected_path == tmp_path / "out.jsonl.rejected.jsonl"
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert counts.rejected_path.exists()
    assert not (tmp_path / "out.jsonl.parts").exists()


@pytest.fixture
def unfinished(loaded, tmp_path, monkeypatch):
    """A source, an output whose job was killed, and that job's options."""
    source, out = write_rows(tmp_path / "in.jsonl"), tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        killed_after(loaded, patch, 6)
        with pytest.raises(Killed):
            score_file(loaded, source, out)
    return source, out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ScoreOptions(first=True), "--first changed"),
        (ScoreOptions(columns=("n",)), "--columns changed"),
        (ScoreOptions(encoding="gb18030"), "--encoding changed"),
        (ScoreOptions(terms=TermList.of([Term("香味", ("香味",))])), "the list of terms changed"),
    ],
)
def test_other_options_are_refused(loaded, unfinished, options, said):
    source, out = unfinished
    with pytest.raises(RunError, match=said) as caught:
        score_file(loaded, source, out, options)
    assert "--overwrite" in str(caught.value)
    assert "out.csv.parts" in str(caught.value)
    assert not out.exists()
    assert score_file(loaded, source, out).reused > 0  # nothing was lost by that


def test_a_changed_input_is_refused_and_begins_anew_on_request(loaded, unfinished):
    source, out = unfinished
    write_rows(source, [row | {"n": "x"} for row in rows()])
    with pytest.raises(RunError, match=r"the input .*in\.jsonl changed"):
        score_file(loaded, source, out)
    assert score_file(loaded, source, out, ScoreOptions(overwrite=True)).reused == 0
    assert names(out.parent) == ["in.jsonl", "out.csv", "out.csv.rejected.jsonl"]


def test_another_artifact_is_refused(unfinished, predictor):
    source, out = unfinished
    with pytest.raises(RunError, match="the artifact changed"):
        score_file(predictor, source, out)


def test_a_damaged_part_is_computed_again(loaded, unfinished):
    source, out = unfinished
    parts = sorted(out.with_name("out.csv.parts").glob("*.probs"))
    assert len(parts) > 1
    data = bytearray(parts[1].read_bytes())
    data[-1] ^= 1
    parts[1].write_bytes(data)
    counts = score_file(loaded, source, out)
    assert 0 < counts.reused < 24
    score_file(loaded, source, out.with_name("whole.csv"))
    assert out.read_bytes() == out.with_name("whole.csv").read_bytes()


def test_the_folder_of_somebody_else_is_left_alone(loaded, tmp_path):
    source = write_rows(tmp_path / "in.jsonl")
    parts = tmp_path / "out.csv.parts"
    parts.mkdir()
    (parts / "letter.txt").write_text("mine", "utf-8")
    with pytest.raises(DataError, match=r"holds letter\.txt, which attar score did not write"):
        score_file(loaded, source, tmp_path / "out.csv", ScoreOptions(overwrite=True))
    assert names(parts) == ["letter.txt"]


def test_one_process_at_a_time(loaded, tmp_path, monkeypatch):
    source, out = write_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    ask, said = loaded.predict_probs, []

    def asked(examples):
        if not said:
            said.append("")
            with pytest.raises(RunError) as caught:
                score_file(loaded, source, out)
            said[0] = str(caught.value)
        return ask(examples)

    monkeypatch.setattr(loaded, "predict_probs", asked)
    score_file(loaded, source, out)
    assert "another attar score is at work there" in said[0]


def test_nothing_is_overwritten_unasked(loaded, tmp_path):
    source, out = write_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    out.write_text("mine", "utf-8")
    with pytest.raises(DataError, match=r"out\.jsonl is there already; add --overwrite"):
        score_file(loaded, source, out)
    assert out.read_text("utf-8") == "mine"
    score_file(loaded, source, out, ScoreOptions(overwrite=True))
    rejected = tmp_path / "out.jsonl.rejected.jsonl"
    assert rejected.exists()
    good = write_rows(tmp_path / "good.jsonl", rows()[:3])
    score_file(loaded, good, out, ScoreOptions(overwrite=True))
    assert not rejected.exists()  # that of the run before, which was replaced


@pytest.mark.parametrize("overwrite", [False, True])
def test_rejected_rows_of_somebody_else_are_never_touched(loaded, tmp_path, overwrite):
    source = write_rows(tmp_path / "in.jsonl")
    mine = tmp_path / "out.jsonl.rejected.jsonl"
    mine.write_text('{"mine": 1}\n', "utf-8")
    with pytest.raises(DataError, match="attar score did not write it"):
        score_file(loaded, source, tmp_path / "out.jsonl", ScoreOptions(overwrite=overwrite))
    assert mine.read_text("utf-8") == '{"mine": 1}\n'
    other = ScoreOptions(overwrite=overwrite, rejected=tmp_path / "other.jsonl")
    assert score_file(loaded, source, tmp_path / "out.jsonl", other).rejected_path == tmp_path / "other.jsonl"


def test_a_source_that_changes_while_it_is_read(loaded, tmp_path, monkeypatch):
    source, ask = write_rows(tmp_path / "in.jsonl"), loaded.predict_probs

    def asked(examples):
        with source.open("a", encoding="utf-8") as stream:
            stream.write("\n")
        return ask(examples)

    monkeypatch.setattr(loaded, "predict_probs", asked)
    with pytest.raises(DataError, match="changed while it was read"):
        score_file(loaded, source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_ctrl_c_keeps_what_was_computed(loaded, tmp_path, monkeypatch):
    source, out = write_rows(tmp_path / "in.jsonl"), tmp_path / "out.jsonl"
    monkeypatch.setattr(cached_probs, "_MAX_PART", 10_000)
    ask, calls = loaded.predict_probs, []

    def asked(examples):
        calls.append(len(examples))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return ask(examples)

    with monkeypatch.context() as patch:
        patch.setattr(loaded, "predict_probs", asked)
        with pytest.raises(KeyboardInterrupt):
            score_file(loaded, source, out)
    assert score_file(loaded, source, out).reused == sum(calls[:4])


def test_what_follows_an_error_is_not_kept_in_its_place(tmp_path):
    from attar.task import Example

    def ask(examples):
        if any(example.start == 1 for example in examples):
            raise OSError("no memory")
        return np.full((len(examples), 2), 0.5, np.float32)

    probs = cached_probs.CachedProbs(ask, 2, tmp_path)
    chunks = [[Example("香味香味", start, start + 2)] for start in range(3)]
    probs.probs(chunks[0], lambda _: None)
    with pytest.raises(OSError, match="no memory"):
        probs.probs(chunks[1], lambda _: None)
    assert len(probs.probs(chunks[2], lambda _: None)) == 0
    probs.keep()
    assert cached_probs.CachedProbs(ask, 2, tmp_path).num_reused == 1


def test_other_rows_than_those_of_a_part_are_found(tmp_path):
    from attar.task import Example

    def ask(examples):
        return np.full((len(examples), 2), 0.5, np.float32)

    first = cached_probs.CachedProbs(ask, 2, tmp_path)
    asked = [Example("香味", 0, 2), Example("口红", 0, 2)]
    first.probs(asked, lambda _: None)
    first.keep()
    again = cached_probs.CachedProbs(ask, 2, tmp_path)
    assert again.num_reused == 2
    with pytest.raises(DataError, match="not those that this job began with"):
        again.probs(asked[::-1], lambda _: None)

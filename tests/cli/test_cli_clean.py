"""``attar clean``: what killed commands left is shown and removed, and nothing else."""

import contextlib
import json
import shutil

import pytest

from attar.errors import RecipeError
from attar.io import leftovers, publish
from attar.io.files import atomic_write
from attar.io.job_parts import job_lock
from attar.io.locks import locked
from attar.stage_cache import run_stage


def half(draft):
    (draft / "state").mkdir()
    (draft / "state" / "step").write_bytes(b"x" * 200_000)
    raise RecipeError("stopped")


def whole(draft):
    (draft / "weights").write_text("whole")


@pytest.fixture
def runs(tmp_path):
    """A finished stage, an unfinished one, a temporary file, a fetch, and much that looks like these."""
    run_stage(tmp_path / "runs" / "a" / "teacher", "train", {}, whole)
    with pytest.raises(RecipeError):
        run_stage(tmp_path / "runs" / "a" / "student", "distill", {}, half)
    with pytest.raises(OSError), atomic_write(tmp_path / "runs" / "scored.csv") as draft:
        shutil.copy(draft, draft.with_name("copy"))
        draft.with_name("copy").rename(kept := tmp_path / draft.name)
        raise OSError
    kept.rename(tmp_path / "runs" / kept.name)
    (tmp_path / "runs" / ".attar" / "data.fetched" / "1").mkdir(parents=True)
    (tmp_path / "runs" / ".teacher.draft.draft").mkdir()
    (tmp_path / "runs" / ".teacher.draft.draft" / "config.json").touch()
    for name in ("thesis.draft", "thesis.replaced", "data.fetched", ".thesis.draft"):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "thesis.tex").write_text("years of work")
    for name, within in (("early", ".stamp.attar-0123abcd.json"), ("mine", "thesis.tex")):
        (tmp_path / "runs" / f"{name}.draft" / ".attar").mkdir(parents=True)
        (tmp_path / "runs" / f"{name}.draft" / ".attar" / within).touch()
    (tmp_path / "runs" / "plans.draft").mkdir()
    (tmp_path / "runs" / ".thesis.tex.swp").touch()
    (tmp_path / "runs" / "link.draft").symlink_to(tmp_path / "runs" / "a" / "student.draft")
    return tmp_path / "runs"


LEFT = ("student.draft", ".scored.attar-", "data.fetched", ".teacher.draft.draft", "early.draft")


def everything(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def test_what_is_left_is_shown_and_stays(runs, attar_main):
    before = everything(runs)
    code, out, _ = attar_main("clean", runs)
    assert code == 0
    *lines, last = out.splitlines()
    assert len(lines) == len(LEFT)
    for name in LEFT:
        assert sum(name in line for line in lines) == 1, name
    assert "0.2 MB" in next(line for line in lines if "student.draft  an unfinished 'distill'" in line)
    assert last == "in all:    0.2 MB; the same with --yes removes it"
    assert everything(runs) == before


def test_what_is_left_is_removed_and_nothing_else(runs, attar_main):
    own = [path for path in everything(runs) if not any(name in str(path) for name in LEFT)]
    own = sorted([*own, runs / "data.fetched" / "thesis.tex"])
    code, out, _ = attar_main("clean", "--yes", runs)
    assert code == 0
    assert out.count(": removed") == len(LEFT)
    assert everything(runs) == own
    assert (runs / "plans.draft").is_dir()  # nothing says whose it is
    assert not (runs / "early.draft").exists()
    code, out, _ = attar_main("clean", "--yes", runs)
    assert (code, out) == (0, "nothing is left of killed commands\n")
    assert not run_stage(runs / "a" / "teacher", "train", {}, whole)


def test_what_a_command_is_working_on_is_left_alone(runs, attar_main):
    with locked(runs / "a" / "student"), atomic_write(runs / "more.csv") as draft:
        _, out, _ = attar_main("clean", "--yes", runs)
        assert draft.exists()
    assert "an unfinished 'distill': in use" in out
    assert out.count(": in use") == 2
    assert (runs / "a" / "student.draft" / "state" / "step").exists()


@pytest.fixture
def jobs(tmp_path):
    """Folders of jobs: killed, killed at its start, with a file of somebody else's, and two of no job."""
    for name in ("out.csv", "early", "mine.csv", "old.csv"):
        with job_lock(tmp_path / f"{name}.parts"):
            pass
    for name, version, draft in (("out.csv", 2, "rows"), ("mine.csv", 2, "rows"), ("old.csv", 1, "old.csv")):
        parts = tmp_path / f"{name}.parts"
        (parts / "manifest.json").write_text(
            json.dumps({"format": f"attar-score-parts-{version}", "job": {}})
        )
        (parts / "000000000000.probs").write_bytes(b"x" * 300_000)
        (parts / f"{draft}.unfinished").touch()
    (tmp_path / "mine.csv.parts" / "thesis.unfinished").write_text("years of work")
    (tmp_path / "mine.csv.parts" / "thesis.tmp").write_text("years of work")
    for name in ("lego.parts", "spark.parts"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text('{"format": "another"}')
    (tmp_path / "lego.parts" / "job.lock").touch()
    (tmp_path / "lego.parts" / "brick").touch()
    return tmp_path


def test_what_killed_jobs_computed_is_removed_file_by_file(jobs, attar_main):
    _, out, _ = attar_main("clean", jobs)
    assert [line.split()[4].rsplit("/", 1)[-1] for line in out.splitlines()[:-1]] == [
        "early.parts", "mine.csv.parts", "old.csv.parts", "out.csv.parts",
    ]  # fmt: skip
    assert "0.3 MB" in next(
        line for line in out.splitlines() if "an unfinished job computed for out.csv" in line
    )
    _, out, _ = attar_main("clean", "--yes", jobs)
    assert out.count(": removed") == 4
    assert [str(path.relative_to(jobs)) for path in everything(jobs)] == [
        "lego.parts/brick", "lego.parts/job.lock", "lego.parts/manifest.json",
        "mine.csv.parts/thesis.tmp", "mine.csv.parts/thesis.unfinished", "spark.parts/manifest.json",
    ]  # fmt: skip
    assert attar_main("clean", jobs)[1] == "nothing is left of killed commands\n"


def test_a_job_at_work_is_never_listed(jobs, attar_main):
    with job_lock(jobs / "out.csv.parts"):
        _, out, _ = attar_main("clean", "--yes", jobs)
        assert "out.csv.parts" not in out
        assert (jobs / "out.csv.parts" / "000000000000.probs").exists()


def test_a_job_that_began_since_it_was_listed_is_left_alone(jobs, monkeypatch, attar_main):
    real = leftovers.leftovers

    def then_begun(folder):
        found = list(real(folder))
        stack.enter_context(job_lock(jobs / "out.csv.parts"))
        return found

    monkeypatch.setattr(leftovers, "leftovers", then_begun)
    with contextlib.ExitStack() as stack:
        _, out, _ = attar_main("clean", "--yes", jobs)
    assert "for out.csv: in use" in out
    assert (jobs / "out.csv.parts" / "000000000000.probs").exists()


def test_an_interrupted_replacement_is_finished_and_not_lost(runs, attar_main, monkeypatch):
    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(publish, "exchange", lambda *_: False)
        patch.setattr(publish, "carry_over", killed)
        run_stage(runs / "a" / "teacher", "train", {"lr": 2}, whole)
    (runs / "a" / "teacher.replaced" / "notes.txt").write_text("mine")
    _, out, _ = attar_main("clean", "--yes", runs / "a")
    assert "the earlier result of 'train': mended" in out
    assert (runs / "a" / "teacher" / "notes.txt").read_text() == "mine"
    assert not (runs / "a" / "teacher.replaced").exists()


def test_a_folder_that_is_not_there(tmp_path, attar_main, one_line):
    code, _, err = attar_main("clean", tmp_path / "nowhere")
    assert "nowhere: no such folder" in one_line(code, err)

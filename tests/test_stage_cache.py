"""Run folders: what is kept, what is redone, who may work where."""

import contextlib
import errno
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attar import stage_cache
from attar.errors import RecipeError, RunError
from attar.io import publish as publishing
from attar.io.locks import locked
from attar.io.stamps import drop_state
from attar.stage_cache import fingerprint, is_finished, is_first_process, run_stage


class Work:
    """Writes what it was told into the draft that it is given, and counts how often."""

    def __init__(self, folder, content="done"):
        self.folder, self.content, self.times = folder, content, 0

    def __call__(self, draft):
        self.times += 1
        (draft / "sub").mkdir(parents=True, exist_ok=True)
        (draft / "result.txt").write_text(self.content)
        (draft / "sub" / "more.txt").write_text("more")


def listed(folder):
    """Every file below a folder, the stamp aside."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())[1:]


def draft_of(work):
    return work.folder.with_name("stage.draft")


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "stage")


def test_an_unchanged_stage_is_kept(work):
    assert run_stage(work.folder, "train", {"lr": 1}, work)
    before = (work.folder / "result.txt").stat().st_mtime_ns
    for _ in range(2):
        assert not run_stage(work.folder, "train", {"lr": 1}, work)
    assert work.times == 1
    assert (work.folder / "result.txt").stat().st_mtime_ns == before


def test_the_folder_holds_the_result_and_its_stamp_and_nothing_is_left_beside_it(work, tmp_path):
    run_stage(work.folder, "train", {"lr": 1}, work)
    assert sorted(p.name for p in work.folder.iterdir()) == [".attar", "result.txt", "sub"]
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]
    stamp = json.loads((work.folder / ".attar" / "stamp.json").read_text())
    assert (stamp["stage"], stamp["inputs"]) == ("train", {"lr": 1})
    assert set(stamp["outputs"]) == {"result.txt", "sub/more.txt"}
    assert stamp["sizes"] == {"result.txt": 4, "sub/more.txt": 4}
    assert {"attar", "python"} <= set(stamp["versions"])


@pytest.mark.parametrize("inputs", [{"lr": 2}, {"lr": 1, "x": 0}])
def test_other_inputs_begin_with_an_empty_draft(work, inputs):
    run_stage(work.folder, "train", {"lr": 1}, lambda draft: (work(draft), (draft / "more").touch()))

    def look(draft):
        assert not (draft / "more").exists()
        assert (work.folder / "more").exists()  # the earlier result stands
        work(draft)

    assert run_stage(work.folder, "train", inputs, look)
    assert sorted(p.name for p in work.folder.iterdir()) == [".attar", "result.txt", "sub"]
    assert work.times == 2


@pytest.mark.parametrize("name", ["distill", "prepare"])
def test_what_another_stage_wrote_is_refused(work, name):
    run_stage(work.folder, "train", {"lr": 1}, work)
    with pytest.raises(RunError, match=f"written by the stage 'train', not by '{name}'.*--out"):
        run_stage(work.folder, name, {"lr": 1}, work)
    assert not run_stage(work.folder, "train", {"lr": 1}, work)


def test_the_order_of_keys_is_no_change(work):
    run_stage(work.folder, "train", {"a": 1, "b": {"c": 2, "d": 3}}, work)
    assert not run_stage(work.folder, "train", {"b": {"d": 3, "c": 2}, "a": 1}, work)


@pytest.mark.parametrize("change", ["edited", "removed", "nested"])
def test_changed_outputs_are_made_again(work, change):
    run_stage(work.folder, "train", {}, work)
    match change:
        case "edited":
            (work.folder / "result.txt").write_text("edited")
        case "removed":
            (work.folder / "result.txt").unlink()
        case "nested":
            (work.folder / "sub" / "more.txt").write_text("edited")
    assert run_stage(work.folder, "train", {}, work)
    assert (work.folder / "result.txt").read_text() == "done"
    assert not run_stage(work.folder, "train", {}, work)


def test_what_only_accompanies_the_result_may_change(work):
    run_stage(work.folder, "train", {}, work)
    for name in ("tensorboard", "teacher-answers", "state"):
        (work.folder / name).mkdir()
        (work.folder / name / "file").write_text("x")
    assert not run_stage(work.folder, "train", {}, work)
    assert fingerprint(work.folder) == fingerprint(work.folder)


@pytest.mark.parametrize("lost", [None, ".attar", "unfinished.json"])
def test_an_interrupted_stage_resumes_with_what_is_there(work, caplog, lost):
    def half(draft):
        (draft / "state.txt").write_text("half")
        (draft / ".weights.attar-0123abcd.json").touch()  # was being written
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(work.folder, "train", {"lr": 1}, half)
    assert not work.folder.exists()
    with pytest.raises(RunError, match="'train' did not finish"):
        fingerprint(work.folder)
    if lost:
        place = draft_of(work) / lost
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    seen = []

    def rest(draft):
        seen.append((draft / "state.txt").read_text())
        work(draft)

    with caplog.at_level(logging.INFO, "attar"):
        assert run_stage(work.folder, "train", {"lr": 1}, rest)
    assert seen == ["half"]
    assert "resuming" in caplog.text
    assert not draft_of(work).exists()
    assert listed(work.folder) == ["result.txt", "state.txt", "sub/more.txt"]
    assert not run_stage(work.folder, "train", {"lr": 1}, work)


def test_an_interrupted_stage_with_other_inputs_starts_over(work):
    def half(draft):
        (draft / "state.txt").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        run_stage(work.folder, "train", {"lr": 1}, half)
    run_stage(work.folder, "train", {"lr": 2}, work)
    assert not (work.folder / "state.txt").exists()


def test_another_stages_draft_is_not_thrown_away(work):
    def half(draft):
        (draft / "state").mkdir()
        (draft / "state" / "step").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        run_stage(work.folder, "train", {}, half)
    with pytest.raises(RunError, match=r"stage.draft is an unfinished 'train'"):
        run_stage(work.folder, "prepare", {}, work)
    assert (draft_of(work) / "state" / "step").exists()
    shutil.rmtree(draft_of(work) / "state")  # what is left of it is computed again in no time
    assert run_stage(work.folder, "prepare", {}, work)


def test_a_stage_that_fails_leaves_the_earlier_result_and_no_empty_draft(work, tmp_path):
    run_stage(work.folder, "export", {"flips": 1}, work)

    def fail(_draft):
        raise RecipeError("the gate refuses")

    with pytest.raises(RecipeError, match="refuses"):
        run_stage(work.folder, "export", {"flips": 0}, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["stage"]
    assert not run_stage(work.folder, "export", {"flips": 1}, fail)
    other = Work(work.folder, "other")
    assert run_stage(work.folder, "export", {"flips": 2}, other)
    assert (work.folder / "result.txt").read_text() == "other"


def test_a_folder_of_somebody_elses_is_not_touched(work):
    work.folder.mkdir()
    (work.folder / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"not empty \(thesis.tex\) and was not written by attar.*--out"):
        run_stage(work.folder, "train", {}, work)
    assert work.times == 0
    assert (work.folder / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_taken(work):
    work.folder.mkdir()
    assert run_stage(work.folder, "train", {}, work)


@pytest.mark.parametrize("below", [(), ("deeper",)])
def test_a_file_in_the_folders_place(tmp_path, below):
    (tmp_path / "stage").write_text("a file")
    folder = tmp_path.joinpath("stage", *below)
    with pytest.raises(RunError, match="a file stands where the folder should go"):
        run_stage(folder, "train", {}, print)


def test_stages_side_by_side_do_not_mix(tmp_path):
    one, other = Work(tmp_path / "one"), Work(tmp_path / "other", "else")
    run_stage(one.folder, "train", {}, one)
    run_stage(other.folder, "train", {}, other)
    assert not run_stage(one.folder, "train", {}, one)
    assert fingerprint(one.folder) != fingerprint(other.folder)


def test_a_finished_stage_may_be_moved_with_its_stamp(tmp_path):
    work = Work(tmp_path / "run" / "stage")
    run_stage(work.folder, "train", {}, work)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = Work(tmp_path / "moved" / "stage")
    assert not run_stage(moved.folder, "train", {}, moved)


def test_fingerprint(tmp_path, work):
    run_stage(work.folder, "train", {}, work)
    before = fingerprint(work.folder)
    copy = tmp_path / "copied"  # without its stamp
    Work(copy)(copy)
    assert fingerprint(copy) == before
    for place in (copy, copy / "sub"):
        (place / ".attar").mkdir()
        (place / ".attar" / "stamp").write_text("of another version")
    assert fingerprint(copy) == before
    (copy / "result.txt").write_text("other")
    assert fingerprint(copy) != before
    (tmp_path / "file").write_text("x")
    assert fingerprint(tmp_path / "file") != fingerprint(copy)
    with pytest.raises(RecipeError, match="nowhere does not exist"):
        fingerprint(tmp_path / "nowhere")


def test_a_fingerprint_follows_what_stands_there_now(work):
    run_stage(work.folder, "prepare", {}, work)
    before = fingerprint(work.folder)
    (work.folder / "notes.txt").write_text("not the stage's")
    assert fingerprint(work.folder) == before
    (work.folder / "result.txt").write_text("edited by hand")
    assert fingerprint(work.folder) != before
    (work.folder / "result.txt").unlink()
    assert fingerprint(work.folder) != before


def test_a_second_process_is_locked_out(work):
    begun = []

    def slow(draft):
        begun.append(True)
        with pytest.raises(RunError, match="another attar process is at work there"):
            run_stage(work.folder, "train", {}, print)
        code = (
            "import sys, pathlib\nfrom attar.errors import RunError\n"
            "from attar.stage_cache import run_stage\n"
            "try: run_stage(pathlib.Path(sys.argv[1]), 'train', {}, lambda draft: None)\n"
            "except RunError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, work.folder], capture_output=True, text=True, check=True
        )
        assert "another attar process" in done.stdout
        work(draft)

    assert run_stage(work.folder, "train", {}, slow)
    assert begun == [True]


def _hold(folder, ready):
    with locked(folder):
        ready.set()
        time.sleep(3600)


def test_a_killed_process_leaves_no_lock(work):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(work.folder, ready))
    process.start()
    assert ready.wait(600)
    with pytest.raises(RunError, match="at work"):
        run_stage(work.folder, "train", {}, work)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert run_stage(work.folder, "train", {}, work)


def stop(draft):
    """Leaves an unfinished draft."""
    (draft / "half").touch()
    raise RecipeError("stopped")


def test_further_processes_of_a_launch_work_along_and_wait(work, monkeypatch):
    assert is_first_process()
    shared, done = [], []
    with pytest.raises(RecipeError):
        run_stage(work.folder, "train", {}, stop)

    def follow():
        done.append(run_stage(work.folder, "train", {}, shared.append, shared=True))

    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
    follower = threading.Thread(target=follow)
    follower.start()
    while not shared:
        time.sleep(0.01)
    assert shared == [draft_of(work)]
    assert done == []  # waits for the first one's stamp
    monkeypatch.setenv("RANK", "0")
    assert run_stage(work.folder, "train", {}, work, shared=True)
    follower.join(600)
    assert done == [True]
    monkeypatch.setenv("RANK", "1")
    follow()
    assert done == [True, False]
    assert len(shared) == 1
    # What is not shared work they leave to the first process.
    assert not run_stage(work.folder, "train", {}, work)
    assert work.times == 1


def rebuild(work, lr, **how):
    return run_stage(work.folder, "train", {"lr": lr}, Work(work.folder, f"rate {lr}"), **how)


def test_what_attar_did_not_write_moves_along_and_is_named(work, caplog):
    rebuild(work, 1)
    (work.folder / "notes.txt").write_text("mine")
    (work.folder / "sub" / "more.txt").write_text("more, with remarks")
    (work.folder / "tensorboard").mkdir()
    (work.folder / "tensorboard" / "mine").write_text("mine")
    with caplog.at_level(logging.INFO, "attar"):
        assert rebuild(work, 2)
    assert (
        "not written by attar, so moved along: notes.txt, sub/more.kept.txt, tensorboard/mine" in caplog.text
    )
    assert (work.folder / "result.txt").read_text() == "rate 2"
    assert (work.folder / "sub" / "more.txt").read_text() == "more"
    assert (work.folder / "sub" / "more.kept.txt").read_text() == "more, with remarks"
    assert (work.folder / "notes.txt").read_text() == "mine"
    assert not rebuild(work, 2)
    assert rebuild(work, 3)
    assert (work.folder / "notes.txt").read_text() == "mine"
    assert [p.name for p in work.folder.parent.iterdir()] == ["stage"]


def test_what_accompanied_the_earlier_result_goes_with_it(work):
    def with_more(draft):
        work(draft)
        (draft / "tensorboard").mkdir()
        (draft / "tensorboard" / "events").write_text("x")

    run_stage(work.folder, "train", {"lr": 1}, with_more)
    rebuild(work, 2)
    assert not (work.folder / "tensorboard").exists()


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    real = Work(tmp_path / "disk" / "stage")
    (tmp_path / "link").symlink_to(real.folder)
    for lr in (1, 2):
        assert rebuild(Work(tmp_path / "link"), lr)
    assert (tmp_path / "link").is_symlink()
    assert (real.folder / "result.txt").read_text() == "rate 2"
    assert [p.name for p in real.folder.parent.iterdir()] == ["stage"]


def test_an_output_that_touches_an_input_is_refused_before_anything_is_done(work, tmp_path):
    rebuild(work, 1)
    for out in (work.folder, tmp_path, work.folder / "new"):
        with pytest.raises(RunError, match="which this command reads"):
            run_stage(out, "train", {"lr": 2}, work, paths_read=[work.folder])
    assert work.times == 0
    assert not rebuild(work, 1)


@pytest.mark.parametrize("step", ["write_stamp", "drop_state", "publish"])
def test_a_kill_once_the_work_is_done_costs_no_training(work, monkeypatch, step):
    """What a training resumes from stays until its draft is stamped as whole, and then it goes."""
    resumed = []

    def train(draft):
        resumed.append((draft / "state" / "step").exists())
        (draft / "state").mkdir(exist_ok=True)
        (draft / "state" / "step").write_text("last")
        work(draft)
        drop_state(draft)

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(stage_cache, step, killed)
        run_stage(work.folder, "train", {}, train)
    run_stage(work.folder, "train", {}, train)
    assert resumed == ([False, True] if step == "write_stamp" else [False])
    assert listed(work.folder) == ["result.txt", "sub/more.txt"]
    assert not (work.folder / "state").exists()
    stamp = json.loads((work.folder / ".attar" / "stamp.json").read_text())
    assert set(stamp["sizes"]) == {"result.txt", "sub/more.txt"}


@pytest.mark.parametrize("step", range(8))
def test_a_kill_while_a_draft_gets_its_first_stamps_is_in_nobodys_way(work, step):
    """Before each change of the file system in turn, in a process of its own."""
    command = [sys.executable, "-c", KILLED_AT_FIRST, str(work.folder), str(step)]
    done = subprocess.run(command, check=False)
    assert done.returncode == -signal.SIGKILL
    assert run_stage(work.folder, "train", {}, work)
    assert [path.name for path in work.folder.parent.iterdir()] == ["stage"]


KILLED_AT_FIRST = """
import os, signal, sys
from pathlib import Path
from attar.stage_cache import run_stage
left = [int(sys.argv[2])]
def count(name, arguments):
    if name in ("open", "os.mkdir", "os.rename") and f"{sys.argv[1]}.draft" in str(arguments[0]):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
sys.addaudithook(count)
run_stage(Path(sys.argv[1]), "train", {}, lambda draft: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_training_outside_a_stage_leaves_no_state(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "step").touch()
    drop_state(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_up_to_date_needs_no_right_to_write(work, monkeypatch, caplog):
    run_stage(work.folder, "train", {"lr": 1}, work)
    monkeypatch.setattr(os, "access", lambda path, _: not work.folder.is_relative_to(path))
    monkeypatch.setattr(stage_cache, "locked", lambda _: 1 / 0)
    with caplog.at_level(logging.INFO, "attar"):
        assert not run_stage(work.folder, "train", {"lr": 1}, work)
    assert "train: up to date" in caplog.text
    for folder, lr in ((work.folder, 2), (work.folder.with_name("new"), 1)):
        with pytest.raises(RunError, match="cannot be written to"):
            run_stage(folder, "train", {"lr": lr}, work)


def test_where_nothing_can_be_made_is_an_error(work):
    with pytest.raises(RunError, match="no such file or folder"):
        run_stage(Path("/proc/attar"), "train", {}, work)


STEPS = ("exchange", "rename", "sync_folder", "carry_over", "remove_folder")


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("step", range(12))
def test_a_kill_while_the_new_takes_the_place_of_the_old_is_mended(work, monkeypatch, step, atomic):
    """The process ends before each change of the file system in turn; the next command mends it."""
    rebuild(work, 1)
    (work.folder / "notes.txt").write_text("mine")
    left = [step]

    def killing(real):
        def call(*arguments, **more):
            left[0] -= 1
            if left[0] < 0:
                raise SystemExit("killed")
            return real(*arguments, **more)

        return call

    if not atomic:
        monkeypatch.setattr(publishing, "exchange", lambda *_: False)
    real = stage_cache.publish

    def publish(*arguments):
        with monkeypatch.context() as patch:
            for name in STEPS:
                if name != "rename":
                    patch.setattr(publishing, name, killing(getattr(publishing, name)))
            patch.setattr(Path, "rename", killing(Path.rename))
            patch.setattr(Path, "unlink", killing(Path.unlink))
            real(*arguments)

    monkeypatch.setattr(stage_cache, "publish", publish)
    with contextlib.suppress(SystemExit):
        rebuild(work, 2)
    monkeypatch.setattr(stage_cache, "publish", real)
    there = work.folder if work.folder.exists() else work.folder.with_name("stage.replaced")
    assert (there / "result.txt").read_text() in ("rate 1", "rate 2")
    if atomic:
        assert there == work.folder
    again = Work(work.folder)
    run_stage(work.folder, "train", {"lr": 2}, again)
    assert again.times == 0  # the result was whole
    assert listed(work.folder) == ["notes.txt", "result.txt", "sub/more.txt"]
    assert (work.folder / "result.txt").read_text() == "rate 2"
    assert [p.name for p in work.folder.parent.iterdir()] == ["stage"]


def test_a_folder_that_is_in_the_way_is_named(work):
    for kind in ("draft", "replaced"):
        other = work.folder.with_name(f"stage.{kind}")
        other.mkdir()
        (other / "thesis.tex").write_text("years of work")
        with pytest.raises(RunError, match=f"stage.{kind} is in the way"):
            rebuild(work, 1)
        assert (other / "thesis.tex").read_text() == "years of work"
        (other / "thesis.tex").unlink()
    assert rebuild(work, 1)


def test_a_folder_that_was_filled_meanwhile_is_not_replaced(work):
    def slow(draft):
        work(draft)
        work.folder.mkdir()
        (work.folder / "thesis.tex").write_text("years of work")

    with pytest.raises(RunError, match="was written to while the stage ran; its result is whole"):
        run_stage(work.folder, "train", {}, slow)
    shutil.rmtree(work.folder)
    assert run_stage(work.folder, "train", {}, work)
    assert work.times == 1  # by the first


def test_an_input_that_changes_meanwhile_ends_in_an_error_and_the_draft_is_not_resumed(work, tmp_path):
    data = tmp_path / "rows"
    data.write_text("old")

    def inputs():
        return {"data": fingerprint(data)}

    def slow(draft):
        assert not (draft / "result.txt").exists()
        work(draft)
        if work.times == 1:
            data.write_text("new")

    rebuild(work, 1)
    with pytest.raises(RunError, match="was changed while it ran"):
        run_stage(work.folder, "train", inputs(), slow, again=inputs)
    assert (work.folder / "result.txt").read_text() == "rate 1"
    assert (draft_of(work) / "result.txt").read_text() == "done"
    data.write_text("old")  # the same fingerprint as that of the draft
    assert run_stage(work.folder, "train", inputs(), slow, again=inputs)
    data.unlink()
    with pytest.raises(RunError, match="was changed while it ran"):
        run_stage(work.folder, "train", {"data": "x"}, slow, again=inputs)


def test_an_error_of_the_system_is_one_of_ours_and_the_earlier_result_stands(work):
    rebuild(work, 1)

    def full(draft):
        (draft / "half").touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(draft / "model.safetensors"))

    with pytest.raises(
        RunError, match=r"train -> .*stage: .*stage.draft/model.safetensors: no space left; .*resumes"
    ):
        run_stage(work.folder, "train", {"lr": 2}, full)
    assert (work.folder / "result.txt").read_text() == "rate 1"
    with pytest.raises(ZeroDivisionError):
        run_stage(work.folder, "train", {"lr": 2}, lambda _: 1 / 0)


def test_files_follow_the_umask(work):
    def private(draft):
        work(draft)
        (draft / "result.txt").chmod(0o600)

    for mask in (0o022, 0o027, 0o077):
        before = os.umask(mask)
        try:
            run_stage(work.folder, "train", {"mask": mask}, private)
        finally:
            os.umask(before)
        modes = {p.stat().st_mode & 0o777 for p in work.folder.rglob("*") if p.is_file()}
        assert modes == {0o666 & ~mask}


def test_no_secret_is_in_a_stamp(work):
    inputs = {"sources": [{"path": "MONGODB://user:SECRET@h/d/c"}, "http://h/projects/7?token=SECRET"]}
    run_stage(work.folder, "prepare", inputs, work)
    text = (work.folder / ".attar" / "stamp.json").read_text()
    assert "SECRET" not in text
    assert "MONGODB://...@h/d/c" in text
    inputs["sources"][0]["path"] = "MONGODB://user:OTHER@h/d/c"
    assert not run_stage(work.folder, "prepare", inputs, work)


def as_before(work, outputs):
    """Turn a folder into one of an earlier version: its stamp beside it, without sizes."""
    stamp = json.loads((work.folder / ".attar" / "stamp.json").read_text())
    shutil.rmtree(work.folder / ".attar")
    beside = work.folder.parent / ".attar"
    beside.mkdir()
    kept = {key: stamp[key] for key in ("stage", "fingerprint", "inputs", "outputs")}
    (beside / "stage.json").write_text(json.dumps(kept | outputs))
    (beside / "stage.lock").touch()


def test_a_stamp_beside_the_folder_is_read_and_taken_over(work):
    rebuild(work, 1)
    before = fingerprint(work.folder)
    as_before(work, {})
    assert is_finished(work.folder)
    assert fingerprint(work.folder) == before
    (work.folder / "tensorboard").mkdir()
    (work.folder / "tensorboard" / "events").write_text("x")
    assert not rebuild(work, 1)
    assert [p.name for p in work.folder.parent.iterdir()] == ["stage"]
    assert rebuild(work, 2)
    assert listed(work.folder) == ["result.txt", "sub/more.txt"]


def test_a_new_folder_of_an_old_name_is_not_taken_for_the_old_one(work):
    rebuild(work, 1)
    as_before(work, {})
    shutil.rmtree(work.folder)
    work.folder.mkdir()
    (work.folder / "thesis.tex").write_text("years of work")
    assert not is_finished(work.folder)
    with pytest.raises(RunError, match="was not written by attar"):
        rebuild(work, 1)
    assert (work.folder / "thesis.tex").exists()


def test_a_training_that_an_earlier_version_did_not_finish_resumes(work):
    rebuild(work, 1)
    as_before(work, {"outputs": None})
    with pytest.raises(RunError, match="was not written by attar"):  # nothing there speaks of a stage
        rebuild(work, 1)
    (work.folder / "state").mkdir()
    (work.folder / "state" / "step").write_text("half")
    with pytest.raises(RunError, match="'train' did not finish"):
        fingerprint(work.folder)
    found = []
    assert run_stage(work.folder, "train", {"lr": 1}, lambda draft: found.extend(listed(draft)))
    assert "state/step" in found

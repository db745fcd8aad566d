"""A run again: the same bytes, or what differs and why."""

import json
import os
import shutil

import pytest

from attar.errors import RunError
from attar.io.stamps import read_stamp, write_stamp
from attar.recipe.load import Recipe
from attar.repeat import compare_runs, keep_recipe, kept_recipe, repeat_run
from attar.stage_cache import run_stage


def stage(run, name, files):
    """A finished stage of a run."""

    def work(draft):
        for file, content in files.items():
            (draft / file).write_text(content, "utf-8")

    run_stage(run / name, name, {"of": sorted(files)}, work)


LOG = '{{"step": 1, "loss": {loss}, "seconds": {seconds}, "crc32": "{sum}"}}\n'


@pytest.fixture
def runs(tmp_path):
    """``runs(**changed)``: two runs, the second with other files."""

    def make(**changed):
        plain = {
            "model.safetensors": "weights",
            "metrics.jsonl": LOG.format(loss=0.5, seconds=1.25, sum="01234567"),
            "report.json": json.dumps({"f1": 0.8, "models": {"a": {"latency_ms_p50": 3.5, "size": 3}}}),
            "report.html": "3.5 ms",
        }
        for number, files in enumerate((plain, plain | changed)):
            stage(tmp_path / str(number), "teacher", files)
        return tmp_path / "0", tmp_path / "1"

    return make


def test_times_are_left_out_and_nothing_else(runs):
    report = json.dumps({"f1": 0.8, "models": {"a": {"latency_ms_p50": 9.5, "size": 3}}})
    log = LOG.format(loss=0.5, seconds=9.5, sum="76543210")
    found = compare_runs(*runs(**{"report.json": report, "metrics.jsonl": log, "report.html": "9.5 ms"}))
    assert found.differences == []
    assert (found.num_files, found.num_timed, found.num_left_out) == (3, 2, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", "weighty", "teacher/model.safetensors: other bytes, SHA-256 "),
        ("model.safetensors", "weights+", "teacher/model.safetensors: 7 bytes, now 8"),
        (
            "metrics.jsonl",
            LOG.format(loss=0.6, seconds=1.25, sum="01234567"),
            "teacher/metrics.jsonl: other bytes",
        ),
        ("report.json", '{"f1": 0.9}', "teacher/report.json: "),
        ("report.json", "{", "teacher/report.json: "),
        ("more.txt", "x", "teacher/more.txt: not in "),
    ],
)
def test_what_differs_is_named(runs, name, content, said):
    (line,) = compare_runs(*runs(**{name: content})).differences
    assert line.startswith(said)


def test_other_versions_and_threads_are_named_first(runs):
    first, second = runs()
    stamp = read_stamp(second / "teacher")
    assert {"attar", "python", "numpy", "torch"} <= stamp["versions"].keys()
    assert {"processor", "threads"} <= stamp["machine"].keys()
    changed = {
        "versions": stamp["versions"] | {"torch": "1.0"},
        "machine": stamp["machine"] | {"threads": "7"},
    }
    write_stamp(second / "teacher", stamp | changed)
    found = compare_runs(first, second)
    assert found.differences == []
    assert [line.split(":")[0] for line in found.surroundings] == ["torch", "threads"]
    stage(first, "student", {"a": "1"})
    (line,) = compare_runs(first, second).differences
    assert line == f"student/a: not in {second}"


def test_the_recipe_is_kept_without_secrets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = {"path": "mongodb://bob:S3cret@host/db/c?password=S3cret"}
    recipe = Recipe(name="r", seed=7, data={"sources": [source, "rows.jsonl"]}, distill={"temperature": 3})
    keep_recipe(recipe, tmp_path / "run")
    assert "S3cret" not in (tmp_path / "run" / "recipe.json").read_text("utf-8")
    found, folder = kept_recipe(tmp_path / "run")
    assert (found.seed, found.distill, folder) == (7, recipe.distill, tmp_path)
    assert [one.path for one in found.data.sources] == ["mongodb://...@host/db/c?...", "rows.jsonl"]


def test_a_repeat_starts_from_the_same_folder_and_takes_what_a_server_gave(tmp_path, monkeypatch):
    (tmp_path / "before").mkdir()
    monkeypatch.chdir(tmp_path / "before")
    run, asked = tmp_path / "run", []
    keep_recipe(Recipe(name="r", data={"sources": ["mongodb://host/db/c"]}), run)
    stage(run, "data", {"train.json": "[]"})
    monkeypatch.chdir(tmp_path)

    def again(recipe, out):
        asked.append((recipe.name, out, os.getcwd()))  # noqa: PTH109
        assert (out / "data" / "train.json").read_text() == "[]"

    folder, found = repeat_run(run, None, again, lambda _: None)
    assert asked == [("r", tmp_path / "run.repeat", str(tmp_path / "before"))]
    assert (folder, found.differences, found.num_files) == (tmp_path / "run.repeat", [], 1)
    with pytest.raises(RunError, match="beside the run, not into it"):
        repeat_run(run, run / "again", again, lambda _: None)
    shutil.rmtree(tmp_path / "before")
    with pytest.raises(RunError, match="paths start from is gone"):
        repeat_run(run, None, again, lambda _: None)


def test_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"no recipe\.json"):
        repeat_run(tmp_path, None, print, print)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read; give the recipe once more"):
        repeat_run(tmp_path, None, print, print)
    keep_recipe(Recipe(name="r"), tmp_path)
    with pytest.raises(RunError, match="no stage of it is finished"):
        repeat_run(tmp_path, None, print, print)


def test_exit_codes_of_the_command(tmp_path, monkeypatch, attar_main, one_line):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    keep_recipe(Recipe(name="r"), run)
    stage(run, "teacher", {"weights": "1"})
    content = ["1"]
    monkeypatch.setattr(
        "attar.pipeline.run_recipe", lambda _, out, __: stage(out, "teacher", {"weights": content[0]})
    )
    code, out, _ = attar_main("run", "--repeat", "run")
    assert (code, out) == (0, f"the same:  1 of 1 files -> {tmp_path / 'run.repeat'}\n")
    shutil.rmtree(tmp_path / "run.repeat")
    content[0] = "2"
    code, out, _ = attar_main("run", "--repeat", "run", "--out", "other")
    assert code == 3
    assert out.startswith("differs:   teacher/weights: other bytes, SHA-256 ")
    assert out.endswith(f"the same:  0 of 1 files -> {tmp_path / 'other'}\n")
    for wrong in ([], ["r.toml", "--repeat", "run"], ["--repeat", "run", "--set", "seed=1"]):
        code, _, err = attar_main("run", *wrong)
        assert "name a RECIPE, with --set and --against, or --repeat RUN" in one_line(code, err)

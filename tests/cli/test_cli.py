"""The command line: help that answers at once, errors on one line."""

import errno
import importlib.metadata
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attar import __version__, cli, pipeline
from attar.errors import GateError, RecipeError
from attar.recipe.load import Recipe

ATTAR = Path(sys.executable).with_name("attar")
ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
VERBS = (
    "init", "run", "prepare", "pretrain", "train", "distill", "export", "evaluate",
    "cascade", "terms", "score", "compare", "insight", "bench", "serve", "verify", "convert", "clean",
)  # fmt: skip


def attar(*arguments, **settings):
    """The installed command, in a process of its own."""
    return subprocess.run(
        [ATTAR, *arguments], capture_output=True, text=True, timeout=600, check=False, **settings
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_rows):
    """Rows and the folder that ``attar prepare`` makes of them."""
    folder = tmp_path_factory.mktemp("cli")
    make_rows(folder / "rows.jsonl", 60)
    pipeline.prepare(Recipe(name="prepare"), [folder / "rows.jsonl"], folder / "data")
    return folder


def test_the_installed_command_is_main():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (command,) = project["scripts"].values()
    assert importlib.metadata.EntryPoint("attar", command, "console_scripts").load() is cli.main


def test_help_of_attar_names_every_verb():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert set(re.findall(r"^│ (\w+)\s", result.stdout, re.MULTILINE)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_has_an_example(verb):
    for flag in ("--help", "-h"):
        result = CliRunner().invoke(cli.app, [verb, flag])
        assert result.exit_code == 0
        assert f"Example: attar {verb} " in re.sub(r"[`\s]+", " ", result.stdout).replace(
            "Example: ` ", "Example: "
        )


def test_no_arguments_show_the_help():
    result = CliRunner().invoke(cli.app, [])
    assert "Usage" in result.output


def test_version():
    result = CliRunner().invoke(cli.app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"attar {__version__}\n")


DRAWING = {"annotated_doc", "click", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
READING = {"annotated_types", "pydantic", "pydantic_core", "typing_inspection"}  # typer's, of options


@pytest.mark.parametrize(("arguments", "allowed"), [([], DRAWING), (["score"], DRAWING | READING)])
def test_help_answers_at_once(arguments, allowed):
    """It loads typer and what typer needs, and of attar the command line alone."""
    code = (
        "import sys\nbefore = set(sys.modules)\nsys.argv[0] = 'attar'\nfrom attar.cli import main\n"
        "try:\n    main()\nfinally:\n    sys.stderr.write('\\n'.join(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: attar" in done.stdout
    loaded = set(done.stderr.split())
    own = {name for name in loaded if name.split(".")[0] == "attar"}
    beside = {name for name in own if not name.startswith("attar.cli")}
    strings = {"attar.language", "attar.language.translator"}
    assert beside == {"attar", "attar.cores", "attar.errors", "attar.ready", *strings}
    packages = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"attar"}
    assert {name for name in packages if not name.startswith("_")} <= allowed | {"typing_extensions"}


def test_prepare_says_what_it_made(data):
    (data / "bad.jsonl").write_text('{"text": "好", "term": "x", "label": "积极"}\n', "utf-8")
    out = data / "again"
    done = attar("prepare", data / "rows.jsonl", data / "bad.jsonl", "--out", out)
    assert done.returncode == 0, done.stderr
    counted = dict(re.findall(r"^(\w+): +(\d+)", done.stdout, re.MULTILINE))
    assert sum(int(counted[name]) for name in ("train", "dev", "test")) == 60
    assert counted["rejected"] == "1"
    assert f"data:      {out}" in done.stdout
    assert json.loads((out / "rejected.jsonl").read_text("utf-8"))["reason"]


def mistakes(folder):
    """Arguments, and what the line must name, for what a user gets wrong first."""
    (folder / "typo.toml").write_text("[distill]\ntemperatur = 4\n", "utf-8")
    (folder / "empty.csv").write_text("", "utf-8")
    (folder / "columns.csv").write_text("review,label\n好,积极\n", "utf-8")
    (folder / "unknown.jsonl").write_text(
        '{"text": "口红好", "term": "口红", "label": "很好"}\n' * 3, "utf-8"
    )
    (folder / "unprepared").mkdir(exist_ok=True)
    (folder / "theirs").mkdir(exist_ok=True)
    (folder / "theirs" / "thesis.tex").write_text("years of work", "utf-8")
    quick, rows, prepared = RECIPES / "quickstart.toml", folder / "rows.jsonl", folder / "data"
    out, nowhere = folder / "out", folder / "nowhere"
    return {
        "missing recipe": (["run", folder / "quikstart.toml"], "quikstart.toml: cannot read the recipe"),
        "typo in a recipe": (["run", folder / "typo.toml"], "did you mean 'distill.temperature'?"),
        "typo in --set": (["run", quick, "--set", "distil.epochs=1"], "unknown key 'distil'"),
        "unknown task": (["prepare", rows, "--task", "cosmetic", "--out", out], "did you mean 'cosmetics'?"),
        "missing source": (["prepare", folder / "nowhere.csv", "--out", out], "nowhere.csv"),
        "empty file": (["prepare", folder / "empty.csv", "--out", out], "empty.csv"),
        "unset variable": (
            ["prepare", "mongodb://$ATTAR_NOWHERE/a/b", "--out", out],
            "the environment variable ATTAR_NOWHERE is not set",
        ),
        "missing column": (["prepare", folder / "columns.csv", "--out", out], "columns.csv"),
        "no usable row": (["prepare", folder / "unknown.jsonl", "--out", out], "none of 3 rows can be used"),
        "foreign folder": (["prepare", rows, "--out", folder / "theirs"], "was not written by attar"),
        "a folder of the source": (["prepare", rows, "--out", folder], "which this command reads"),
        "a name that leads elsewhere": (["run", quick, "--set", "name=../x"], "the plain name of a folder"),
        "a file as folder": (["prepare", rows, "--out", rows], "a file stands where"),
        "unprepared data": (["train", quick, "--data", folder / "unprepared", "--out", out], "attar prepare"),
        "missing data": (["train", quick, "--data", nowhere, "--out", out], "nowhere: no such folder"),
        "other labels": (
            ["train", RECIPES / "components.toml", "--data", prepared, "--out", out],
            "prepared for the labels 消极, 中性, 积极",
        ),
        "no teacher": (
            ["distill", quick, "--data", prepared, "--teacher", folder / "nowhere", "--out", out],
            "nowhere does not exist",
        ),
        "data as teacher": (
            ["distill", quick, "--data", prepared, "--teacher", prepared, "--out", out],
            "is no checkpoint",
        ),
        "data as checkpoint": (["export", prepared, "--data", prepared, "--out", out], "is no checkpoint"),
        "no artifact": (["score", prepared, "--in", rows, "--out", folder / "s.csv"], "is no artifact"),
        "missing artifact": (["score", nowhere, "--in", rows, "--out", folder / "s.csv"], "nowhere"),
        "bench of no artifact": (["bench", prepared, "--data", prepared], "is no artifact"),
        "a bad --set without recipe": (
            ["prepare", rows, "--out", out, "--set", "data.tset=0.3"], "did you mean 'data.test'"
        ),
    }  # fmt: skip


MISTAKES = (
    "missing recipe", "typo in a recipe", "typo in --set", "unknown task", "missing source", "empty file",
    "unset variable", "missing column", "no usable row", "foreign folder", "a file as folder",
    "a folder of the source", "a name that leads elsewhere",
    "unprepared data", "missing data", "other labels", "no teacher", "data as teacher", "data as checkpoint",
    "no artifact",
    "missing artifact", "bench of no artifact", "a bad --set without recipe",
)  # fmt: skip


def test_the_list_of_mistakes_is_complete(data):
    assert set(mistakes(data)) == set(MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(data, attar_main, mistake, one_line):
    arguments, said = mistakes(data)[mistake]
    code, out, err = attar_main(*arguments)
    assert said in one_line(code, err)
    assert out == ""
    assert not (data / "s.csv").exists()


def test_the_same_from_a_process(data, one_line):
    arguments, said = mistakes(data)["no artifact"]
    done = attar(*arguments)
    assert said in one_line(done.returncode, done.stderr)
    assert done.stdout == ""


def test_review_text_is_in_no_error(tmp_path, attar_main, one_line):
    review = "这是一条不该出现的评论"
    (tmp_path / "rows.jsonl").write_text(
        json.dumps({"text": review, "term": "口红", "label": "积极"}, ensure_ascii=False) + "\n", "utf-8"
    )
    code, _, err = attar_main("prepare", tmp_path / "rows.jsonl", "--out", tmp_path / "out")
    assert review not in one_line(code, err)


def test_debug_shows_the_trace(tmp_path):
    done = attar("--debug", "run", tmp_path / "nowhere.toml")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "RecipeError" in done.stderr


def test_usage_errors_are_typers(attar_main):
    code, _, err = attar_main("train")
    assert code == 2
    assert "Missing argument" in err
    code, _, err = attar_main("trane")
    assert code == 2
    assert "No such command" in err


def test_ctrl_c_says_that_the_command_resumes(data, attar_main, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", stopped)
    code, _, err = attar_main(
        "train", RECIPES / "quickstart.toml", "--data", data / "data", "--out", data / "t"
    )
    assert code == 130
    assert err.splitlines()[-1].startswith("attar: stopped; ")


def broken(*_):
    raise ZeroDivisionError("这是一条不该出现的评论")


def test_a_bug_of_ours_is_one_line_without_its_words(data, attar_main, one_line, monkeypatch):
    monkeypatch.setattr(pipeline, "prepare", broken)
    code, _, err = attar_main("prepare", data / "rows.jsonl", "--out", data / "b")
    said = one_line(code, err)
    assert re.match(r"ZeroDivisionError in test_cli.py:\d+: a bug of attar; attar --debug", said)
    assert "评论" not in said


def test_debug_shows_the_trace_of_a_bug(data, monkeypatch):
    monkeypatch.setattr(pipeline, "prepare", broken)
    rows, out = str(data / "rows.jsonl"), str(data / "b")
    monkeypatch.setattr(sys, "argv", ["attar", "--debug", "prepare", rows, "--out", out])
    monkeypatch.setenv("ATTAR_DEBUG", "")
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (GateError("flips 5 %"), 3, "flips 5 %"),
        (OSError(errno.ENOSPC, "No space left on device", "/d/model"), 2, "/d/model: no space left"),
        (OSError(errno.EROFS, "Read-only file system", "/d"), 2, "/d: the file system is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/d"), 2, "/d: permission denied"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/d"), 2, "a folder stands where a file"),
        (OSError("4096 requested and 512 written"), 2, "4096 requested and 512 written"),
        (EOFError(), 2, "ends too early"),
        (MemoryError(), 2, "not enough memory"),
        (
            RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 57536 vs 57488"),
            2,
            "no space",
        ),
    ],
)
def test_an_error_of_the_system_is_one_line(data, attar_main, monkeypatch, error, code, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(pipeline, "prepare", fail)
    left, out, err = attar_main("prepare", data / "rows.jsonl", "--out", data / "b")
    assert left == code
    assert out == ""
    assert [said in line for line in err.splitlines() if line.startswith("attar: ")] == [True], err
    assert "Traceback" not in err and "Aborted" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_verb_and_says_how_to_resume(data, attar_main, monkeypatch, number, code):
    def stop(*_):
        os.kill(os.getpid(), number)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pipeline, "prepare", stop)
    # A suite in the background is started with SIGINT ignored.
    outer = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        left, _, err = attar_main("prepare", data / "rows.jsonl", "--out", data / "b")
    finally:
        signal.signal(signal.SIGINT, outer)
    assert left == code
    assert err.splitlines()[-1] == "attar: stopped; the same command resumes what it can"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("arguments", [["--version"], ["clean", "."]])
def test_nobody_reads_the_output(tmp_path, arguments):
    end, pipe = os.pipe()
    os.close(end)
    command = [sys.executable, "-c", "from attar.cli import main; main()", *arguments]
    done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("closed", [0, 1, 2])
@pytest.mark.parametrize(("name", "code"), [(".", 0), ("nowhere", 2)])
def test_a_standard_stream_that_is_closed(tmp_path, closed, name, code):
    program = """
import sys
from attar.cli import main
try:
    main()
finally:
    with open("opened", "w") as stream:
        stream.write(str(stream.fileno()))
"""
    command = f"exec {sys.executable} -c '{program}' clean {name} {closed}>&-"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == code, done.stderr
    assert int((tmp_path / "opened").read_text()) > 2  # nothing that is written takes its place


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from attar.cli import main
main()
"""


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_file_that_may_not_grow_is_one_line_and_the_earlier_result_stands(data, tmp_path, size):
    out = tmp_path / "data"
    pipeline.prepare(Recipe(name="prepare"), [data / "rows.jsonl"], out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    arguments = ["prepare", data / "rows.jsonl", "--out", out, "--set", "seed=3"]
    command = [sys.executable, "-c", LIMITED, str(size), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "a file would grow beyond the largest size allowed here" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    hidden = [path for path in tmp_path.rglob(".*") if path.name != ".attar"]
    assert hidden == []


def test_a_secret_is_in_no_line_of_the_log():
    from attar.cli.tables import set_up_logging

    root = logging.getLogger()
    before = root.handlers[:]
    for handler in before:
        root.removeHandler(handler)
    try:
        set_up_logging()
        (handler,) = root.handlers
        record = logging.LogRecord("attar", logging.INFO, "", 1, "at %s", ("MONGODB://u:SECRET@h/d",), None)
        assert handler.filter(record)
        assert record.getMessage() == "at MONGODB://...@h/d"
    finally:
        root.handlers[:] = before


def test_verbs_pass_their_arguments_on(monkeypatch):
    told = {}
    for verb in ("prepare", "train", "distill", "finetune", "export"):
        monkeypatch.setattr(pipeline, verb, lambda *given, verb=verb: told.__setitem__(verb, given))
    runner, recipe = CliRunner(), str(RECIPES / "quickstart.toml")
    where = ["--data", "d", "--out", "o"]
    for arguments in (
        ["train", recipe, *where, "--set", "train.epochs=2"],
        ["distill", recipe, *where, "--teacher", "t"],
        ["distill", recipe, *where],
        ["export", "c", *where, "--recipe", recipe, "--set", "export.max_flips=0.5"],
    ):
        assert runner.invoke(cli.app, arguments).exit_code == 0
    assert told["train"][0].train.epochs == 2
    assert told["train"][1:] == (Path("d"), Path("o"))
    assert told["distill"][1:] == (Path("d"), [Path("t")], Path("o"))
    assert told["finetune"][1:] == (Path("d"), Path("o"))
    assert told["export"][0].export.max_flips == 0.5
    assert told["export"][1:] == (Path("c"), Path("d"), Path("o"))


def test_evaluate_without_a_recipe_takes_the_task_of_the_data(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("[task]\nname='mine'\nlabels=['坏','好']\n[data]\ndev=0.2", "utf-8")
    rows = [{"text": f"口红{i}好看", "term": "口红", "label": "坏好"[i % 2]} for i in range(40)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines, "utf-8")
    runner, told = CliRunner(), []
    prepared = [
        "prepare",
        tmp_path / "rows.jsonl",
        "--recipe",
        tmp_path / "mine.toml",
        "--out",
        tmp_path / "d",
    ]
    assert runner.invoke(cli.app, list(map(str, prepared))).exit_code == 0

    def evaluate(recipe, *_):
        told.append(recipe.resolved_task())
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "evaluate", evaluate)
    runner.invoke(cli.app, ["evaluate", "--data", str(tmp_path / "d"), "--out", str(tmp_path / "r")])
    assert told[0].labels == ("坏", "好")


def test_logs_go_to_stderr_and_results_to_stdout(data):
    done = attar("prepare", data / "rows.jsonl", "--out", data / "data")  # kept
    assert "up to date" in done.stderr
    assert "data:" in done.stdout
    assert "unchanged" not in done.stdout


def test_prepare_is_told_columns_and_labels_at_the_prompt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{chr(0x5000 + 61 * i) * 6}瓶盖松,瓶盖,{('荐', '弃')[i % 2]}" for i in range(40)]
    Path("labels.csv").write_text("\n".join(["评论,对象,情感", *lines]), "utf-8")
    said = ["--column", "text=评论", "--column=term=对象", "--column", "label=情感"]
    said += ["--alias", "荐=好评", "--alias", "弃=消极"]
    result = CliRunner().invoke(cli.app, ["prepare", "labels.csv", "--out", "data", *said])
    assert result.exit_code == 0, result.output
    assert "no example has the label 中性 (消极 20, 中性 0, 积极 20)" in result.stdout
    for wrong, message in (
        (["--alias", "荐"], r"--alias '荐': expected NAME=VALUE"),
        (["--alias", "荐=棒"], r"aliases name unknown labels \['棒'\]; its labels are 消极, 中性, 积极"),
        (["--alias", "荐=好评", "--alias", "荐=差评"], "'荐' is given twice"),
    ):
        with pytest.raises(RecipeError, match=message):
            CliRunner().invoke(
                cli.app, ["prepare", "labels.csv", "--out", "b", *wrong], catch_exceptions=False
            )

"""The whole line on easy data and a tiny encoder: every stage, kept, redone, scored."""

import csv
import html
import json
import logging
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import attar
from attar import cli
from attar.artifact import load_artifact, refusal
from attar.errors import ArtifactError
from attar.io.files import file_hash
from attar.pipeline import RunFolders, distill, run_recipe
from attar.recipe.load import load_recipe
from attar.records.prepared_folder import load_split
from attar.task import task_by_name

pytestmark = pytest.mark.slow

RECIPE = """
seed = 3
[data]
sources = ["rows.jsonl"]
dev = 0.2
test = 0.2
[encode]
max_tokens = 32
[train]
encoder = "{encoder}"
epochs = 12
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
precision = "fp32"
[student]
layers = 1
hidden = 24
heads = 4
intermediate = 48
vocab_margin = 5
[distill]
epochs = 15
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
precision = "fp32"
temperature = 2
[export]
max_flips = 0.3
max_f1_loss = 0.3
[evaluate]
bootstrap = 100
speed_examples = 8
speed_repeats = 2
"""
TASK = task_by_name("cosmetics")
SCORES = (
    "accuracy", "macro_f1", "macro_f1_low", "macro_f1_high", "size_bytes", "examples_per_second",
    "latency_ms_p50",
)  # fmt: skip
MODELS = ("teacher", "student", "student_int8", "finetuned", "tfidf", "majority")
STAGES = ("prepare", "linear", "train", "distill", "finetune", "export", "evaluate", "export")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, encoder_folder, make_rows, moments, narrow_search):  # noqa: ARG001
    """A recipe's path and the folders of its first run."""
    folder = tmp_path_factory.mktemp("experiment")
    make_rows(folder / "rows.jsonl", 240)
    path = folder / "easy.toml"
    path.write_text(RECIPE.format(encoder=encoder_folder), "utf-8")
    said = []
    folders = run_recipe(load_recipe(path), folder / "run", said.append)
    assert [line.split(":")[0].split()[0] for line in said] == [
        "easy",
        "prepare",
        "train",
        "dev",
        "test",
        "about",
        "the",
        "train",
        "distill",
        "distill",
        "export",
        "evaluate",
    ]
    return path, folders


def files_of(folder):
    """Every file below a folder but the locks, with when it was written."""
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def again(path, caplog, *overrides, run="run"):
    """Run once more; the folders, and the stages that were done and not kept."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "attar"):
        folders = run_recipe(load_recipe(path, overrides), path.parent / run, lambda _: None)
    told = [record.getMessage() for record in caplog.records if record.name == "attar.stage_cache"]
    done = [line.split(":")[0] for line in told if ": done in" in line]
    kept = [line.split(":")[0] for line in told if ": up to date" in line]
    assert sorted(done + kept) == sorted(STAGES)
    return folders, done


def test_every_folder_holds_what_it_promises(experiment):
    _, folders = experiment
    assert folders == RunFolders.under(folders.data.parent)
    prepared = {"train.json", "dev.json", "test.json", "rejected.jsonl", "manifest.json"}
    prepared |= {"repaired.jsonl", "audit.json", "audit.html", "audit.zh.html", ".attar"}
    assert {p.name for p in folders.data.iterdir()} == prepared
    checkpoint = {"config.json", "model.safetensors", "tokenizer.json", "attar.json", "metrics.jsonl"}
    for folder in (folders.teacher, folders.student, folders.finetuned):
        assert {p.name for p in folder.iterdir() if p.is_file()} == checkpoint
    for folder in (folders.candidate, folders.artifact):
        assert {p.name for p in folder.iterdir()} == {
            "model.onnx", "tokenizer.json", "checks.json", "attar.json", "README.md", ".attar"
        }  # fmt: skip
    assert {p.name for p in folders.linear.iterdir()} == {
        "linear.safetensors", "ngrams.json", "checks.json", "attar.json", "README.md", ".attar"
    }  # fmt: skip
    assert {"report.json", "report.html", "report.zh.html"} <= {p.name for p in folders.report.iterdir()}
    # The recipe has no [pretrain].
    wanted = {*folders._fields, "recipe.json"} - {"pretrained"}
    assert {p.name for p in folders.data.parent.iterdir()} == wanted


def test_the_report_has_its_keys(experiment):
    path, folders = experiment
    report = json.loads((folders.report / "report.json").read_text("utf-8"))
    assert set(report["models"]) == set(MODELS)
    for name, model in report["models"].items():
        assert set(SCORES) <= set(model), name
        assert 0 <= model["macro_f1_low"] <= model["macro_f1"] <= model["macro_f1_high"] <= 1
        assert 0 <= model["accuracy"] <= 1
    assert report["models"]["majority"]["size_bytes"] is None
    for name in MODELS[:-1]:
        assert report["models"][name]["size_bytes"] > 0
    assert report["models"]["teacher"]["examples_per_second"] > 0
    assert 0 <= report["agreement"] <= 1
    assert report["ratios"]["smaller"] > 1
    assert report["ratios"]["faster"] > 0
    assert (report["task"], report["num_test"], report["title"]) == ("cosmetics", 48, path.stem)
    assert {"attar", "torch", "onnxruntime"} <= set(report["versions"])


def test_easy_data_is_learnt_by_teacher_student_and_artifact(experiment):
    _, folders = experiment
    models = json.loads((folders.report / "report.json").read_text("utf-8"))["models"]
    for name in ("teacher", "student", "student_int8", "finetuned", "tfidf"):
        assert models[name]["macro_f1"] > models["majority"]["macro_f1"] + 0.3, name
    trained = folders.teacher, folders.student, folders.finetuned
    notes = [json.loads((f / "attar.json").read_text("utf-8"))["notes"] for f in trained]
    assert [each["role"] for each in notes] == ["teacher", "student", "finetuned"]
    assert not any(each["collapsed"] for each in notes)


def test_the_report_page_stands_alone(experiment):
    _, folders = experiment
    page = (folders.report / "report.html").read_text("utf-8")
    assert "student_int8" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert 'src="http' not in page


def test_nothing_is_repeated_without_need(experiment, caplog):
    path, folders = experiment
    before = files_of(folders.data.parent)
    _, done = again(path, caplog)
    assert done == []
    assert files_of(folders.data.parent) == before


def test_the_temperature_redoes_the_student_and_what_follows_from_it(experiment, caplog):
    path, first = experiment
    copy = shutil.copytree(first.data.parent, path.parent / "copy")
    student = file_hash(first.student / "model.safetensors")
    before = files_of(copy)
    folders, done = again(path, caplog, "distill.temperature=5", run="copy")
    assert done == ["distill", "export", "evaluate", "export"]
    assert file_hash(folders.student / "model.safetensors") != student
    after = files_of(copy)
    for folder in (folders.data, folders.teacher, folders.finetuned):
        assert {p: t for p, t in after.items() if folder in p.parents} == {
            p: t for p, t in before.items() if folder in p.parents
        }
    # The same recipe as at first gives the same student again, to the bit.
    distill(load_recipe(path), folders.data, folders.teacher, folders.student)
    assert file_hash(folders.student / "model.safetensors") == student


def test_a_damaged_artifact_is_refused_and_made_again(experiment, caplog):
    path, folders = experiment
    model = folders.artifact / "model.onnx"
    whole = file_hash(model)
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"model.onnx"):
        load_artifact(folders.artifact)
    _, done = again(path, caplog)
    assert done == ["export"]
    assert file_hash(model) == whole


def test_the_artifact_scores_on_its_own(experiment, tmp_path):
    _, folders = experiment
    texts = {"白润，口红差。服贴": "消极", "香粉，口红是。毛孔": "中性", "红润粉底，口红好。色": "积极"}
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("id", "text", "term"), *((i, t, "口红") for i, t in enumerate(texts))])
    moved = tmp_path / "elsewhere"
    folders.artifact.rename(moved)
    try:
        code = (
            "import sys; from attar.cli import main\n"
            "try: main()\n"
            "finally: assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules)"
        )
        where = ["--in", tmp_path / "rows.csv", "--out", tmp_path / "scored.csv"]
        done = subprocess.run(
            [sys.executable, "-c", code, "score", moved, *where], capture_output=True, text=True, check=False
        )
    finally:
        moved.rename(folders.artifact)
    assert done.returncode == 0, done.stderr
    assert "scored:    3 mentions of 3 rows" in done.stdout
    with (tmp_path / "scored.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    assert [row["text"] for row in rows] == list(texts)
    assert sum(row["label"] == label for row, label in zip(rows, texts.values(), strict=True)) >= 2
    for row in rows:
        probs = [float(row[f"prob_{label}"]) for label in ("消极", "中性", "积极")]
        assert sum(probs) == pytest.approx(1, abs=1e-3)
        assert float(row["prob"]) == pytest.approx(max(probs))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", "", "empty.csv: the file is empty"),
        ("header.csv", "text,term\n", "header.csv has no rows"),
        ("columns.csv", "review,term\n口红好,口红\n", "'text'"),
        ("unusable.jsonl", '{"text": "好", "term": "口红"}\n', "none of its 1 rows can be used"),
        ("rows.xls", "text,term\n口红好,口红\n", "cannot tell its format by '.xls'"),
        ("half.parquet", "PAR1", "half.parquet"),
    ],
)
def test_rows_that_cannot_be_scored_are_one_line(
    experiment, tmp_path, attar_main, one_line, name, content, said
):
    (tmp_path / name).write_text(content, "utf-8")
    out = tmp_path / "scored.csv"
    code, stdout, stderr = attar_main("score", experiment[1].artifact, "--in", tmp_path / name, "--out", out)
    assert said in one_line(code, stderr)
    assert stdout == ""
    assert not out.exists()


def test_a_truncated_artifact_is_one_line(experiment, tmp_path, attar_main, one_line):
    for name in ("model.onnx", "tokenizer.json", "checks.json", "attar.json"):
        copy = shutil.copytree(experiment[1].artifact, tmp_path / name)
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) // 2])
        code, _, err = attar_main("score", copy, "--in", tmp_path / "x.csv", "--out", tmp_path / "y.csv")
        assert name in one_line(code, err)


def test_the_verdict_is_the_same_everywhere(experiment):
    _, folders = experiment
    verdict = json.loads((folders.report / "report.json").read_text("utf-8"))["verdict"]
    card = load_artifact(folders.artifact).verdict
    assert card == {key: verdict[key] for key in ("status", "headline", "conditions")}
    assert card["status"] in ("pass", "warn")
    assert refusal(load_artifact(folders.artifact)) is None
    page = html.unescape((folders.report / "report.html").read_text("utf-8"))
    readme = (folders.artifact / "README.md").read_text("utf-8")
    for one in card["conditions"]:
        assert one["said"] in page
        assert one["said"] in readme
    assert load_artifact(folders.candidate).verdict == {}


def test_the_linear_model_of_the_report_is_the_one_that_is_left(experiment):
    _, folders = experiment
    report = json.loads((folders.report / "report.json").read_text("utf-8"))
    size = (folders.linear / "linear.safetensors").stat().st_size
    assert report["models"]["tfidf"]["size_bytes"] == size
    test = load_split(folders.data, "test")
    labels = attar.load(folders.linear).predict_probs(test).argmax(1)
    gold = [TASK.index_of(example) for example in test]
    assert (labels == gold).mean() == pytest.approx(report["models"]["tfidf"]["accuracy"])


def test_a_refused_model_lies_beside_the_last_that_was_not(experiment, attar_main):
    path, first = experiment
    run = shutil.copytree(first.data.parent, path.parent / "refused")
    before = files_of(run / "artifact")
    code, out, err = attar_main("run", path, "--out", run, "--set", "gate.max_mb=0.001")
    assert code == 3, err
    assert "MB; 0.001 MB are allowed. Give the student fewer layers" in err.splitlines()[-1]
    assert f"refused:   {run / 'artifact-refused'}; {run / 'artifact'} is as it was" in out
    assert f"attar score {run / 'linear'} --in" in out
    assert files_of(run / "artifact") == before
    assert "0.001 MB are allowed" in refusal(load_artifact(run / "artifact-refused"))
    again = attar_main("run", path, "--out", run, "--set", "gate.max_mb=0.001")
    assert again[0] == 3
    assert files_of(run / "artifact") == before
    code, out, err = attar_main("run", path, "--out", run)
    assert code == 0, err
    assert not (run / "artifact-refused").exists()
    assert f"artifact:  {run / 'artifact'}" in out


def test_evaluate_gives_the_verdict_and_leaves_the_artifact_alone(experiment, tmp_path, attar_main):
    _, folders = experiment
    before = files_of(folders.data.parent)
    models = ["--artifact", folders.artifact, "--linear", folders.linear, "--data", folders.data]
    quick = ["--set", "evaluate.bootstrap=20", "--set", "evaluate.speed_examples=8"]
    for number, (override, wanted) in enumerate((("gate.min_rate=1e9", 3), ("gate.min_rate=0.001", 0))):
        more = [
            "--out",
            tmp_path / f"{number}",
            *quick,
            "--set",
            override,
            "--set",
            "evaluate.speed_repeats=1",
        ]
        code, out, err = attar_main("evaluate", *models, *more)
        assert code == wanted, err
        status = json.loads((tmp_path / f"{number}" / "report.json").read_text("utf-8"))["verdict"]["status"]
        assert (status == "refuse") == (wanted == 3)
        assert f"verdict:   {status}: The small model has a macro-F1 of" in out
    assert files_of(folders.data.parent) == before


def test_a_run_of_an_earlier_version_is_taken_over(experiment, caplog):
    """It exported into artifact/ and had neither a linear model nor a verdict: nothing long is redone."""
    path, first = experiment
    run = shutil.copytree(first.data.parent, path.parent / "earlier")
    for name in ("artifact", "linear"):
        shutil.rmtree(run / name)
    (run / "candidate").rename(run / "artifact")
    folders, done = again(path, caplog, run="earlier")
    assert done == ["linear", "export"]
    assert load_artifact(folders.artifact).verdict == load_artifact(first.artifact).verdict
    assert load_artifact(folders.candidate).verdict == {}


def test_the_run_verb_ends_with_what_to_do_next(experiment):
    path, folders = experiment
    run = folders.data.parent
    result = CliRunner().invoke(cli.app, ["run", str(path), "--out", str(run)])
    assert result.exit_code == 0, result.output
    assert f"report:    {run / 'report' / 'report.html'}" in result.stdout
    assert f"artifact:  {run / 'artifact'}" in result.stdout
    assert f"attar score {run / 'artifact'} --in" in result.stdout.replace("\n", "")
    assert "same label for" in result.stdout


def test_a_model_that_is_no_better_than_the_one_in_service_is_not_promoted(experiment, tmp_path, attar_main):
    _, folders = experiment
    run = folders.data.parent
    models = ["--artifact", folders.artifact, "--linear", folders.linear, "--data", folders.data]
    quick = ["--set", "evaluate.bootstrap=50", "--set", "evaluate.speed_examples=8"]
    said = attar_main("evaluate", *models, *quick, "--out", tmp_path / "a", "--against", run)
    assert said[0] == 3, said[2]
    assert "against:   keep: The new model is 0.0 points of macro-F1" in said[1]
    assert f"keep {run}: " in said[2].splitlines()[-1]
    allowed = [*quick, "--set", "gate.min_gain_over_service=-0.05"]
    code, out, err = attar_main("evaluate", *models, *allowed, "--out", tmp_path / "b", "--against", run)
    assert code == 0, err
    assert "against:   promote: The new model surely loses less than the 5.0 points allowed" in out
    report = json.loads((tmp_path / "b" / "report.json").read_text("utf-8"))
    assert report["against"]["num"] == report["num_test"]  # none of its own test reviews is in its training
    assert report["models"]["student_int8"]["uncalibrated"]["temperature"] > 0
    code, _, err = attar_main("run", experiment[0], "--out", run, "--against", run)
    assert code == 2
    assert "this is the run that is to be made" in err

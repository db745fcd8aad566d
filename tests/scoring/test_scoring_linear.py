"""A linear artifact gives scikit-learn's labels, needs NumPy alone, and is refused where it is hostile."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import attar
from attar.artifact import load_artifact
from attar.bench.stage import bench
from attar.cli.app import app
from attar.errors import ArtifactError
from attar.evaluation.baselines import WindowedLinear
from attar.evaluation.linear_artifact import write_linear
from attar.io.safetensors import arrays_from_bytes, arrays_to_bytes
from attar.records.prepared_folder import load_split
from attar.scoring.linear import LinearModel, LinearScorer
from attar.scoring.verify import verify
from attar.task import Example, Task, task_by_name

CORPUS = Path(__file__).parents[2] / "corpus" / "cosmetics"
TASK = task_by_name("cosmetics")


@pytest.fixture(scope="module")
def fitted(narrow_search, make_examples):  # noqa: ARG001
    return WindowedLinear(TASK, make_examples(80), make_examples(40, 1))


@pytest.fixture(scope="module")
def folder(fitted, make_examples, tmp_path_factory):
    out = tmp_path_factory.mktemp("linear") / "easy"
    write_linear(fitted, TASK, make_examples(40, 1), out, {"recipe": "easy"})
    return out


def test_labels_are_scikit_learns_on_every_row_of_the_corpus(tmp_path, narrow_search):  # noqa: ARG001
    from attar.pipeline import prepare
    from attar.recipe.load import Recipe

    data = prepare(Recipe(name="r"), [CORPUS], tmp_path / "data")
    train, dev, test = (load_split(data, name) for name in ("train", "dev", "test"))
    linear = WindowedLinear(TASK, train[:500], dev)
    found = LinearScorer(linear.to_model(), 1.0).probs([*dev, *test])
    theirs = linear([*dev, *test])
    assert np.array_equal(found.argmax(1), theirs.argmax(1))
    np.testing.assert_allclose(found, theirs, atol=1e-6)


TASKS = [
    TASK,
    Task("plain", ("a", "b", "c", "d"), style="pair"),
    Task("whole", ("a", "b"), style="single"),
    Task("two", ("a", "b", "c"), style="sentence_pair"),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("unseen", [None, 0])
def test_probs_are_scikit_learns_in_every_style(task, unseen, tmp_path, narrow_search):  # noqa: ARG001
    rng = np.random.default_rng(3)
    words = np.array(["很好", "太差", "一般", "贵"])

    def examples(count):
        made = []
        for _ in range(count):
            label = int(rng.integers(0, len(task.labels)))
            text = f"{rng.choice(list('红白香粉'))}口红{words[label]}。{rng.choice(list('色服贴毛'))}，🙂"
            span = (1, 3) if task.has_term else (0, 0)
            second = f"{words[label]}呢" if task.style == "sentence_pair" else ""
            made.append(Example(text, *span, task.labels[label], second=second))
        return made

    train = [one for one in examples(60) if unseen is None or one.label != task.labels[unseen]]
    if len({one.label for one in train}) < 2:
        pytest.skip("a task of two labels has to see both")
    linear = WindowedLinear(task, train, examples(20))
    artifact = write_linear(linear, task, examples(20), tmp_path / "linear", {})
    predictor, rows = attar.load(tmp_path / "linear"), examples(40)
    found = LinearScorer(linear.to_model(), 1.0).probs(rows)
    np.testing.assert_allclose(found, linear(rows), atol=2e-6)
    assert np.array_equal(predictor.predict_probs(rows).argmax(1), linear(rows).argmax(1))
    assert load_artifact(tmp_path / "linear") == artifact


def test_a_row_gives_the_same_bytes_whatever_else_is_scored(folder, some_examples):
    predictor, rows = attar.load(folder), some_examples(200, 5)
    wanted = np.concatenate([predictor.predict_probs([row]) for row in rows])
    order = np.random.default_rng(0).permutation(len(rows))
    assert predictor.predict_probs([rows[i] for i in order]).tobytes() == wanted[order].tobytes()
    copy = pickle.loads(pickle.dumps(predictor))  # noqa: S301 - made here
    assert copy.predict_probs(rows).tobytes() == wanted.tobytes()
    assert predictor.predict_probs([]).shape == (0, 3)


def test_a_text_without_any_known_character_is_scored(folder):
    (found,) = attar.load(folder).predict(["Ω"], ["Ω"])
    assert sum(found.probs.values()) == pytest.approx(1, abs=1e-6)


def test_the_window_is_what_decides(fitted, folder, make_examples):
    predictor = attar.load(folder)
    for example in make_examples(20, 4):
        low, high = predictor.window(example)
        cut = Example(example.text[low:high], example.start - low, example.end - low)
        assert predictor.predict_probs([cut]).tobytes() == predictor.predict_probs([example]).tobytes()
    assert fitted.window_chars == load_artifact(folder).input["window_chars"]


def test_the_verbs_take_it(folder, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "红润，口红好。色", "term": "口红"}\n', "utf-8")
    run = CliRunner().invoke
    scored = run(app, ["score", str(folder), "--in", str(rows), "--out", str(tmp_path / "out.jsonl")])
    assert scored.exit_code == 0, scored.output
    assert json.loads((tmp_path / "out.jsonl").read_text("utf-8"))["label"] == "积极"
    verified = run(app, ["verify", str(folder)])
    assert verified.exit_code == 0, verified.output
    assert "NumPy" in verified.output
    assert verify(folder).compared.num == 64


@pytest.mark.usefixtures("moments")
def test_bench_times_it_beside_a_network(folder, artifact_folder):
    figures = bench(folder, [artifact_folder], repeats=1)
    assert list(figures["models"]) == ["easy", artifact_folder.name]
    assert figures["models"]["easy"]["size_bytes"] == (folder / "linear.safetensors").stat().st_size
    assert figures["data"]["mean_tokens"] > 0


def test_it_is_served(folder):
    from fastapi.testclient import TestClient

    from attar.serving.app import create_app

    with TestClient(create_app(attar.load(folder))) as client:
        reply = client.post("/v1/score", json={"rows": [{"text": "红润，口红好。色", "term": "口红"}]})
        assert reply.status_code == 200, reply.text
        assert "max_tokens" not in client.get("/v1/model").json()["limits"]


def test_how_many_are_computed_together_changes_no_byte(folder, make_examples, monkeypatch):
    scorer, rows = attar.load(folder).scorer, make_examples(30, 2)
    whole = scorer.logits(rows).tobytes()
    monkeypatch.setattr("attar.scoring.linear._CHUNK_NGRAMS", 1)
    assert scorer.logits(rows).tobytes() == whole


def test_it_needs_no_training_packages(folder):
    program = f"""
import sys, attar
assert attar.load({str(folder)!r}).predict(["口红好。"], ["口红"])[0].label == "积极"
heavy = {{"torch", "transformers", "sklearn", "scipy", "safetensors"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def rewritten(folder, tmp_path, edit_card, name, content):
    copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
    (copy / name).write_bytes(content)
    edit_card(copy)
    return copy


def with_arrays(folder, **changes):
    arrays = arrays_from_bytes((folder / "linear.safetensors").read_bytes())
    return arrays_to_bytes({name: array for name, array in (arrays | changes).items() if array is not None})


def nan_at(folder, name, value):
    array = arrays_from_bytes((folder / "linear.safetensors").read_bytes())[name].copy()
    array.flat[3 % array.size] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda f: nan_at(f, "weights", np.nan), "weights holds numbers"),
        (lambda f: nan_at(f, "idf", np.inf), "idf holds numbers"),
        (lambda f: nan_at(f, "idf", 0), "idf holds numbers that are not above 0"),
        (lambda f: nan_at(f, "bias", 1e30), "bias holds numbers"),
        (lambda f: nan_at(f, "labels", 7), "not different ones"),
        (lambda f: nan_at(f, "labels", -1), "not different ones"),
        (lambda _: {"weights": np.zeros((3, 4), np.float32)}, "weights has the shape"),
        (lambda _: {"bias": np.zeros(0)}, "shape"),
        (lambda _: {"bias": np.zeros(())}, "shape"),
        (lambda _: {"labels": np.zeros(0, np.int64)}, "labels has the shape"),
        (lambda _: {"more": np.zeros(3)}, "its arrays are"),
        (lambda _: {"idf": None}, "its arrays are"),
        (lambda f: {"idf": np.zeros(len(LinearModel.from_artifact(load_artifact(f)).ngrams))}, "its arrays"),
    ],
)
def test_arrays_that_attar_never_writes_are_refused(folder, tmp_path, edit_card, changes, said):
    content = with_arrays(folder, **changes(folder))
    copy = rewritten(folder, tmp_path, edit_card, "linear.safetensors", content)
    with pytest.raises(ArtifactError, match=rf"was not used: .*{said}"):
        attar.load(copy)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "a list of 1 to"),
        ({}, "a list"),
        (["好", "好"], "twice"),
        (["好" * 6], "no n-gram"),
        ([3], "no n-gram"),
    ],
)
def test_ngrams_that_attar_never_writes_are_refused(folder, tmp_path, edit_card, value, said):
    copy = rewritten(folder, tmp_path, edit_card, "ngrams.json", json.dumps(value).encode())
    with pytest.raises(ArtifactError, match=said):
        attar.load(copy)


def test_the_number_of_ngrams_is_bounded(folder, monkeypatch):
    monkeypatch.setattr("attar.scoring.linear._MAX_NGRAMS", 5)
    with pytest.raises(ArtifactError, match="a list of 1 to 5 n-grams"):
        attar.load(folder)


def test_another_models_arrays_give_other_logits(folder, tmp_path, edit_card):
    arrays = arrays_from_bytes((folder / "linear.safetensors").read_bytes())
    content = with_arrays(folder, weights=-arrays["weights"])
    copy = rewritten(folder, tmp_path, edit_card, "linear.safetensors", content)
    with pytest.raises(ArtifactError, match="gives other logits here"):
        attar.load(copy)
    assert CliRunner().invoke(app, ["verify", str(copy)]).exit_code != 0


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b'{"inputs": [["a", 0, 5, ""]], "passes": [[[0]]]}', b"\xff"]
)
def test_checks_that_cannot_be_read_are_named(folder, tmp_path, edit_card, content):
    copy = rewritten(folder, tmp_path, edit_card, "checks.json", content)
    with pytest.raises(ArtifactError, match=r"checks\.json cannot be read"):
        attar.load(copy)


@pytest.mark.parametrize("name", ["linear.safetensors", "ngrams.json", "checks.json", "README.md"])
def test_a_damaged_file_is_named(folder, tmp_path, name):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).write_bytes((copy / name).read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=name):
        attar.load(copy)

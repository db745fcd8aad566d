from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from attar.artifact import ARTIFACT_FILES, load_artifact
from attar.errors import DataError, GateError, ParityError
from attar.export import stage
from attar.export.parity import ReferenceLogits, check_fp32, check_int8, check_invariance, compare_int8
from attar.export.stage import export_checkpoint
from attar.models.checkpoint import predict_logits
from attar.recipe.load import ExportRecipe
from attar.scoring.predictor import Predictor, softmax
from attar.task import task_by_name

LENIENT = ExportRecipe(calibration_examples=64, max_flips=0.2, max_f1_loss=0.2)
TASK = task_by_name("cosmetics")


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_export_writes_an_artifact_that_agrees_with_its_checkpoint(checkpoint, examples, tmp_path, kind):
    made = checkpoint(kind)
    out = tmp_path / "artifact"
    out.mkdir()  # a stage's folder is made before its work begins
    assert export_checkpoint(made, examples, out, LENIENT, {"recipe": "tiny"}) == out
    assert sorted(p.name for p in out.iterdir()) == sorted(ARTIFACT_FILES)
    assert [p.name for p in tmp_path.iterdir()] == ["artifact"]
    artifact = load_artifact(out)
    assert artifact.precision == "int8"
    assert artifact.task == made.task
    assert artifact.notes == {"role": "student", "recipe": "tiny"}
    assert artifact.parity["fp32_max_prob_difference"] < 1e-4
    assert artifact.parity["invariant_examples"] == 64
    assert artifact.calibration["error_after"] <= artifact.calibration["error_before"]
    found = Predictor(artifact, 1)
    logits = found.predict_logits(examples)
    assert (logits.argmax(1) == predict_logits(made, examples).argmax(1)).mean() >= 0.9
    np.testing.assert_array_equal(found.predict_probs(examples), softmax(logits, artifact.temperature))


def test_the_temperature_changes_no_label(exported, examples):
    artifact = exported()
    assert artifact.temperature != 1.0
    warm, plain = Predictor(artifact, 1), Predictor(replace(artifact, temperature=1.0), 1)
    np.testing.assert_array_equal(
        warm.predict_probs(examples).argmax(1), plain.predict_probs(examples).argmax(1)
    )


def test_unlabelled_examples_give_no_scores_and_no_temperature(checkpoint, examples, tmp_path):
    bare = [replace(example, label=None) for example in examples]
    artifact = load_artifact(export_checkpoint(checkpoint("bert"), bare, tmp_path / "a", LENIENT, {}))
    assert (artifact.temperature, dict(artifact.scores), dict(artifact.calibration)) == (1.0, {}, {})


# Fitted to one example only, and allowed to change nothing.
STRICT = ExportRecipe(calibration_examples=1, max_flips=0.0, max_f1_loss=0.0)


def test_int8_that_fails_its_gates_writes_nothing_and_touches_nothing(
    checkpoint, exported, examples, tmp_path
):
    made, out = checkpoint("bert"), tmp_path / "a"
    shutil.copytree(exported().folder, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    only_int8 = STRICT.model_copy(update={"precision": "int8", "qat_epochs": 1})
    with pytest.raises(GateError, match=r"flips .*Largest relative errors: .*layer\."):
        export_checkpoint(made, examples, out, only_int8, {}, train=examples[:16])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_killed_training_leaves_its_state_to_resume_from(checkpoint, examples, tmp_path, monkeypatch):
    def killed(*arguments):
        arguments[-1].mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "train_quantization_aware", killed)
    with pytest.raises(KeyboardInterrupt):
        export_checkpoint(checkpoint("bert"), examples, tmp_path / "a", STRICT, {}, train=examples[:16])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["state"]


def test_auto_ends_with_an_artifact_that_passes_and_says_what_it_tried(
    checkpoint, examples, tmp_path, caplog
):
    made = checkpoint("bert")
    with caplog.at_level("INFO", "attar.export"):
        artifact = load_artifact(export_checkpoint(made, examples, tmp_path / "a", STRICT, {}))
    assert artifact.precision in ("mixed", "fp32")
    assert (
        Predictor(artifact, 1).predict_logits(examples).argmax(1) == predict_logits(made, examples).argmax(1)
    ).all()
    tried = [r.message for r in caplog.records if "flips" in r.message and "products" in r.message]
    assert tried[0].startswith("export: int8: ")
    assert len(tried) > 1
    if artifact.precision == "mixed":
        assert artifact.products > 1
        assert set(artifact.layers.values()) - {"w8a8"}
        assert artifact.parity["int8_flips"] == 0
        assert "mixed" in (artifact.folder / "README.md").read_text("utf-8")


def test_fp32_on_request_and_where_nothing_passes(checkpoint, examples, tmp_path, monkeypatch):
    made = checkpoint("bert")
    asked = load_artifact(
        export_checkpoint(made, examples, tmp_path / "a", ExportRecipe(precision="fp32"), {})
    )
    monkeypatch.setattr(stage, "failed_gates", lambda *_: ["nothing is good enough"])
    left = load_artifact(export_checkpoint(made, examples, tmp_path / "b", LENIENT, {}))
    for artifact in (asked, left):
        assert artifact.precision == "fp32"
        np.testing.assert_allclose(
            Predictor(artifact, 1).predict_logits(examples), predict_logits(made, examples), atol=1e-4
        )


def test_no_examples(checkpoint, tmp_path):
    with pytest.raises(DataError, match="no examples"):
        export_checkpoint(checkpoint("bert"), [], tmp_path / "a", LENIENT, {})
    assert not (tmp_path / "a").exists()


def test_gates(examples):
    rng = np.random.default_rng(0)
    logits = 5 * np.eye(3, dtype=np.float32)[[TASK.index_of(e) for e in examples]]
    reference = ReferenceLogits(TASK, examples, logits, 20)
    assert check_fp32(reference, logits + np.float32(1e-6))["fp32_max_prob_difference"] < 1e-5
    with pytest.raises(ParityError, match="0 of 120 labels changed"):
        check_fp32(reference, logits + rng.normal(0, 0.1, logits.shape).astype(np.float32))
    with pytest.raises(ParityError, match="nan"):
        check_fp32(reference, np.full_like(logits, np.nan))
    wrong = logits.copy()
    wrong[:6] = logits[:6, [1, 2, 0]]
    figures = compare_int8(reference, wrong)
    assert (figures["int8_flips"], figures["dev"]["int8_flips"]) == (0.05, 0.3)
    check_int8(figures, LENIENT, dict)
    with pytest.raises(GateError, match=r"flips 5.00%.*macro-F1 1.0000 -> .*worst 50.0%, other"):
        check_int8(figures, ExportRecipe(), lambda: {"fine": 0.01, "worst": 0.5, "other": 0.1})


def test_invariance_gate_sees_a_model_that_depends_on_its_batch(checkpoint, examples):
    class Peeking:
        def logits(self, encodings, length=None):
            widest = length or max(len(e.ids) for e in encodings)
            return np.array([[e.ids.sum(), 1e-3 * widest, 0] for e in encodings], np.float32)

    with pytest.raises(ParityError, match="other logits in a shuffled batch"):
        check_invariance(Peeking(), checkpoint("bert").encoder.encode(examples), 24)


def test_card_is_readable_json_and_markdown(exported):
    out = exported().folder
    card = json.loads((out / "attar.json").read_text("utf-8"))
    assert card["limits"] == {"max_tokens": 24}
    assert set(card["files"]) == set(ARTIFACT_FILES) - {"attar.json"}
    page = (out / "README.md").read_text("utf-8")
    for part in (
        "# cosmetics",
        "消极, 中性, 积极",
        "24 tokens",
        "attar score",
        "## Limits",
        "macro f1",
        "| recipe | tiny |",
    ):
        assert part in page

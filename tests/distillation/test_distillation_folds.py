"""Thresholds from all training rows: each answered by a student that did not see its review."""

from dataclasses import replace

import numpy as np
import pytest

from attar.distillation.cache import CACHE_FOLDER
from attar.distillation.folds import cross_fitted_logits
from attar.distillation.settings import StudentSettings
from attar.distillation.stage import distill, finetune_student
from attar.errors import RecipeError
from attar.models.checkpoint import load_checkpoint, predict_logits, save_checkpoint
from attar.models.encoders import output_bias
from attar.pipeline import prepare
from attar.recipe.load import Recipe, SourceRecipe, make_recipe

FIT = {"precision": "fp32", "dropout": 0.0, "epochs": 2, "thresholds": "folds"}


@pytest.fixture
def recipe(encoder_folder):
    return Recipe(
        name="tiny",
        encode={"max_tokens": 24},
        train={"encoder": str(encoder_folder)},
        student={"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 0},
        distill=FIT,
    )


def test_nobody_answers_what_it_has_seen(tmp_path, make_checkpoint, make_examples):
    one_review = [replace(make_examples(1)[0], label=label) for label in ("消极", "积极")]
    train = [*make_examples(20), *one_review]
    seen = []

    def trained_on(part, folder):
        folder.mkdir(parents=True)
        seen.append({example.text for example in part})
        return make_checkpoint(seed=len(seen))

    logits = cross_fitted_logits(train, trained_on, tmp_path / "cache")
    assert seen[0] | seen[1] == {example.text for example in train}
    assert not seen[0] & seen[1]
    for number, texts in enumerate(seen, 1):
        rows = [i for i, example in enumerate(train) if example.text not in texts]
        expected = predict_logits(make_checkpoint(seed=number), [train[i] for i in rows], bf16=True)
        np.testing.assert_allclose(logits[rows], expected, atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["fold-0.npy", "fold-1.npy"]
    again = cross_fitted_logits(train, lambda *_: pytest.fail("trained again"), tmp_path / "cache")
    np.testing.assert_array_equal(again, logits)


@pytest.mark.parametrize("taught", [True, False])
def test_a_student_moves_by_what_the_folds_chose(tmp_path, recipe, make_rows, make_checkpoint, taught):
    """Beside the thresholds it is the student that it would be without them."""
    data = prepare(
        recipe, [SourceRecipe(path=str(make_rows(tmp_path / "rows.jsonl", 60)))], tmp_path / "data"
    )
    save_checkpoint(make_checkpoint(seed=6), tmp_path / "teacher")

    def student(out, thresholds):
        settings = recipe.model_copy(
            update={"distill": recipe.distill.model_copy(update={"thresholds": thresholds})}
        )
        if taught:
            distill(StudentSettings.taught(settings), data, [tmp_path / "teacher"], tmp_path / out)
        else:
            finetune_student(StudentSettings.alone(settings), data, tmp_path / out)
        return load_checkpoint(tmp_path / out)

    moved, plain = student("moved", "folds"), student("plain", "none")
    offsets = np.array([moved.notes["thresholds"]["offsets"][label] for label in moved.task.labels])
    biases = [output_bias(one.model).detach().numpy() for one in (moved, plain)]
    np.testing.assert_allclose(biases[0], biases[1] + offsets, atol=1e-5)
    assert "thresholds" not in plain.notes
    kept = {path.name for path in (tmp_path / "moved" / CACHE_FOLDER).iterdir()}
    assert {"fold-0.npy", "fold-1.npy"} <= kept
    assert not any(name in kept for name in ("fold-0", "fold-1"))


def test_a_teacher_has_no_folds():
    with pytest.raises(RecipeError, match=r"a teacher is trained once; set it in \[distill\]"):
        make_recipe({"name": "x", "train": {"thresholds": "folds"}})

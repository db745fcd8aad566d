"""Offsets chosen on dev live in the classifier's bias, so that every later stage has them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from attar.errors import RecipeError
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.models.encoders import output_bias
from attar.recipe.load import FitRecipe
from attar.training.objectives import HardLabels
from attar.training.stage import fit_and_save, labelled_logits, move_thresholds


@pytest.fixture
def reluctant(make_checkpoint, make_examples):
    """A trained checkpoint whose bias keeps it from the first label, and the examples it learnt."""

    def made(folder):
        checkpoint, examples = make_checkpoint(dropout=0.0), make_examples(60)
        recipe = FitRecipe(epochs=8, batch_size=8, learning_rate=2e-3, precision="fp32", dropout=0.0)
        objective = HardLabels(checkpoint.task, examples, recipe)
        notes = {"role": "teacher"}
        fit_and_save(checkpoint, examples, objective, recipe, examples[:12], folder, seed=1, notes=notes)
        with torch.no_grad():
            logits = predict_logits(checkpoint, examples)
            margins = logits[:, 0] - logits[:, 1:].max(1)
            output_bias(checkpoint.model)[0] -= float(np.quantile(margins, 0.95))
        return checkpoint, examples

    return made


def test_the_bias_moves_by_the_offsets(reluctant, tmp_path):
    checkpoint, dev = reluctant(tmp_path / "out")
    before = predict_logits(checkpoint, dev)
    notes = move_thresholds(checkpoint, labelled_logits(checkpoint, dev))
    after = predict_logits(checkpoint, dev)
    offsets = np.array([notes["offsets"][label] for label in checkpoint.task.labels])
    np.testing.assert_allclose(after, before + offsets, atol=1e-4)
    assert notes["kept"]
    assert notes["after"] > notes["before"]
    assert (after.argmax(1) == 0).sum() > (before.argmax(1) == 0).sum()


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "albert", "ernie"])
def test_every_architecture_has_the_bias(make_checkpoint, make_examples, architecture):
    checkpoint = make_checkpoint(architecture)
    before = predict_logits(checkpoint, make_examples(4))
    with torch.no_grad():
        output_bias(checkpoint.model).add_(torch.tensor([1.0, -2.0, 0.5]))
    np.testing.assert_allclose(
        predict_logits(checkpoint, make_examples(4)), before + np.float32([1, -2, 0.5]), atol=1e-5
    )


def test_a_head_without_a_bias_is_refused(make_checkpoint):
    model = make_checkpoint().model
    model.classifier = torch.nn.Linear(32, 3, bias=False)
    with pytest.raises(RecipeError, match="set thresholds = 'none'"):
        output_bias(model)


@pytest.mark.parametrize("thresholds", ["none", "dev"])
def test_the_checkpoint_has_them_in_its_notes(make_checkpoint, make_examples, tmp_path, thresholds):
    checkpoint, examples = make_checkpoint(dropout=0.0), make_examples(30)
    recipe = FitRecipe(epochs=1, precision="fp32", dropout=0.0, thresholds=thresholds)
    objective = HardLabels(checkpoint.task, examples, recipe)
    fit_and_save(
        checkpoint, examples, objective, recipe, examples, tmp_path / "out", seed=1, notes={"role": "teacher"}
    )
    notes = json.loads((tmp_path / "out" / "attar.json").read_text("utf-8"))["notes"]
    loaded = load_checkpoint(tmp_path / "out")
    assert ("thresholds" in notes) == (thresholds == "dev")
    np.testing.assert_array_equal(predict_logits(loaded, examples), predict_logits(checkpoint, examples))


def test_an_exported_model_has_them(reluctant, tmp_path):
    import attar
    from attar.export.stage import export_checkpoint
    from attar.recipe.load import ExportRecipe

    checkpoint, dev = reluctant(tmp_path / "out")
    notes = move_thresholds(checkpoint, labelled_logits(checkpoint, dev))
    recipe = ExportRecipe(max_flips=0.2, max_f1_loss=0.2)
    scorer = attar.load(
        export_checkpoint(replace(checkpoint, notes={"thresholds": notes}), dev, tmp_path / "a", recipe, {})
    )
    probs, logits = scorer.predict_probs(dev), predict_logits(checkpoint, dev)
    assert (probs.argmax(1) == logits.argmax(1)).mean() > 0.9
    card = json.loads((tmp_path / "a" / "attar.json").read_text("utf-8"))
    assert card["notes"]["thresholds"]["offsets"] == notes["offsets"]
    # Its probs are those of the moved logits, divided by its temperature.
    scaled = np.exp(logits / card["temperature"])
    assert np.abs(scaled / scaled.sum(1, keepdims=True) - probs).mean() < 0.02

"""``freeze`` and the trainable part: the same training as of the whole model, with less to compute."""

import numpy as np
import pytest

import attar.training.stage
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.recipe.load import FitRecipe
from attar.training.objectives import HardLabels
from attar.training.stage import fit_and_save

SETTINGS = {"precision": "fp32", "dropout": 0.0, "learning_rate": 2e-3, "batch_size": 8, "epochs": 2}


@pytest.fixture
def trained(make_checkpoint, make_examples, tmp_path):
    """``trained(name, **settings)``: a checkpoint trained and read back, and its examples."""
    examples = make_examples(30)

    def run(name, kind="bert", **settings):
        recipe = FitRecipe(**(SETTINGS | settings))
        checkpoint = make_checkpoint(kind)
        objective = HardLabels(checkpoint.task, examples, recipe)
        out = tmp_path / name
        dev, notes = examples[:9], {"role": "trial"}
        fit_and_save(checkpoint, examples, objective, recipe, dev, out, seed=4, notes=notes)
        return load_checkpoint(out)

    run.examples = examples
    return run


@pytest.mark.parametrize("kind", ["bert", "electra-small"])
@pytest.mark.parametrize("freeze", [None, 0, 1])
def test_it_ends_where_the_training_of_the_whole_model_ends(
    trained, make_checkpoint, monkeypatch, kind, freeze
):
    # Adam makes steps of the learning rate of gradients that are 0 but for rounding: a small one.
    part = trained("part", kind, freeze=freeze, learning_rate=2e-4, head_init="random")
    monkeypatch.setattr(attar.training.stage, "trainable_part", lambda whole, *_, **__: whole)
    whole = trained("whole", kind, freeze=freeze, learning_rate=2e-4, head_init="random")
    assert part.notes["dev_score"] == whole.notes["dev_score"]
    start = predict_logits(make_checkpoint(kind), trained.examples)
    logits = [predict_logits(one, trained.examples) for one in (part, whole)]
    np.testing.assert_allclose(logits[0], logits[1], rtol=0, atol=1e-3)
    assert np.abs(logits[1] - start).max() > 0.05


def test_frozen_layers_are_written_as_they_were(trained, make_checkpoint):
    before, after = make_checkpoint().model.state_dict(), trained("frozen", freeze=1).model.state_dict()
    still = {name for name, value in before.items() if value.equal(after[name])}
    assert still == {name for name in before if ".embeddings." in name or ".layer.0." in name}


def test_hidden_tokens_above_frozen_layers_regularise(trained):
    loose, hidden = (trained(str(share), freeze=1, token_dropout=share) for share in (0.0, 0.5))
    assert (
        np.abs(predict_logits(loose, trained.examples) - predict_logits(hidden, trained.examples)).max()
        > 0.01
    )

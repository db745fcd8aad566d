"""Which rate each parameter learns at, by hand and for every architecture."""

import pytest
import torch
from torch import nn

from attar.recipe.load import FitRecipe
from attar.training.optimisers import build_optimiser, layer_shares


@pytest.mark.parametrize("architecture", ["bert", "roberta", "electra", "electra-small", "ernie"])
def test_the_deeper_the_slower(make_checkpoint, architecture):
    model = make_checkpoint(architecture).model
    shares = layer_shares(model, 0.5)
    found = {share: [n for n in shares if shares[n] == share] for share in set(shares.values())}
    assert sorted(found) == [0.125, 0.25, 0.5, 1.0]  # two layers: embeddings, first, second, head
    assert all(".embeddings" in name for name in found[0.125])
    assert all(".layer.0." in name for name in found[0.25])
    assert all(".layer.1." in name for name in found[0.5])
    assert all("classifier" in name or "pooler" in name for name in found[1.0])
    assert {name for name, _ in model.named_parameters()} == set(shares)


def test_layers_that_share_their_weights_are_one(make_checkpoint):
    shares = layer_shares(make_checkpoint("albert").model, 0.5)
    assert {share for name, share in shares.items() if "albert_layer_groups" in name} == {0.5}
    assert {share for name, share in shares.items() if "embedding" in name} == {0.25}
    assert {share for name, share in shares.items() if "classifier" in name or "pooler" in name} == {1.0}


@pytest.mark.parametrize("optimiser", ["adamw", "bert_adam"])
def test_groups_hold_everything_once(make_checkpoint, optimiser):
    model, objective = make_checkpoint().model, nn.Linear(3, 3)
    recipe = FitRecipe(optimiser=optimiser, layer_decay=0.5, weight_decay=0.1)
    groups = build_optimiser(model, objective, recipe).param_groups
    trained = [parameter for group in groups for parameter in group["params"]]
    assert len(trained) == len({id(p) for p in trained})
    assert {id(p) for p in trained} == {id(p) for m in (model, objective) for p in m.parameters()}
    whole = [group for group in groups if group["share"] == 1.0]
    assert any(parameter is objective.weight for group in whole for parameter in group["params"])
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    plain = build_optimiser(model, objective, FitRecipe(optimiser=optimiser)).param_groups
    assert [group["share"] for group in plain] == [1.0, 1.0]


def test_a_step_moves_each_layer_by_its_share(make_checkpoint, make_examples, tmp_path):
    """Adam's first step is the sign of the gradient times the rate."""
    from attar.training.fit import DevScore, fit
    from attar.training.objectives import HardLabels

    checkpoint, examples = make_checkpoint(dropout=0.0), make_examples(16)
    start = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    recipe = FitRecipe(
        epochs=1, batch_size=16, learning_rate=1e-3, layer_decay=0.5, weight_decay=0.0, warmup=0.0,
        precision="fp32", dropout=0.0,
    )  # fmt: skip
    fit(
        checkpoint,
        checkpoint.encoder.encode(examples),
        HardLabels(checkpoint.task, examples, recipe),
        recipe,
        evaluate=lambda: DevScore(0.5),
        folder=tmp_path,
        seed=1,
    )
    after = checkpoint.model.state_dict()
    for name, share in {
        "bert.embeddings.position_embeddings.weight": 0.125,
        "bert.encoder.layer.0.output.dense.weight": 0.25,
        "bert.encoder.layer.1.output.dense.weight": 0.5,
        "bert.pooler.dense.weight": 1.0,
    }.items():
        moved = (after[name] - start[name]).abs()
        assert moved[moved > 0].median().item() == pytest.approx(1e-3 * share, rel=0.05)
    assert torch.isfinite(after["classifier.weight"]).all()

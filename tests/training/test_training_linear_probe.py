"""A head that is initialised from a linear probe."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from attar.errors import RecipeError
from attar.models import precision
from attar.models.checkpoint import predict_logits
from attar.task import Task
from attar.training import linear_probe
from attar.training.linear_probe import init_head

KINDS = ("bert", "roberta", "electra", "albert", "ernie")
EVEN = np.ones(3)


@pytest.fixture(autouse=True)
def in_fp32(monkeypatch):
    monkeypatch.setattr(precision, "computes_in_bf16", lambda: False)


def accuracy(checkpoint, examples):
    gold = [checkpoint.task.index_of(example) for example in examples]
    return (predict_logits(checkpoint, examples).argmax(1) == gold).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_learns_without_touching_the_encoder(make_checkpoint, make_examples, kind):
    checkpoint, examples = make_checkpoint(kind), make_examples(150)
    before = {k: v.clone() for k, v in checkpoint.model.base_model.state_dict().items() if "pooler" not in k}
    init_head(checkpoint, examples, make_examples(60, seed=5), EVEN)
    after = checkpoint.model.base_model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert accuracy(checkpoint, examples) > 0.45  # the commonest label: 0.37


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [("坏", "一般", "好"), ("坏", "好")])
def test_the_model_predicts_what_the_probe_does(make_checkpoint, make_examples, monkeypatch, kind, labels):
    task = Task("t", labels)
    checkpoint, examples = make_checkpoint(kind, task), make_examples(90, task=task)
    fitted = []

    class Watched(LogisticRegression):
        def fit(self, features, gold):
            fitted.append((self, features))
            return super().fit(features, gold)

    monkeypatch.setattr(linear_probe, "LogisticRegression", Watched)
    monkeypatch.setattr(linear_probe, "_STRENGTHS", (0.3,))
    init_head(checkpoint, examples, examples[:30], np.ones(len(labels)))
    ((model, features),) = fitted
    logits = torch.from_numpy(predict_logits(checkpoint, examples))
    np.testing.assert_allclose(logits.softmax(1), model.predict_proba(features), rtol=0, atol=1e-4)


def test_what_it_returns_is_the_score_on_dev(make_checkpoint, make_examples):
    from attar.metrics import scores

    checkpoint, dev = make_checkpoint(), make_examples(60, seed=5)
    claimed = init_head(checkpoint, make_examples(150), dev, EVEN)
    gold = np.array([checkpoint.task.index_of(example) for example in dev])
    assert claimed == pytest.approx(scores(checkpoint.task, gold, predict_logits(checkpoint, dev)).macro_f1)


def test_a_label_that_training_never_saw(make_checkpoint, make_examples):
    checkpoint = make_checkpoint()
    seen = [e for e in make_examples(150) if e.label != "中性"]
    init_head(checkpoint, seen, make_examples(40, seed=5), EVEN)
    logits = predict_logits(checkpoint, seen)
    assert np.isfinite(logits).all()
    assert (logits.argmax(1) != 1).all()


def test_one_label_alone_leaves_the_head(make_checkpoint, make_examples, caplog):
    checkpoint = make_checkpoint()
    before = checkpoint.model.classifier.weight.clone()
    init_head(checkpoint, [e for e in make_examples(90) if e.label == "积极"], make_examples(9), EVEN)
    assert torch.equal(checkpoint.model.classifier.weight, before)
    assert "all training examples are '积极'" in caplog.text


def test_weights_of_the_classes_are_used(make_checkpoint, make_examples):
    shares = []
    for weights in (np.array([30.0, 1, 1]), np.array([1, 1, 30.0])):
        checkpoint, examples = make_checkpoint(), make_examples(90)
        init_head(checkpoint, examples, examples, weights)
        shares.append((predict_logits(checkpoint, examples).argmax(1) == 0).mean())
    assert shares[0] > shares[1]


def test_other_heads_are_refused(make_checkpoint, make_examples):
    checkpoint = make_checkpoint()
    checkpoint.model.classifier = torch.nn.Sequential(torch.nn.Linear(32, 3))
    with pytest.raises(RecipeError, match="head_init = 'random'"):
        init_head(checkpoint, make_examples(30), make_examples(9), EVEN)

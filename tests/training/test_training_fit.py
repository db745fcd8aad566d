"""The loop: what it learns, keeps, logs and refuses; and that it resumes whatever stops it."""

import json
import logging
import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from attar.errors import RecipeError, RunError
from attar.models.checkpoint import predict_logits
from attar.recipe.load import FitRecipe
from attar.training.fit import DevScore, FitResult, fit
from attar.training.frozen import trainable_part
from attar.training.objectives import HardLabels, Objective
from attar.training.stage import dev_scorer
from attar.training.state import TrainingStates

SETTINGS = {"precision": "fp32", "dropout": 0.0, "learning_rate": 2e-3, "batch_size": 8, "epochs": 3}


class StoppedError(Exception):
    """Stands for a kill."""


class StopsAt(HardLabels):
    """Hard labels, until the forward pass numbered ``at``."""

    def __init__(self, *arguments, at):
        super().__init__(*arguments)
        self.at, self.calls = at, 0

    def forward(self, model, inputs, rows):
        self.calls += 1
        if self.calls == self.at:
            raise StoppedError
        return super().forward(model, inputs, rows)


class Trial:
    """One training of a tiny model, always from the same weights."""

    def __init__(self, make_checkpoint, examples, folder, dropout=0.0):
        self.checkpoint = make_checkpoint(dropout=dropout)
        self.examples, self.folder = examples, folder

    def run(self, objective=None, evaluate=None, seed=7, after_evaluation=None, **settings):
        recipe = FitRecipe(**(SETTINGS | settings))
        return fit(
            self.checkpoint,
            self.checkpoint.encoder.encode(self.examples),
            objective or HardLabels(self.checkpoint.task, self.examples, recipe),
            recipe,
            evaluate=evaluate or dev_scorer(self.checkpoint, self.examples[:12]),
            folder=self.folder,
            seed=seed,
            name="trial",
            after_evaluation=after_evaluation,
        )

    def weights(self):
        return {name: value.clone() for name, value in self.checkpoint.model.state_dict().items()}

    def metrics(self):
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        return [
            {key: value for key, value in line.items() if key not in ("seconds", "crc32")} for line in lines
        ]


@pytest.fixture
def trial(make_checkpoint, make_examples, tmp_path):
    """``trial(name, dropout=0.0)``: a training in a folder of its own."""
    examples = make_examples(30)
    return lambda name, dropout=0.0: Trial(make_checkpoint, examples, tmp_path / name, dropout)


@pytest.fixture(scope="module")
def whole(make_checkpoint, make_examples, tmp_path_factory):
    """``whole(dropout=0.0, **settings)``: an uninterrupted training, run once for all comparisons.

    It saves no state: to save one must change nothing either.
    """

    @cache
    def run(dropout, settings):
        one, calls = Trial(make_checkpoint, make_examples(30), tmp_path_factory.mktemp("whole"), dropout), {}

        def after_evaluation(step, dev):
            calls[step] = dev.score, one.weights()

        result = one.run(after_evaluation=after_evaluation, checkpoint_minutes=99, **dict(settings))
        return Whole(one.weights(), one.metrics(), result, calls)

    return lambda dropout=0.0, **settings: run(dropout, tuple(sorted(settings.items())))


class Whole(NamedTuple):
    """What a training gave; ``calls``: by step, the dev score and the weights."""

    weights: dict
    metrics: list
    result: FitResult
    calls: dict


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def scripted(scores, collapsed=(), seen=None, model=None):
    """An evaluation that gives these scores in turn, and keeps what it saw."""
    turns = iter(enumerate(scores))

    def evaluate():
        turn, score = next(turns)
        if seen is not None:
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return DevScore(score, {"dev/extra": 2 * score}, collapsed=turn in collapsed)

    return evaluate


def test_it_learns_what_is_easy(trial):
    one = trial("learns")
    result = one.run(epochs=12)
    losses = [line["loss/hard"] for line in one.metrics() if "loss/hard" in line]
    assert losses[-1] < 0.2 * losses[0]
    assert result.best_score > 0.95
    assert not result.collapsed
    gold = [one.checkpoint.task.index_of(example) for example in one.examples]
    assert (predict_logits(one.checkpoint, one.examples).argmax(1) == gold).mean() > 0.95
    assert not one.checkpoint.model.training


def test_the_best_weights_on_dev_are_kept(trial):
    one, seen = trial("best"), []
    evaluate = scripted([0.1, 0.9, 0.9, 0.3], seen=seen, model=one.checkpoint.model)
    result = one.run(evaluate=evaluate, epochs=4)
    assert equal(one.weights(), seen[1])
    assert not equal(one.weights(), seen[2])
    assert (result.best_score, result.best_step, result.total_steps) == (0.9, 8, 16)
    assert [entry["dev/score"] for entry in result.history] == [0.1, 0.9, 0.9, 0.3]
    assert [entry["step"] for entry in result.history] == [4, 8, 12, 16]


def test_a_score_of_zero_is_a_score(trial):
    one, seen = trial("zero"), []
    result = one.run(evaluate=scripted([0.0, 0.0], seen=seen, model=one.checkpoint.model), epochs=2)
    assert equal(one.weights(), seen[0])
    assert result.best_score == 0.0


def test_what_is_logged(trial):
    one = trial("log")
    one.run(evaluate=scripted([0.5] * 9), epochs=2.5, evaluations_per_epoch=2, warmup=0.0)
    lines = one.metrics()
    dev = [line for line in lines if "dev/score" in line]
    assert [line["step"] for line in dev] == [2, 4, 6, 8, 10]
    assert all(line["dev/extra"] == 1.0 for line in dev)
    losses = [line for line in lines if "loss/hard" in line]
    assert [line["step"] for line in losses] == [10]
    assert losses[0]["learning_rate"] == pytest.approx(2e-3 * (1 - 9 / 10))
    assert list((one.folder / "tensorboard").glob("events.*"))


def test_two_runs_are_the_same_run_and_another_seed_is_another(trial):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        one = trial(name, dropout=0.1)
        one.run(seed=seed, epochs=2)
        weights.append(one.weights())
    assert equal(weights[0], weights[1])
    assert not equal(weights[0], weights[2])


@pytest.mark.parametrize(("accumulate", "stops_at"), [(1, 2), (1, 5), (1, 12), (2, 14)])
def test_a_stopped_training_resumes_exactly(trial, whole, accumulate, stops_at):
    settings = {"gradient_accumulation_steps": accumulate, "checkpoint_minutes": 1e-9}
    expected = whole(dropout=0.1, gradient_accumulation_steps=accumulate)
    stopped = trial("stopped", dropout=0.1)
    objective = StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=stops_at)
    with pytest.raises(StoppedError):
        stopped.run(objective=objective, **settings)
    again = trial("stopped", dropout=0.1)
    torch.manual_seed(12345)  # whatever ran before in the new process
    counting = StopsAt(again.checkpoint.task, again.examples, FitRecipe(), at=-1)
    result = again.run(objective=counting, **settings)
    assert 0 < counting.calls < 12 * accumulate
    assert equal(again.weights(), expected.weights)
    assert again.metrics() == expected.metrics
    assert (result.best_score, result.best_step, result.history) == (
        expected.result.best_score, expected.result.best_step, expected.result.history
    )  # fmt: skip


def test_a_training_stopped_while_it_evaluates_resumes_exactly(trial):
    settings = {"checkpoint_minutes": 1e-9}
    whole = trial("whole")
    whole.run(evaluate=scripted([0.2, 0.4, 0.3]), **settings)
    stopped = trial("stopped")
    turns = iter([0.2])

    def evaluate():
        for score in turns:
            return DevScore(score, {"dev/extra": 2 * score})
        raise StoppedError

    with pytest.raises(StoppedError):
        stopped.run(evaluate=evaluate, **settings)
    again = trial("stopped")
    again.run(evaluate=scripted([0.4, 0.3]), **settings)
    assert equal(again.weights(), whole.weights())
    assert again.metrics() == whole.metrics()


def test_a_training_stopped_before_its_first_state_starts_over(trial, whole):
    stopped = trial("stopped")
    objective = StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=6)
    with pytest.raises(StoppedError):
        stopped.run(objective=objective, checkpoint_minutes=99)
    again = trial("stopped")
    again.run(checkpoint_minutes=99)
    assert equal(again.weights(), whole().weights)
    assert again.metrics() == whole().metrics


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before(trial, whole, caplog, damage):
    settings = {"checkpoint_minutes": 1e-9}
    stopped = trial("stopped", dropout=0.1)
    with pytest.raises(StoppedError):
        stopped.run(
            objective=StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=8), **settings
        )
    older, newest = sorted((stopped.folder / "state").glob("step-*.pt"))
    assert (older.name[:13], newest.name[:13]) == ("step-00000006", "step-00000007")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"truncated": content[:-100], "flipped": content, "empty": b""}[damage]
    newest.write_bytes(damaged)
    again = trial("stopped", dropout=0.1)
    counting = StopsAt(again.checkpoint.task, again.examples, FitRecipe(), at=-1)
    with caplog.at_level(logging.WARNING):
        again.run(objective=counting, **settings)
    assert f"{newest} is damaged" in caplog.text
    assert counting.calls == 12 - 6
    assert equal(again.weights(), whole(dropout=0.1, gradient_accumulation_steps=1).weights)
    assert again.metrics() == whole(dropout=0.1, gradient_accumulation_steps=1).metrics


def test_accumulated_parts_give_the_whole_batch(trial):
    weights = {}
    for accumulate in (1, 3, 100):
        one = trial(f"parts-{accumulate}")
        one.run(gradient_accumulation_steps=accumulate, epochs=1, evaluate=scripted([0.1]))
        weights[accumulate] = one.weights()
    start = trial("start").weights()
    moved = max((weights[1][name] - start[name]).abs().max() for name in start)
    assert moved > 1e-3
    for accumulate in (3, 100):
        for name, value in weights[accumulate].items():
            if "key.bias" in name:
                continue  # attention does not depend on it: its gradient is rounding alone
            torch.testing.assert_close(value, weights[1][name], rtol=0, atol=1e-5)


def test_one_step_is_adamw_by_hand(trial):
    one = trial("adamw")
    start = one.weights()
    one.run(
        epochs=1, batch_size=30, warmup=0.0, weight_decay=0.1, max_grad_norm=1e9, evaluate=scripted([0.5])
    )
    # Adam's first step is the sign of the gradient times the rate, and decay shrinks matrices only.
    after = one.weights()
    matrix, bias = (
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.0.output.dense.bias",
    )
    moved = (after[matrix] - start[matrix] * (1 - 2e-3 * 0.1)).abs()
    assert moved.median().item() == pytest.approx(2e-3, rel=0.02)
    assert (after[bias] - start[bias]).abs().median().item() == pytest.approx(2e-3, rel=0.02)
    norm = "bert.embeddings.LayerNorm.weight"
    assert (after[norm] - start[norm]).abs().max().item() == pytest.approx(2e-3, rel=0.02)


def test_gradients_are_clipped_to_their_norm(trial, monkeypatch):
    from accelerate import Accelerator

    norms = []
    clip_norm = Accelerator.clip_grad_norm_

    def watched(self, parameters, limit):
        found = clip_norm(self, parameters, limit)
        after = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        norms.append((float(found), float(after)))
        return found

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", watched)
    trial("clip").run(max_grad_norm=0.05, epochs=1)
    assert len(norms) == 4
    assert all(before > 0.05 for before, _ in norms)
    assert all(after == pytest.approx(0.05, rel=1e-3) for _, after in norms)


def test_a_collapse_is_logged(trial, caplog):
    with caplog.at_level(logging.INFO):
        result = trial("collapse").run(evaluate=scripted([0.5, 0.2, 0.1], collapsed={0, 1}))
    assert result.collapsed
    assert "COLLAPSED to one label" in caplog.text
    assert "trial collapsed: its best weights" in caplog.text
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2  # at once, and at the end; not at each evaluation
    assert all("Lower learning_rate, set dropout = 0" in record.getMessage() for record in warned)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        result = trial("recovers").run(evaluate=scripted([0.2, 0.5, 0.1], collapsed={0}))
    assert not result.collapsed
    assert "its best weights" not in caplog.text


def test_dev_scorer_sees_a_collapse(make_checkpoint, make_examples):
    checkpoint, dev = make_checkpoint(), make_examples(12)
    with torch.no_grad():
        checkpoint.model.classifier.weight.zero_()
        checkpoint.model.classifier.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    score = dev_scorer(checkpoint, dev)()
    assert score.collapsed
    gold = np.array([checkpoint.task.index_of(example) for example in dev])
    assert score.detail["dev/accuracy"] == pytest.approx((gold == 1).mean())
    assert score.score == score.detail["dev/macro_f1"] < score.detail["dev/accuracy"]
    alike = [example for example in dev if checkpoint.task.index_of(example) == 1]
    assert not dev_scorer(checkpoint, alike)().collapsed


class NotFinite(Objective):
    """A loss that is not a number from the third step on."""

    def __init__(self, value):
        super().__init__()
        self.value, self.calls = value, 0

    def forward(self, model, inputs, rows):  # noqa: ARG002 - every objective gets them
        self.calls += 1
        loss = model(**inputs).logits.sum(-1) * 0 + 1
        return {"good": loss, "bad": loss * (self.value if self.calls == 3 else 1.0)}


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_is_an_error(trial, value):
    one = trial("spoilt")
    with pytest.raises(RunError, match=r"not finite at step 2 .*'bad': (inf|nan).* lower learning_rate"):
        one.run(objective=NotFinite(value), checkpoint_minutes=1e-9)
    state = TrainingStates(one.folder / "state").latest()
    assert state["step"] == 2
    assert all(torch.isfinite(value).all() for value in state["model"].values())


class Projected(Objective):
    """Has weights of its own, which the loop must train, save and restore."""

    def __init__(self, at=-1):
        super().__init__()
        torch.manual_seed(0)
        self.projection = nn.Linear(3, 3)
        self.at, self.calls = at, 0

    def forward(self, model, inputs, rows):  # noqa: ARG002 - every objective gets them
        self.calls += 1
        if self.calls == self.at:
            raise StoppedError
        return {"match": (self.projection(model(**inputs).logits) - 1).pow(2).mean(-1)}


def test_weights_of_the_objective_are_trained_and_resumed(trial):
    settings = {"checkpoint_minutes": 1e-9}
    whole, start = Projected(), Projected().state_dict()
    trial("whole").run(objective=whole, evaluate=scripted([0.1, 0.2, 0.3]), **settings)
    assert not equal(whole.state_dict(), start)
    with pytest.raises(StoppedError):
        trial("stopped").run(objective=Projected(at=7), evaluate=scripted([0.1, 0.2, 0.3]), **settings)
    resumed = Projected()
    trial("stopped").run(objective=resumed, evaluate=scripted([0.2, 0.3]), **settings)
    assert equal(resumed.state_dict(), whole.state_dict())


def test_several_precisions_in_one_process(trial):
    for precision in ("fp32", "bf16", "auto", "fp32"):
        result = trial(precision).run(precision=precision, epochs=1)
        assert 0 <= result.best_score <= 1


def test_bf16_trains_as_fp32_does(trial):
    """A weight changes as in fp32, to a tenth of the change on average."""
    found, start = {}, trial("start").weights()
    for precision in ("fp32", "bf16"):
        one, dtypes = trial(precision), set()
        one.checkpoint.model.classifier.register_forward_hook(lambda *a, d=dtypes: d.add(a[2].dtype))
        one.run(
            precision=precision,
            gradient_accumulation_steps=2,
            epochs=1,
            learning_rate=1e-4,
            evaluate=scripted([0.1]),
        )
        assert dtypes == {torch.bfloat16 if precision == "bf16" else torch.float32}
        found[precision] = one.weights()
    moved = sum((found["fp32"][name] - start[name]).abs().sum() for name in start)
    apart = sum((found["fp32"][name] - found["bf16"][name]).abs().sum() for name in start)
    assert 0 < apart < 0.1 * moved


@pytest.mark.parametrize("sampling", ["sqrt", "balanced"])
def test_a_stopped_sampled_training_resumes_exactly(trial, whole, sampling):
    settings = {"sampling": sampling, "layer_decay": 0.7}
    stopped = trial("stopped")
    objective = StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=6)
    with pytest.raises(StoppedError):
        stopped.run(objective=objective, checkpoint_minutes=1e-9, **settings)
    again = trial("stopped")
    again.run(checkpoint_minutes=1e-9, **settings)
    assert equal(again.weights(), whole(**settings).weights)
    assert again.metrics() == whole(**settings).metrics


class Recording(HardLabels):
    """Hard labels, recording the rows and an input of each batch."""

    def __init__(self, *arguments, name="input_ids"):
        super().__init__(*arguments)
        self.name, self.seen = name, []

    def forward(self, model, inputs, rows):
        self.seen.append((rows.tolist(), inputs[self.name].clone()))
        return super().forward(model, inputs, rows)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_token_dropout_hides_text_and_nothing_else(trial, share):
    one = trial("hides")
    encoder = one.checkpoint.encoder
    recording = Recording(one.checkpoint.task, one.examples, FitRecipe())
    one.run(objective=recording, token_dropout=share, epochs=4)
    encodings, changed, text = encoder.encode(one.examples), 0, 0
    for rows, ids in recording.seen:
        for row, shown in zip(rows, ids, strict=True):
            before = torch.from_numpy(encodings[row].ids).long()
            now, free = shown[: len(before)], ~torch.isin(before, torch.tensor(sorted(encoder.special_ids)))
            assert torch.equal(now[~free], before[~free])
            assert set(now[free & (now != before)].tolist()) <= {encoder.mask_id}
            changed, text = changed + int((now != before).sum()), text + int(free.sum())
            assert (shown[len(before) :] == encoder.pad).all()
    assert changed / text == pytest.approx(share, abs=0.05)
    assert encoder.mask_id == encoder.tokenizer.token_to_id("[MASK]")


def test_frozen_layers_stay_as_they_are(trial):
    from attar.models.encoders import freeze_first

    one = trial("frozen")
    freeze_first(one.checkpoint.model, 1)
    start = one.weights()
    one.run(epochs=1)
    after = one.weights()
    still = {name for name in start if torch.equal(start[name], after[name])}
    assert still == {n for n in start if ".embeddings." in n or ".layer.0." in n}


def test_above_frozen_layers_hidden_tokens_are_masked(trial):
    one = trial("masked")
    whole = one.checkpoint
    one.checkpoint = trainable_part(whole, 1, bf16=False)
    recording = Recording(whole.task, one.examples, FitRecipe(), name="attention_mask")
    one.run(objective=recording, token_dropout=0.4, epochs=4)
    encodings, hidden, text = whole.encoder.encode(one.examples), 0, 0
    for rows, masks in recording.seen:
        for row, mask in zip(rows, masks, strict=True):
            ids = torch.from_numpy(encodings[row].ids).long()
            free = ~torch.isin(ids, torch.tensor(sorted(whole.encoder.special_ids)))
            assert mask[: len(ids)][~free].all()
            assert not mask[len(ids) :].any()
            hidden, text = hidden + int((mask[: len(ids)] == 0).sum()), text + int(free.sum())
    assert hidden / text == pytest.approx(0.4, abs=0.05)


def test_no_examples(trial):
    one = trial("none")
    one.examples = []
    with pytest.raises(RecipeError, match="no training examples"):
        one.run(evaluate=scripted([0.5]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes in fp16")
def test_fp16_needs_a_gpu(trial):
    with pytest.raises(RecipeError, match="needs a GPU"):
        trial("fp16").run(precision="fp16")


def test_fewer_examples_than_a_batch(trial):
    result = trial("small").run(
        batch_size=500, gradient_accumulation_steps=4, epochs=0.1, evaluate=scripted([0.4])
    )
    assert (result.total_steps, result.best_step) == (1, 1)


CLASSIC = {
    "optimiser": "bert_adam",
    "schedule": "slanted_triangular",
    "schedule_options": (30.0, 0.0, 1.0),
    "drop_last": True,
    "evaluations_per_epoch": 2,
    "keep": "last",
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_classic_settings_learn_too(trial, precision):
    one = trial("classic")
    result = one.run(**CLASSIC, epochs=16, precision=precision)
    losses = [line["loss/hard"] for line in one.metrics() if "loss/hard" in line]
    assert losses[-1] < 0.3 * losses[0]
    assert result.total_steps == 30 // 8 * 16
    assert all(value.dtype == torch.float32 for value in one.weights().values())


@pytest.mark.parametrize("stops_at", [3, 7])
def test_a_stopped_classic_training_resumes_exactly(trial, whole, stops_at):
    settings, expected = CLASSIC | {"checkpoint_minutes": 1e-9}, whole(dropout=0.1, **CLASSIC)
    stopped = trial("stopped", dropout=0.1)
    with pytest.raises(StoppedError):
        stopped.run(
            objective=StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=stops_at), **settings
        )
    again = trial("stopped", dropout=0.1)
    again.run(**settings)
    assert equal(again.weights(), expected.weights)
    assert again.metrics() == expected.metrics


def test_bert_adam_gets_unclipped_gradients(trial, monkeypatch):
    """It clips by itself; the global norm must not be clipped before."""
    from accelerate import Accelerator

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *_: pytest.fail("clipped twice"))
    one = trial("bert-adam")
    start = one.weights()
    one.run(optimiser="bert_adam", epochs=1, batch_size=30, warmup=0.0, evaluate=scripted([0.5]))
    name = "bert.encoder.layer.0.output.dense.bias"
    # The first step of Adam without bias correction: rate 0.1 g / sqrt(0.001 g^2).
    moved = (one.weights()[name] - start[name]).abs().median()
    assert moved.item() == pytest.approx(2e-3 * 0.1 / 0.001**0.5, rel=0.05)


def test_the_last_weights_are_kept(trial):
    one, seen = trial("last"), []
    evaluate = scripted([0.1, 0.9, 0.3], seen=seen, model=one.checkpoint.model)
    result = one.run(evaluate=evaluate, keep="last")
    assert equal(one.weights(), seen[2])
    assert not equal(one.weights(), seen[1])
    assert (result.best_score, result.best_step) == (0.3, 12)


def test_the_mean_of_the_last_weights_is_kept(trial):
    """Of 12 steps the last three; what was saved after each of them says what the mean must be."""
    one, after = trial("mean"), {}
    one.run(
        evaluations_per_epoch=4,
        keep="last",
        after_evaluation=lambda step, _: after.update({step: one.weights()}),
    )
    mean = trial("kept")
    scored = []
    evaluate = scripted([0.1, 0.9, 0.3, 0.6], seen=scored, model=mean.checkpoint.model)
    result = mean.run(keep="mean", evaluate=evaluate)
    for name, value in mean.weights().items():
        expected = torch.stack([after[step][name].double() for step in (10, 11, 12)]).mean(0)
        assert torch.allclose(value.double(), expected, atol=1e-7), name
    assert not equal(mean.weights(), after[12])
    assert equal(mean.weights(), scored[-1])  # what is kept is what the last score is of
    assert (result.best_score, result.best_step) == (0.6, 12)
    assert [entry["dev/score"] for entry in result.history] == [0.1, 0.9, 0.3]


@pytest.mark.parametrize("stops_at", [3, 11, 12])
def test_a_stopped_mean_resumes_exactly(trial, stops_at):
    settings = {"keep": "mean", "checkpoint_minutes": 1e-9}
    expected, stopped = trial("whole", dropout=0.1), trial("stopped", dropout=0.1)
    expected.run(**settings)
    with pytest.raises(StoppedError):
        stopped.run(
            objective=StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=stops_at), **settings
        )
    again = trial("stopped", dropout=0.1)
    again.run(**settings)
    assert equal(again.weights(), expected.weights())


def test_the_last_batch_of_an_epoch_is_left_out(trial):
    one = trial("drops")
    recording = Recording(one.checkpoint.task, one.examples, FitRecipe())
    result = one.run(objective=recording, drop_last=True, epochs=2)
    assert result.total_steps == 6
    assert [len(rows) for rows, _ in recording.seen] == [8] * 6
    with pytest.raises(RecipeError, match="30 training examples are fewer than batch_size = 31"):
        trial("none").run(drop_last=True, batch_size=31)


def test_after_evaluation_is_called_each_time(trial):
    one, calls = trial("hook"), []

    def after_evaluation(step, dev):
        calls.append((step, dev.score, one.weights()))

    seen = []
    evaluate = scripted([0.1, 0.9, 0.3], seen=seen, model=one.checkpoint.model)
    one.run(evaluate=evaluate, after_evaluation=after_evaluation)
    assert [(step, score) for step, score, _ in calls] == [(4, 0.1), (8, 0.9), (12, 0.3)]
    assert all(equal(ours, theirs) for (_, _, ours), theirs in zip(calls, seen, strict=True))


@pytest.mark.parametrize("stops_in", [4, 8, 12])
@pytest.mark.parametrize("minutes", [1e-9, 99])
def test_no_call_is_lost_or_changed_by_a_kill(trial, whole, stops_in, minutes):
    def run(one, calls, stops_in=None):
        def after_evaluation(step, dev):
            if step == stops_in:
                raise StoppedError
            weights = one.weights()
            assert step not in calls or equal(calls[step][1], weights)
            calls[step] = (dev.score, weights)

        one.run(after_evaluation=after_evaluation, checkpoint_minutes=minutes)

    expected, in_pieces = whole(dropout=0.1, gradient_accumulation_steps=1).calls, {}
    with pytest.raises(StoppedError):
        run(trial("stopped", dropout=0.1), in_pieces, stops_in)
    run(trial("stopped", dropout=0.1), in_pieces)
    assert in_pieces.keys() == expected.keys() == {4, 8, 12}
    for step, (score, weights) in expected.items():
        assert in_pieces[step][0] == score
        assert equal(in_pieces[step][1], weights)


def test_losses_are_logged_at_the_interval(trial, caplog):
    with caplog.at_level(logging.INFO):
        trial("not-logged").run()
    assert "loss" not in caplog.text
    with caplog.at_level(logging.INFO):
        trial("logged").run(log_interval=5)
    shown = [record.getMessage() for record in caplog.records if "hard loss" in record.getMessage()]
    assert [line.split(",")[0] for line in shown] == ["trial: step 5 of 12", "trial: step 10 of 12"]
    assert all(", rate " in line for line in shown)


def test_a_kill_while_the_log_is_cut_loses_nothing(trial, monkeypatch):
    settings = {"checkpoint_minutes": 1e-9}
    stopped = trial("stopped")
    with pytest.raises(StoppedError):
        stopped.run(
            objective=StopsAt(stopped.checkpoint.task, stopped.examples, FitRecipe(), at=11), **settings
        )
    before = stopped.metrics()
    assert len(before) == 3

    def killed(path, text, *arguments):
        path.write_bytes(text.encode(*arguments)[: len(text) // 2])
        raise StoppedError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", killed)
        with pytest.raises(StoppedError):
            trial("stopped").run(**settings)
    assert stopped.metrics() == before
    assert sorted(p.name for p in stopped.folder.iterdir()) == ["metrics.jsonl", "state", "tensorboard"]


def test_a_stage_can_leave_a_classic_file_at_each_evaluation(make_checkpoint, make_examples, tmp_path):
    from attar.classic.checkpoint import save_classic
    from attar.classic.weights import read_weights
    from attar.models.checkpoint import load_checkpoint
    from attar.training.stage import fit_and_save

    checkpoint, examples = make_checkpoint(), make_examples(30)
    settings = FitRecipe(**(SETTINGS | CLASSIC | {"epochs": 2, "head_init": "random"}))
    fit_and_save(
        checkpoint,
        examples,
        HardLabels(checkpoint.task, examples, FitRecipe(class_weights="none")),
        settings,
        examples[:12],
        tmp_path / "out",
        seed=3,
        notes={"role": "teacher"},
        after_evaluation=lambda step, _: save_classic(checkpoint, tmp_path / f"gs{step}.pkl"),
    )
    steps = sorted(int(path.stem[2:]) for path in tmp_path.glob("gs*.pkl"))
    assert steps == [1, 3, 4, 6]
    kept = load_checkpoint(tmp_path / "out").model.state_dict()
    assert equal(read_weights(tmp_path / "gs6.pkl"), dict(kept))
    assert not equal(read_weights(tmp_path / "gs4.pkl"), dict(kept))

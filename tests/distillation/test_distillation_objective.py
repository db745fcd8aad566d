"""What the student minimises: both losses, weighted, looked up by row."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from attar.distillation.dynamic import cwsm_temperature, flsw_temperature
from attar.distillation.features import forward_with_features
from attar.distillation.losses.logits import logit_mse, soft_cross_entropy, soft_label_loss
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import Match, wanted
from attar.distillation.objective import Distillation
from attar.distillation.teacher_outputs import CachedLogits, OnlineTeacher, TeacherEnsemble, TeacherOutput
from attar.errors import RecipeError
from attar.models.checkpoint import batch_to
from attar.recipe.load import DistillRecipe
from attar.task import Example, task_by_name
from attar.training.objectives import HardLabels, class_weights, hard_label_loss

TASK = task_by_name("cosmetics")


class Echo(nn.Module):
    """A model whose logits are its input."""

    def forward(self, logits):
        return type("Out", (), {"logits": logits})


@pytest.mark.parametrize(("soft", "hard"), [(1.0, 0.5), (0.3, 0.0), (0.0, 2.0)])
def test_losses_are_weighted_and_looked_up(make_examples, soft, hard):
    examples = make_examples(9)
    teacher = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    recipe = DistillRecipe(temperature=3, soft_weight=soft, hard_weight=hard, class_weights="balanced")
    objective = Distillation(TASK, examples, CachedLogits(teacher), recipe)
    rows, logits = torch.tensor([8, 0, 4, 4]), torch.randn(4, 3)
    losses = objective(Echo(), {"logits": logits}, rows)
    labels = torch.tensor([TASK.index_of(examples[i]) for i in rows])
    weights = class_weights(TASK, examples, "balanced")
    if soft:
        torch.testing.assert_close(
            losses["soft"], soft * soft_label_loss(logits, torch.from_numpy(teacher)[rows], 3.0)
        )
    torch.testing.assert_close(losses["hard"], hard * hard_label_loss(logits, labels, weights))
    assert set(losses) == ({"soft", "hard"} if soft else {"hard"})
    assert objective.state_dict() == {}


def test_examples_without_a_label_have_soft_labels_only(make_examples):
    labelled = make_examples(6)
    examples = [*labelled, *(Example(e.text, e.start, e.end) for e in make_examples(4, seed=3))]
    teacher = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    recipe = DistillRecipe(soft_weight=1.0, hard_weight=1.0, class_weights="balanced")
    rows, logits = torch.tensor([2, 7, 9, 5]), torch.randn(4, 3)
    losses = Distillation(TASK, examples, CachedLogits(teacher), recipe)(Echo(), {"logits": logits}, rows)
    alone = Distillation(TASK, labelled, CachedLogits(teacher[:6]), recipe)(
        Echo(), {"logits": logits[[0, 3]]}, rows[[0, 3]]
    )
    assert losses["hard"][[1, 2]].tolist() == [0, 0]
    torch.testing.assert_close(losses["hard"][[0, 3]], alone["hard"])
    assert (losses["soft"] > 0).all()


def test_an_example_without_a_label_is_sampled_by_the_teachers_label(make_examples):
    labelled = make_examples(6)
    examples = [*labelled, *(Example(e.text, e.start, e.end) for e in make_examples(40, seed=3))]
    teacher = np.random.default_rng(0).normal(size=(46, 3)).astype(np.float32)
    objective = Distillation(TASK, examples, CachedLogits(teacher), DistillRecipe(soft_weight=1.0))
    expected = [*(TASK.index_of(e) for e in labelled), *teacher[6:].argmax(1).tolist()]
    assert objective.row_labels() == expected
    silent = Distillation(TASK, examples, lambda _: TeacherOutput(None), DistillRecipe(sampling="balanced"))
    with pytest.raises(RecipeError, match=r"distill.sampling = 'balanced' needs the label.*soft_weight"):
        silent.row_labels()


def soft_of(make_examples, logits, teacher, **settings):
    recipe = DistillRecipe(temperature=3, soft_weight=1.0, hard_weight=0.0, **settings)
    objective = Distillation(TASK, make_examples(4), CachedLogits(teacher.numpy()), recipe)
    return objective(Echo(), {"logits": logits}, torch.arange(4))["soft"]


def test_kinds_of_soft_loss_and_temperature(make_examples):
    logits, teacher = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))

    def soft(**settings):
        return soft_of(make_examples, logits, teacher, **settings)

    torch.testing.assert_close(soft(soft_loss="ce"), soft_cross_entropy(logits, teacher, 3.0))
    torch.testing.assert_close(soft(soft_loss="mse"), logit_mse(logits, teacher, 3.0))
    focal = flsw_temperature(logits, teacher, 3.0, 2.0, 1.5)
    settings = {"dynamic_temperature": "flsw", "dynamic_beta": 2.0, "dynamic_gamma": 1.5}
    torch.testing.assert_close(soft(**settings), soft_label_loss(logits, teacher, focal))
    sure = cwsm_temperature(logits, 3.0, 2.0)
    settings = {"dynamic_temperature": "cwsm", "dynamic_beta": 2.0, "soft_loss": "ce"}
    torch.testing.assert_close(soft(**settings), soft_cross_entropy(logits, teacher, sure))


def test_weights_fall_and_grow_with_the_progress(make_examples):
    recipe = DistillRecipe(
        soft_weight=2.0, hard_weight=1.0, soft_schedule="linear_decay", hard_schedule="linear_growth"
    )
    teacher = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    objective = Distillation(TASK, make_examples(4), CachedLogits(teacher), recipe)
    logits = {"logits": torch.randn(4, 3)}
    found = []
    for progress in (0.0, 0.25, 1.0):
        objective.progress = progress
        found.append(objective(Echo(), logits, torch.arange(4)))
    assert found[0]["hard"].abs().max() == found[2]["soft"].abs().max() == 0
    torch.testing.assert_close(found[1]["soft"], 0.75 * found[0]["soft"])
    torch.testing.assert_close(found[1]["hard"], 0.25 * found[2]["hard"])


def test_the_weight_of_an_example_multiplies_its_hard_loss(make_examples):
    examples = make_examples(8)
    halves = [replace(e, weight=0.5 if i % 2 else 1.0) for i, e in enumerate(examples)]
    teacher, logits = np.zeros((8, 3), np.float32), {"logits": torch.randn(8, 3)}
    recipe = DistillRecipe(hard_weight=1.0, class_weights="none")
    rows, factors = torch.arange(8), torch.tensor([1.0, 0.5] * 4)
    whole, half = (
        Distillation(TASK, these, CachedLogits(teacher), recipe)(Echo(), logits, rows)
        for these in (examples, halves)
    )
    torch.testing.assert_close(half["hard"], factors * whole["hard"])
    torch.testing.assert_close(half["soft"], whole["soft"])
    whole, half = (
        HardLabels(TASK, these, recipe)(Echo(), logits, rows)["hard"] for these in (examples, halves)
    )
    torch.testing.assert_close(half, factors * whole)


def test_a_class_is_as_large_as_its_examples_weigh(make_examples):
    examples = make_examples(9)
    split = [replace(e, weight=0.5) for e in examples for _ in range(2)]
    torch.testing.assert_close(
        class_weights(TASK, split, "balanced"), class_weights(TASK, examples, "balanced")
    )


def test_a_class_may_weigh_less_than_one_example(make_examples):
    few = [e for e in make_examples(60) if e.label != "中性"][:3]
    examples = [replace(few[0], label="消极", weight=0.5), *(replace(e, label="积极") for e in few)]
    torch.testing.assert_close(
        class_weights(TASK, examples, "balanced"), torch.tensor([3.5 / 1.5, 1.0, 3.5 / 9])
    )


def test_speakers_are_averaged_and_features_come_from_the_one_that_has_them():
    rows = torch.tensor([1, 0])
    first, second = (np.arange(6, dtype=np.float32).reshape(2, 3) * factor for factor in (1, 10))
    answer = TeacherEnsemble([(0.25, CachedLogits(first)), (0.75, CachedLogits(second))])(rows)
    assert answer.logits.tolist() == (0.25 * first + 0.75 * second)[[1, 0]].tolist()
    assert answer.features is None
    shown = TeacherOutput(torch.full((2, 3), 9.0), features="seen")
    answer = TeacherEnsemble([(0.0, lambda _: shown), (1.0, CachedLogits(first))])(rows)
    assert (answer.logits.tolist(), answer.features) == (first[[1, 0]].tolist(), "seen")
    assert TeacherEnsemble([(0.0, lambda _: shown)])(rows).logits is None


@pytest.fixture
def pair(make_checkpoint, make_examples):
    """A student, a teacher beside it, their examples and matches of hidden states and relations."""
    student, teacher, examples = (
        make_checkpoint(seed=3),
        make_checkpoint("electra", seed=4),
        make_examples(10),
    )
    matches = (Match("hidden", "hidden_mse", 2, 1, projection=(32, 32)), Match("value", "relation", 2, 2))
    online = OnlineTeacher(teacher, examples, wanted(matches).teacher)
    torch.manual_seed(0)
    return student, examples, online, MatchLosses(matches, 32, 32, weigh_by="examples")


def run(pair, objective, rows, hide=()):
    student, examples, *_ = pair
    encodings = student.encoder.encode(examples)
    inputs = batch_to(student, [encodings[i] for i in rows.tolist()])
    for place in hide:
        inputs["input_ids"][:, place] = student.encoder.mask_id
    return objective(student.model, inputs, rows)


def objective_of(pair, **settings):
    _, examples, online, losses = pair
    providers = [(0.0, online), (1.0, CachedLogits(np.zeros((10, 3), np.float32)))]
    return Distillation(TASK, examples, TeacherEnsemble(providers), DistillRecipe(**settings), losses)


def test_matches_are_those_of_the_models_features(pair):
    student, examples, online, losses = pair
    rows = torch.tensor([7, 2, 5])
    objective = objective_of(pair)
    found = run(pair, objective, rows)
    assert set(found) == {"soft", "hard", *(match.name for match in losses.matches)}
    inputs = batch_to(student, [student.encoder.encode(examples)[i] for i in rows.tolist()])
    _, ours = forward_with_features(student.model, inputs, wanted(losses.matches).student)
    by_hand = losses(ours, online(rows).features, inputs["attention_mask"])
    for name, value in by_hand.items():
        torch.testing.assert_close(found[name], value)
    assert [name for name, _ in objective.named_parameters()] == [
        "matches.projections.0.weight",
        "matches.projections.0.bias",
    ]
    sum(value.sum() for value in found.values()).backward()
    assert all(p.grad is None for p in online.checkpoint.model.parameters())
    assert objective.matches.projections[0].weight.grad.abs().sum() > 0


def test_padding_counts_only_if_asked_for(pair):
    rows = torch.arange(6)
    masked, plain = (run(pair, objective_of(pair, mask_padding=m), rows) for m in (True, False))
    name = pair[3].matches[0].name
    alone = torch.cat([run(pair, objective_of(pair), rows[i : i + 1])[name] for i in range(6)])
    torch.testing.assert_close(masked[name], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain[name], alone, rtol=1e-3)


def test_no_logits_are_needed_where_they_weigh_nothing(pair):
    _, examples, online, losses = pair
    recipe = DistillRecipe(soft_weight=0, hard_weight=0, matches=("auto",))
    objective = Distillation(TASK, examples, TeacherEnsemble([(0.0, online)]), recipe, losses)
    found = run(pair, objective, torch.arange(3))
    assert "soft" not in found
    assert found.pop("hard").abs().max() == 0
    assert all((value > 0).all() for value in found.values())


def test_what_is_hidden_from_the_student_is_not_hidden_from_the_teacher(pair):
    online, losses = pair[2:]
    seen = []
    objective = objective_of(pair)
    objective.teacher = lambda rows: (
        seen.append(online(rows).features) or TeacherOutput(torch.zeros(3, 3), seen[-1])
    )
    rows = torch.tensor([1, 4, 6])
    open_, hidden = run(pair, objective, rows), run(pair, objective, rows, hide=(3, 5))
    torch.testing.assert_close(seen[0]["hidden"][2], seen[1]["hidden"][2])
    assert not torch.allclose(open_[losses.matches[0].name], hidden[losses.matches[0].name])

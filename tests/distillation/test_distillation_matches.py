"""Matches: the presets as data, what they want, and their losses on both models' features."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.distillation.losses.hidden import flow_loss, gram_loss, hidden_mse
from attar.distillation.losses.relations import relation_loss
from attar.distillation.match_losses import MatchLosses
from attar.distillation.matches import (
    EQUAL_WIDTHS,
    PRESET_MATCHES,
    Match,
    auto_hidden_matches,
    auto_matches,
    check_layers,
    wanted,
    with_projections,
)
from attar.errors import RecipeError

B, T, STUDENT, TEACHER = 4, 6, 8, 12
LENGTHS = torch.tensor([6, 3, 5, 2])
MASK = (torch.arange(T) < LENGTHS[:, None]).long()

# The original's table: name -> loss, layers of the teacher, of the student, widths projected.
ATTENTION = {
    f"L{depth}_attention_{kind}": (f"attention_{kind}", teacher, range(1, depth + 1), None)
    for depth, teacher in ((3, (4, 8, 12)), (4, (3, 6, 9, 12)))
    for kind in ("mse", "mse_sum", "ce", "ce_mean")
}
HIDDEN = {
    "L3_hidden_smmd": ("mmd", (0, 4, 8, 12), range(4), None),
    "L3_hidden_mse": ("hidden_mse", (0, 4, 8, 12), range(4), None),
    "L3n_hidden_mse": ("hidden_mse", (0, 4, 8, 12), range(4), (384, 768)),
    "L4_hidden_smmd": ("mmd", (0, 3, 6, 9, 12), range(5), None),
    "L4t_hidden_mse": ("hidden_mse", (0, 3, 6, 9, 12), range(5), (312, 768)),
    "L4t_hidden_sgram": ("gram", (0, 3, 6, 9, 12), range(5), (312, 768)),
    "L6_hidden_smmd": ("mmd", range(0, 13, 2), range(7), None),
    "L6_hidden_mse": ("hidden_mse", range(0, 13, 2), range(7), None),
    "small_hidden_smmd": ("mmd", range(0, 13, 2), range(0, 13, 2), None),
    "small_hidden_mse": ("hidden_mse", range(0, 13, 2), range(0, 13, 2), (256, 768)),
}
OURS = {"L4_hidden_nst", "L4t_hidden_cos", "L4t_hidden_flow", "L4t_hidden_pkd"}


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def features(width, heads, seed, layers=4):
    """Everything of so many layers."""
    count = iter(range(seed, seed + 100))
    first = {"hidden": 0, "attention": 1, "query": 1, "key": 1, "value": 1}
    return {
        name: {
            k: drawn(B, *((heads, T, T) if name == "attention" else (T, width)), seed=next(count))
            for k in range(lowest, layers + 1)
        }
        for name, lowest in first.items()
    }


def one_of_each():
    """Every loss on every feature that it takes, between layers 2 and 4."""
    hidden = ("hidden_mse", "cos", "pkd", "mmd", "nst", "gram", "fsp")
    hidden += ("rkd_distance", "rkd_angle", "contrastive")
    attention = ("attention_mse", "attention_mse_sum", "attention_ce", "attention_ce_mean")
    return with_projections(
        [
            *(Match("hidden", loss, 4, 2) for loss in hidden),
            *(Match("attention", loss, 4, 2) for loss in attention),
            *(Match(feature, "relation", 4, 2) for feature in ("query", "key", "value")),
        ],
        STUDENT,
        TEACHER,
    )


def test_presets_are_the_originals():
    assert len(ATTENTION | HIDDEN) == 18
    assert set(PRESET_MATCHES) == set(ATTENTION | HIDDEN) | OURS
    for name, (loss, teacher, student, projection) in (ATTENTION | HIDDEN).items():
        matches = PRESET_MATCHES[name]
        assert [m.teacher_layer for m in matches] == list(teacher), name
        assert [m.student_layer for m in matches] == list(student), name
        assert {(m.loss, m.weight, m.projection) for m in matches} == {(loss, 1.0, projection)}, name
    assert [(m.teacher_layer, m.student_layer) for m in PRESET_MATCHES["L4t_hidden_flow"]] == [
        ((0, 3), (0, 1)), ((3, 6), (1, 2)), ((6, 9), (2, 3)), ((9, 12), (3, 4)),
    ]  # fmt: skip


def test_names_say_the_loss_and_the_layers():
    assert Match("hidden", "hidden_mse", 12, 4).name == "hidden_mse@4-12"
    assert Match("hidden", "mmd", (12, 12), (4, 4)).name == Match("hidden", "mmd", 12, 4).name == "mmd@4-12"
    assert Match("hidden", "fsp", (9, 12), (3, 4)).name == "fsp@3,4-9,12"
    assert Match("attention", "attention_ce", 12, 4).name == "attention_ce@4-12"
    assert Match("query", "relation", 12, 4).name == "query_relation@4-12"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hidden", "hidden_msee", 1, 1), "no loss is called 'hidden_msee'; did you mean 'hidden_mse'"),
        (("hidden", "zzz", 1, 1), "no loss is called 'zzz'; there are hidden_mse, cos"),
        (("hidden", "relation", 1, 1), "relation compares query or key or value, not 'hidden'"),
        (("attention", "mmd", 1, 1), "mmd compares hidden, not 'attention'"),
        (("hidden", "cos", (1, 2), 1), r"cos takes one layer of each model, not \(1, 2\)"),
        (("hidden", "mmd", 1, 1, 1.0, (8, 12)), "mmd compares any widths; leave its projection out"),
    ],
)
def test_a_match_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(RecipeError, match=message):
        Match(*arguments)


@given(st.integers(1, 24), st.integers(1, 48))
def test_auto_fits_any_depths(student_layers, teacher_layers):
    matches = auto_matches(student_layers, teacher_layers)
    check_layers(matches, student_layers, teacher_layers)
    assert [m.feature for m in matches] == ["query", "key", "value"]
    assert {(m.loss, m.student_layer) for m in matches} == {("relation", student_layers)}


def test_auto_hidden_pairs_every_state_evenly_at_any_depths():
    def pairs(student_layers, teacher_layers):
        return [
            (m.student_layer, m.teacher_layer) for m in auto_hidden_matches(student_layers, teacher_layers)
        ]

    assert pairs(4, 12) == [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]
    assert pairs(1, 24) == [(0, 0), (1, 24)]
    assert pairs(5, 12) == [(0, 0), (1, 2), (2, 5), (3, 7), (4, 10), (5, 12)]
    assert pairs(4, 2) == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2)]  # a deeper student than its teacher


def test_auto_takes_the_last_layer_of_a_base_teacher_and_the_21st_of_24():
    assert {m.teacher_layer for m in auto_matches(4, 12)} == {12}
    assert {m.teacher_layer for m in auto_matches(4, 6)} == {6}
    assert {m.teacher_layer for m in auto_matches(4, 24)} == {21}


def test_layers_that_are_not_there_are_named():
    check_layers(PRESET_MATCHES["L4t_hidden_mse"], 4, 12)
    with pytest.raises(RecipeError, match=r"hidden_mse@3-9 wants layer 9 of the teacher.* are 0 to 6.*auto"):
        check_layers(PRESET_MATCHES["L4t_hidden_mse"], 4, 6)
    with pytest.raises(RecipeError, match="layer 3 of the student, whose hidden layers are 0 to 2"):
        check_layers(PRESET_MATCHES["L3_hidden_smmd"], 2, 12)
    with pytest.raises(RecipeError, match="layer 0 of the teacher, whose attention layers are 1 to 12"):
        check_layers([Match("attention", "attention_mse", 0, 1)], 4, 12)


def test_wanted_names_each_layer_once():
    asked = wanted((*PRESET_MATCHES["L4t_hidden_flow"], *auto_matches(4, 12), Match("hidden", "cos", 1, 1)))
    last = {"query": (4,), "key": (4,), "value": (4,)}
    assert asked.student == {"hidden": (0, 1, 2, 3, 4)} | last
    assert asked.teacher == {"hidden": (0, 1, 3, 6, 9, 12), "query": (12,), "key": (12,), "value": (12,)}
    assert wanted(()) == ({}, {})


def test_projections_go_where_widths_differ():
    matches = (
        *PRESET_MATCHES["L4t_hidden_mse"][:1], *PRESET_MATCHES["L6_hidden_mse"][:1],
        *PRESET_MATCHES["L4_hidden_smmd"][:1],
    )  # fmt: skip
    assert [m.projection for m in with_projections(matches, 24, 32)] == [(24, 32), (24, 32), None]
    assert [m.projection for m in with_projections(matches, 32, 32)] == [(32, 32), None, None]


@pytest.mark.parametrize("loss", EQUAL_WIDTHS)
def test_widths_that_do_not_fit_are_refused(loss):
    with pytest.raises(RecipeError, match=r"8 wide and the teacher 12; give it projection = \(8, 12\)"):
        MatchLosses([Match("hidden", loss, 1, 1)], STUDENT, TEACHER)
    with pytest.raises(RecipeError, match="projects 312 to 768, but the student is 8 wide"):
        MatchLosses([Match("hidden", loss, 1, 1, 1.0, (312, 768))], STUDENT, TEACHER)


def test_losses_are_those_of_the_layers_weighted_and_named():
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    matches = (
        Match("hidden", "hidden_mse", 3, 1, 0.5, (STUDENT, TEACHER)),
        Match("hidden", "mmd", (0, 4), (0, 2), 2.0),
        Match("hidden", "gram", 4, 2, 1.0, (STUDENT, TEACHER)),
        Match("value", "relation", 4, 2, 3.0),
    )
    losses = MatchLosses(matches, STUDENT, TEACHER, weigh_by="examples", max_tokens=20)
    ours = losses(student, teacher, MASK)
    real, project = MASK.bool(), losses.projections
    flow = project[2](student["hidden"][2])
    expected = {
        "hidden_mse@1-3": 0.5 * hidden_mse(project[0](student["hidden"][1]), teacher["hidden"][3], real),
        "mmd@0,2-0,4": 2 * gram_loss(
            *((side["hidden"][a], side["hidden"][b]) for side, a, b in ((student, 0, 2), (teacher, 0, 4))),
            real, 20
        ),
        "gram@2-4": flow_loss((flow, flow), (teacher["hidden"][4], teacher["hidden"][4]), real),
        "value_relation@2-4": 3 * relation_loss(student["value"][2], teacher["value"][4], real),
    }  # fmt: skip
    assert list(ours) == list(expected)
    for name, value in expected.items():
        assert value.shape == (B,)
        torch.testing.assert_close(ours[name], value)


def test_a_match_that_is_there_twice_counts_twice():
    student, teacher = features(TEACHER, 2, 0), features(TEACHER, 2, 1000)
    match = Match("hidden", "cos", 4, 2)
    once = MatchLosses([match], TEACHER, TEACHER)(student, teacher, MASK)
    twice = MatchLosses([match, match], TEACHER, TEACHER)(student, teacher, MASK)
    torch.testing.assert_close(twice["cos@2-4"], 2 * once["cos@2-4"])


@pytest.mark.parametrize("match", one_of_each(), ids=lambda match: match.name)
def test_gradients_reach_the_student_and_the_projection_but_not_the_teacher(match):
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    used, aim = student[match.feature][2], teacher[match.feature][4]
    used.requires_grad_()
    aim.requires_grad_()
    losses = MatchLosses([match], STUDENT, TEACHER)
    sum(value.sum() for value in losses(student, teacher, MASK).values()).backward()
    assert used.grad.abs().sum() > 0
    assert aim.grad is None
    assert all(parameter.grad.abs().sum() > 0 for parameter in losses.projections[0].parameters())
    assert bool(list(losses.parameters())) == (match.loss in EQUAL_WIDTHS)


@pytest.mark.parametrize("weigh_by", ["tokens", "examples"])
@pytest.mark.parametrize("match", one_of_each(), ids=lambda match: match.name)
def test_padding_changes_nothing(match, weigh_by):
    losses = MatchLosses([match], STUDENT, TEACHER, weigh_by=weigh_by)
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    expected = losses(student, teacher, MASK)

    def longer(side, fill):
        widen = (0, 3, 0, 3) if match.feature == "attention" else (0, 0, 0, 3)
        layers = side[match.feature].items()
        return side | {match.feature: {k: F.pad(x, widen, value=fill) for k, x in layers}}

    padded = losses(longer(student, 50.0), longer(teacher, -9.0), F.pad(MASK, (0, 3)))
    torch.testing.assert_close(padded, expected)


def part(side, rows):
    return {name: {k: x[rows] for k, x in layers.items()} for name, layers in side.items()}


@pytest.mark.parametrize("weigh_by", ["tokens", "examples"])
def test_parts_of_a_batch_add_up_to_the_whole(weigh_by):
    matches = [m for m in one_of_each() if m.loss not in ("rkd_distance", "rkd_angle", "contrastive")]
    losses = MatchLosses(matches, STUDENT, TEACHER, weigh_by=weigh_by)
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    whole = losses(student, teacher, MASK)
    parts = [
        losses(part(student, rows), part(teacher, rows), MASK[rows], batch_lengths=LENGTHS)
        for rows in ([0, 2], [1], [3])
    ]
    for name, value in whole.items():
        torch.testing.assert_close(torch.cat([p[name] for p in parts]), value[[0, 2, 1, 3]])


def test_by_tokens_a_long_review_weighs_more_by_examples_the_same():
    # Each token is off by 1 in every number, so every example's own mean is 1.
    teacher = {"hidden": {0: drawn(B, T, TEACHER, seed=1)}}
    student = {"hidden": {0: teacher["hidden"][0] + 1}}
    match = Match("hidden", "hidden_mse", 0, 0)
    by_tokens, by_examples = (
        MatchLosses([match], TEACHER, TEACHER, weigh_by=kind)(student, teacher, MASK)["hidden_mse@0-0"]
        for kind in ("tokens", "examples")
    )
    assert by_tokens.tolist() == pytest.approx([6 / 4, 3 / 4, 5 / 4, 2 / 4])
    assert by_examples.tolist() == pytest.approx([1.0] * B)


def test_a_wanted_feature_that_was_not_captured_is_named():
    losses = MatchLosses([Match("query", "relation", 4, 2)], STUDENT, TEACHER)
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    message = "query_relation@2-4 wants layer 4 of the teacher, which has no query there"
    for broken in (teacher | {"query": {}}, teacher | {"query": {3: teacher["query"][3]}}, {}):
        with pytest.raises(RecipeError, match=message):
            losses(student, broken, MASK)
    with pytest.raises(RecipeError, match="layer 2 of the student"):
        losses(student | {"query": {1: student["query"][1]}}, teacher, MASK)


@pytest.mark.parametrize("loss", ["attention_mse", "attention_ce"])
def test_numbers_of_heads_that_differ_are_refused_where_heads_are_compared(loss):
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 3, 1000)
    with pytest.raises(RecipeError, match="student's heads are 2 and the teacher's 3; attention_mse_sum"):
        MatchLosses([Match("attention", loss, 4, 2)], STUDENT, TEACHER)(student, teacher, MASK)
    over_heads = {"attention_mse": "attention_mse_sum", "attention_ce": "attention_ce_mean"}[loss]
    value = MatchLosses([Match("attention", over_heads, 4, 2)], STUDENT, TEACHER)(student, teacher, MASK)
    assert all(torch.isfinite(x).all() for x in value.values())


def test_under_autocast_only_the_projections_are_half_precision():
    matches = one_of_each()
    losses = MatchLosses(matches, STUDENT, TEACHER)
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    full = losses(student, teacher, MASK)
    with torch.autocast("cpu", torch.bfloat16):
        half = losses(student, teacher, MASK)
    for name, value in full.items():
        assert half[name].dtype == torch.float32
        projected = any(m.projection for m in matches if m.name == name)
        torch.testing.assert_close(
            half[name], value, rtol=0.05 if projected else 0, atol=0.02 if projected else 0
        )


def test_the_state_holds_the_projections_alone_and_can_be_taken_up():
    matches = one_of_each()
    torch.manual_seed(0)
    losses, other = (MatchLosses(matches, STUDENT, TEACHER) for _ in range(2))
    state = losses.state_dict()
    assert len(state) == 2 * sum(m.projection is not None for m in matches)
    other.load_state_dict(state)
    student, teacher = features(STUDENT, 2, 0), features(TEACHER, 2, 1000)
    torch.testing.assert_close(other(student, teacher, MASK), losses(student, teacher, MASK))


def test_training_on_a_match_brings_the_models_together():
    torch.manual_seed(0)
    teacher = features(TEACHER, 2, 1000)
    states = torch.nn.Parameter(drawn(B, T, STUDENT, seed=1))
    losses = MatchLosses([Match("hidden", "hidden_mse", 1, 0, 1.0, (STUDENT, TEACHER))], STUDENT, TEACHER)
    optimiser = torch.optim.Adam([states, *losses.parameters()], lr=0.05)
    history = []
    for _ in range(60):
        loss = losses({"hidden": {0: states}}, teacher, MASK)["hidden_mse@0-1"].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < history[0] / 3

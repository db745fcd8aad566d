"""The steps of a training: how many, what they read, after which dev is scored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import RecipeError
from attar.recipe.load import FitRecipe
from attar.training.objectives import Objective
from attar.training.plan import StepPlan


def plan(count, seed=1, **settings):
    return StepPlan([3 + i % 7 for i in range(count)], FitRecipe(**settings), seed)


def original_evaluations(steps_per_epoch, times, epochs):
    """The steps at which the original evaluates, counted as it counts."""
    points = [int(steps_per_epoch * i / times) for i in range(times)]
    return [step for step in range(1, steps_per_epoch * epochs + 1) if step % steps_per_epoch in points]


def test_few_examples_are_read_more_often():
    made = plan(20, batch_size=8, epochs=2, min_steps=10)
    assert (made.steps_per_epoch, made.total_steps) == (3, 10)
    batches = list(made.batches_after(0))
    assert len(batches) == 10
    assert sorted(row for batch in batches[6:9] for row in batch) == list(range(20))
    assert made.evaluates_after(10)
    assert plan(20, batch_size=8, epochs=5, min_steps=10).total_steps == 15
    assert "min_steps" not in FitRecipe().model_dump()
    assert FitRecipe(min_steps=10).model_dump()["min_steps"] == 10


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 5), st.integers(1, 7), st.booleans())
def test_evaluations_are_where_the_original_has_them(count, size, epochs, times, drop_last):
    if drop_last and count < size:
        with pytest.raises(RecipeError, match="fewer than batch_size"):
            plan(count, batch_size=size, drop_last=True)
        return
    made = plan(count, epochs=epochs, batch_size=size, evaluations_per_epoch=times, drop_last=drop_last)
    assert made.steps_per_epoch == (count // size if drop_last else -(-count // size))
    assert made.total_steps == made.steps_per_epoch * epochs
    ours = [step for step in range(1, made.total_steps + 1) if made.evaluates_after(step)]
    assert ours == original_evaluations(made.steps_per_epoch, times, epochs)


def test_seven_steps_evaluated_twice():
    made = plan(70, epochs=2, batch_size=10, evaluations_per_epoch=2)
    assert [step for step in range(1, 15) if made.evaluates_after(step)] == [3, 7, 10, 14]


def test_the_last_step_is_always_evaluated():
    made = plan(70, epochs=1.3, batch_size=10)
    assert [step for step in range(1, made.total_steps + 1) if made.evaluates_after(step)] == [7, 10]


@given(st.integers(1, 150), st.integers(1, 20), st.integers(0, 40), st.booleans())
def test_what_is_left_is_the_end_of_the_whole(count, size, done, drop_last):
    if drop_last and count < size:
        return
    made = plan(count, epochs=2, batch_size=size, drop_last=drop_last)
    whole = list(made.batches_after(0))
    assert len(whole) == made.total_steps
    assert list(made.batches_after(done)) == whole[done:]
    for epoch in (0, 1):
        rows = [
            row for batch in whole[epoch * made.steps_per_epoch :][: made.steps_per_epoch] for row in batch
        ]
        assert len(rows) == len(set(rows)) == (count // size * size if drop_last else count)
    if drop_last:
        assert {len(batch) for batch in whole} == {size}


def test_what_an_epoch_leaves_out_is_drawn_not_the_longest():
    made = plan(38, epochs=60, batch_size=10, drop_last=True)
    seen = {row for batch in made.batches_after(0) for row in batch}
    assert seen == set(range(38))
    longest = [row for row in range(38) if row % 7 == 6]
    often = [sum(row in batch for batch in made.batches_after(0)) for row in longest]
    assert min(often) > 30  # of 60 epochs; a fair draw keeps each in 47


def test_a_sampled_epoch_reads_labels_as_asked_and_resumes():
    labels = [0] * 50 + [1] * 10 + [2] * 3
    recipe = FitRecipe(epochs=2, batch_size=8, sampling="balanced")
    made = StepPlan([3 + i % 7 for i in range(63)], recipe, 1, labels)
    whole = list(made.batches_after(0))
    assert len(whole) == made.total_steps == 16
    assert list(made.batches_after(11)) == whole[11:]
    for epoch in (whole[:8], whole[8:]):
        drawn = [labels[row] for batch in epoch for row in batch]
        assert [drawn.count(label) for label in (0, 1, 2)] == [21, 21, 21]
    first, second = (sorted(row for batch in epoch for row in batch) for epoch in (whole[:8], whole[8:]))
    assert first != second


def test_an_objective_without_labels_cannot_be_sampled():
    class Nothing(Objective):
        def forward(self, model, inputs, rows):
            raise NotImplementedError

    with pytest.raises(RecipeError, match="set sampling = 'shuffled'"):
        Nothing().row_labels()

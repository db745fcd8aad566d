"""Tasks: labels, spellings, what is refused."""

import pytest

from attar.errors import RecipeError
from attar.task import BUILT_IN_TASKS, Example, Task, task_by_name


@pytest.mark.parametrize(
    ("name", "labels", "window"),
    [
        ("cosmetics", ("消极", "中性", "积极"), None),
        ("newcos", ("消极", "中性", "积极"), 25),
        ("components", ("否", "是"), None),
    ],
)
def test_built_in_tasks(name, labels, window):
    task = task_by_name(name)
    assert (task.labels, task.window_chars, task.style, task.metric) == (
        labels,
        window,
        "marked_pair",
        "macro_f1",
    )
    assert task.has_term
    assert set(BUILT_IN_TASKS) == {"cosmetics", "newcos", "components"}


@pytest.mark.parametrize(
    ("spelling", "label"),
    [
        ("积极", "积极"),
        (" 消极 ", "消极"),
        ("-1", "消极"),
        ("neu", "中性"),
        ("1", "积极"),
        ("1.0", "积极"),
        ("-1.00", "消极"),
        ("1.5", None),
        ("好评", "积极"),
        ("差评", "消极"),
        ("中", "中性"),
        ("负", "消极"),
        ("pOsItIvE", "积极"),
        ("ＮＥＧ", "消极"),
        ("−１", "消极"),
        ("+1", "积极"),
        ("积极\u200b", "积极"),
        ("很好", None),
        ("", None),
    ],
)
def test_spellings_of_labels(spelling, label):
    assert task_by_name("cosmetics").label_of(spelling) == label


def test_components_accept_bits_and_letters():
    task = task_by_name("components")
    assert [task.label_of(s) for s in ("0", "1", "F", "T")] == ["否", "是", "否", "是"]
    assert [task.label_of(s) for s in ("true", "False", "YES", "n")] == ["是", "否", "是", "否"]


def test_usual_words_are_known_of_tasks_of_ones_own_too():
    task = Task("shop", ("差评", "好评"), aliases={"正面": "差评", "Neg": "好评", "neg": "差评"})
    assert [task.label_of(s) for s in ("消极", "positive", "中评")] == ["差评", "好评", None]
    assert task.label_of("正面") == "差评", "what the task says goes first"
    assert task.label_of("NEG") is None, "two aliases differ in case alone"


def test_more_aliases_of_a_task():
    task = task_by_name("cosmetics").with_aliases({"好": "positive", "0": "消极"})
    assert [task.label_of(s) for s in ("好", "0", "1", "neg")] == ["积极", "消极", None, "消极"]
    assert task.states_numbers
    assert not task_by_name("cosmetics").with_aliases({"好": "积极"}).states_numbers
    with pytest.raises(RecipeError, match=r"aliases name unknown labels.*its labels are 消极, 中性, 积极"):
        task_by_name("cosmetics").with_aliases({"好": "棒"})


def test_numbers_of_a_stored_task_are_assumed_where_they_are_the_built_in_ones():
    task = task_by_name("cosmetics")
    assert not Task.from_json(task.to_json()).states_numbers
    assert Task.from_json(task.with_aliases({"0": "消极"}).to_json()).states_numbers


def test_unknown_task_names_the_nearest():
    with pytest.raises(RecipeError, match=r"unknown task 'cosmetic'.*did you mean 'cosmetics'"):
        task_by_name("cosmetic")
    with pytest.raises(RecipeError, match=r"built in are cosmetics, newcos, components.*\[task\] table"):
        task_by_name("zzz")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": ("a",)}, "at least two different labels"),
        ({"labels": ("a", "a")}, "at least two different labels"),
        ({"style": "triple"}, "style 'triple'"),
        ({"window_chars": 0}, "window_chars must be 1 or more"),
        ({"aliases": {"x": "c"}}, "unknown labels"),
    ],
)
def test_tasks_that_are_not_valid(settings, said):
    with pytest.raises(RecipeError, match=said):
        Task(**({"name": "mine", "labels": ("a", "b")} | settings))


def test_json_round_trip():
    task = Task("mine", ("坏", "好"), "single", 9, "accuracy", {"0": "坏"})
    assert Task.from_json(task.to_json()) == task
    assert not task.has_term


def test_examples():
    example = Example("😀粉底液好", 1, 4, "积极")
    assert example.term == "粉底液"  # offsets are code points
    assert task_by_name("cosmetics").index_of(example) == 2
    with pytest.raises(AssertionError):
        task_by_name("cosmetics").index_of(Example("a", 0, 1))

"""The baselines learn what they should, from the right side of the term."""

import numpy as np
import pytest

from attar.errors import DataError
from attar.evaluation.baselines import Majority, WindowedLinear
from attar.task import BUILT_IN_TASKS, Example, Task

TASK = BUILT_IN_TASKS["cosmetics"]
WORDS = {"积极": ("很好", "真棒", "喜欢"), "消极": ("很差", "失望", "难用"), "中性": ("一般", "还行", "普通")}


def reviews(count, seed):
    """Two terms a review, each followed by its own judgement."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        labels = rng.choice(TASK.labels, 2)
        first, second = (str(rng.choice(WORDS[label])) for label in labels)
        text = f"遮瑕{first}，持妆{second}。"
        examples.append(Example(text, 0, 2, str(labels[0])))
        start = text.index("持妆")
        examples.append(Example(text, start, start + 2, str(labels[1])))
    return examples


def accuracy(model, examples):
    gold = [TASK.index_of(example) for example in examples]
    return (model(examples).argmax(1) == gold).mean()


@pytest.fixture(scope="module")
def linear():
    return WindowedLinear(TASK, reviews(60, 0), reviews(20, 1))


def test_linear_tells_the_terms_of_one_review_apart(linear):
    assert accuracy(linear, reviews(40, 2)) > 0.95
    assert linear.size_bytes > 1000
    assert linear.window_chars in (8, 12, 25, None)


def test_linear_gives_probs(linear):
    probs = linear(reviews(5, 3))
    assert probs.dtype == np.float32
    assert probs.shape == (10, 3)
    assert np.allclose(probs.sum(1), 1, atol=1e-5)
    assert linear([]).shape == (0, 3)


def test_linear_is_reproducible(linear):
    again = WindowedLinear(TASK, reviews(60, 0), reviews(20, 1))
    assert np.array_equal(linear(reviews(9, 4)), again(reviews(9, 4)))


def test_linear_leaves_a_label_it_never_saw_at_zero():
    seen = [example for example in reviews(60, 0) if example.label != "中性"]
    probs = WindowedLinear(TASK, seen, reviews(10, 1))(reviews(10, 2))
    assert (probs[:, TASK.labels.index("中性")] == 0).all()
    assert np.allclose(probs.sum(1), 1, atol=1e-5)


def test_linear_reads_whole_sentences_where_there_is_no_term():
    task = Task("single", ("bad", "good"), style="single")
    rng = np.random.default_rng(0)
    examples = [
        Example(f"这个真的{'好' if good else '差'}啊，第{i}次买", 0, 0, "good" if good else "bad")
        for i, good in enumerate(rng.random(60) < 0.5)
    ]
    model = WindowedLinear(task, examples[:40], examples[40:])
    gold = [task.index_of(example) for example in examples[40:]]
    assert (model(examples[40:]).argmax(1) == gold).all()


def test_majority_answers_with_the_shares():
    train = [Example("好", 0, 1, label) for label in ("积极", "积极", "消极", "积极")]
    probs = Majority(TASK, train)(train[:2])
    assert probs.tolist() == [[0.25, 0, 0.75]] * 2
    assert Majority(TASK, train).size_bytes == 12


def test_nothing_to_learn_from_is_refused():
    one = [Example("好", 0, 1, "积极")]
    with pytest.raises(DataError, match="no train examples"):
        Majority(TASK, [])
    with pytest.raises(DataError, match="no dev examples"):
        WindowedLinear(TASK, reviews(3, 0), [])
    with pytest.raises(DataError, match="one label"):
        WindowedLinear(TASK, one, one)

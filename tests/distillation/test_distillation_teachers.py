"""Teachers are asked once; nobody else's answers are taken for theirs; several are averaged."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from attar.distillation import teachers
from attar.distillation.data.augmentation import augmented_examples
from attar.distillation.linear import linear_teacher
from attar.distillation.teacher_outputs import OnlineTeacher
from attar.distillation.teachers import (
    Teacher,
    cached_logits,
    checkpoint_teacher,
    load_teacher,
    mean_logits,
    teacher_weights,
)
from attar.errors import CheckpointError, DataError, RecipeError
from attar.evaluation.calibration import fit_temperature
from attar.metrics import scores
from attar.models.checkpoint import predict_logits, save_checkpoint
from attar.recipe.load import AugmentRecipe
from attar.task import Example, Task, task_by_name

pytestmark = pytest.mark.usefixtures("narrow_search")

TASK = task_by_name("cosmetics")

CHUNK = 8


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(teachers, "_CHUNK", CHUNK)


class Asked:
    """A teacher that counts what it is asked, and may be interrupted."""

    def __init__(self, stops_after=None):
        self.texts, self.stops_after = [], stops_after

    def __call__(self, examples):
        if self.stops_after is not None and len(self.texts) >= self.stops_after:
            raise KeyboardInterrupt
        self.texts += [e.text for e in examples]
        return np.array([[len(e.text), e.start, e.end] for e in examples], np.float32)


def named(ask, identity="id"):
    return Teacher("asked", identity, ask)


def test_what_a_teacher_does_first_is_done_once_and_only_where_it_is_asked(tmp_path, make_examples):
    asked, examples, done = Asked(), make_examples(20), []
    for _ in range(3):
        teacher = replace(named(asked), fit=lambda: done.append(len(asked.texts)))
        cached_logits(teacher, examples, 3, tmp_path)
    assert done == [0]


def expected(examples):
    return [[len(e.text), e.start, e.end] for e in examples]


def test_asked_once(tmp_path, make_examples):
    teacher, examples = Asked(), make_examples(20)
    for _ in range(3):
        got = cached_logits(named(teacher, "id"), examples, 3, tmp_path / "cache")
        assert got.dtype == np.float32
        assert got.tolist() == expected(examples)
    assert teacher.texts == [e.text for e in examples]


def test_an_interrupted_pass_goes_on(tmp_path, make_examples):
    examples = make_examples(30)
    with pytest.raises(KeyboardInterrupt):
        cached_logits(named(Asked(stops_after=16), "id"), examples, 3, tmp_path)
    again = Asked()
    assert cached_logits(named(again, "id"), examples, 3, tmp_path).tolist() == expected(examples)
    assert again.texts == [e.text for e in examples[16:]]


@pytest.mark.parametrize(
    "damage",
    ["truncated", "empty", "other shape", "other type", "not finite", "pickle", "one byte", "of others"],
)
def test_a_damaged_chunk_is_asked_again(tmp_path, make_examples, caplog, damage):
    examples = make_examples(20)
    cached_logits(named(Asked(), "id"), examples, 3, tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 3
    first = next(p for p in paths if np.load(p).tolist() == expected(examples[:CHUNK]))
    other = next(p for p in paths if p != first and np.load(p).shape == (CHUNK, 3))
    match damage:
        case "truncated":
            first.write_bytes(first.read_bytes()[:-7])
        case "empty":
            first.write_bytes(b"")
        case "other shape":
            np.save(first, np.zeros((CHUNK, 2), np.float32))
        case "other type":
            np.save(first, np.zeros((CHUNK, 3)))
        case "not finite":
            np.save(first, np.full((CHUNK, 3), np.nan, np.float32))
        case "one byte":
            first.write_bytes(first.read_bytes()[:200] + b"?" + first.read_bytes()[201:])
        case "of others":
            first.write_bytes(other.read_bytes())
        case "pickle":
            np.save(first, np.array([{"a": 1}], object))
    again = Asked()
    with caplog.at_level(logging.WARNING):
        got = cached_logits(named(again, "id"), examples, 3, tmp_path)
    assert f"{first} is damaged" in caplog.text
    assert got.tolist() == expected(examples)
    assert again.texts == [e.text for e in examples[:CHUNK]]


def test_another_teacher_or_other_examples_never_share(tmp_path, make_examples):
    examples = make_examples(CHUNK)
    cached_logits(named(Asked(), "id"), examples, 3, tmp_path)
    e = examples[0]
    others = {
        "another teacher": ("other", examples),
        "another order": ("id", examples[::-1]),
        "a changed text": ("id", [Example(e.text + "。", e.start, e.end), *examples[1:]]),
        "another span": ("id", [Example(e.text, e.start - 1, e.end), *examples[1:]]),
        "fewer": ("id", examples[:-1]),
    }
    for name, (identity, changed) in others.items():
        again = Asked()
        got = cached_logits(named(again, identity), changed, 3, tmp_path)
        assert len(again.texts) == len(changed), name
        assert got.tolist() == expected(changed)


def test_labels_and_meta_do_not_matter_to_the_answers(tmp_path, make_examples):
    examples = make_examples(CHUNK)
    cached_logits(named(Asked(), "id"), examples, 3, tmp_path)
    again = Asked()
    cached_logits(named(again, "id"), [Example(e.text, e.start, e.end, None) for e in examples], 3, tmp_path)
    assert again.texts == []


def test_more_examples_ask_only_for_the_new_ones(tmp_path, make_examples):
    examples = make_examples(3 * CHUNK)
    cached_logits(named(Asked(), "id"), examples[: 2 * CHUNK], 3, tmp_path)
    again = Asked()
    cached_logits(named(again, "id"), examples, 3, tmp_path)
    assert again.texts == [e.text for e in examples[2 * CHUNK :]]


def test_a_checkpoint_as_teacher(tmp_path, make_checkpoint, make_examples):
    checkpoint, examples = make_checkpoint(), make_examples(5)
    save_checkpoint(checkpoint, tmp_path / "teacher")
    teacher = load_teacher(tmp_path / "teacher", TASK)
    np.testing.assert_array_equal(
        teacher.predict_logits(examples), predict_logits(checkpoint, examples, bf16=True)
    )
    np.testing.assert_allclose(
        teacher.predict_logits(examples), predict_logits(checkpoint, examples), rtol=0, atol=0.1
    )
    assert teacher.checkpoint.task == checkpoint.task
    assert teacher.name == str(tmp_path / "teacher")
    assert load_teacher(tmp_path / "teacher", TASK).fingerprint == teacher.fingerprint


def test_its_identity_is_all_that_its_answers_depend_on(tmp_path, make_checkpoint):
    variants = {
        "same": make_checkpoint(),
        "weights": make_checkpoint(seed=2),
        "max_tokens": make_checkpoint(max_tokens=20),
        "reads": make_checkpoint(pooling="cls"),
    }
    save_checkpoint(make_checkpoint(), tmp_path / "one")
    identity = load_teacher(tmp_path / "one", TASK).fingerprint
    for name, checkpoint in variants.items():
        save_checkpoint(checkpoint, tmp_path / name)
        assert (load_teacher(tmp_path / name, TASK).fingerprint == identity) == (name == "same")


@pytest.mark.parametrize("labels", [("积极", "中性", "消极"), ("消极", "积极")])
def test_other_labels_are_refused(tmp_path, make_checkpoint, labels):
    save_checkpoint(make_checkpoint(task=Task("other", labels)), tmp_path / "teacher")
    with pytest.raises(RecipeError, match="labels and their order must be the same") as error:
        load_teacher(tmp_path / "teacher", TASK)
    assert str(tmp_path / "teacher") in str(error.value)


class Fixed:
    """Says the label with a margin, but the next one where it knows no better."""

    def __init__(self, wrong=(), margin=1.0):
        self.wrong, self.margin = {e.text for e in wrong}, margin

    def __call__(self, examples):
        said = [(TASK.index_of(e) + (e.text in self.wrong)) % 3 for e in examples]
        return (self.margin * np.eye(3)[said]).astype(np.float32)


def test_the_mean_of_the_logits(tmp_path, make_examples):
    examples = make_examples(20)
    teachers = [named(Fixed(), "a"), named(Fixed(examples[5:12], 3.0), "b")]
    mean = mean_logits(teachers, (0.25, 0.75), examples, 3, tmp_path)
    by_hand = 0.25 * teachers[0].predict_logits(examples) + 0.75 * teachers[1].predict_logits(examples)
    np.testing.assert_allclose(mean, by_hand, rtol=1e-6)


def test_one_teacher_twice_is_one_teacher(tmp_path, make_examples):
    examples = make_examples(20)
    once, twice = (
        mean_logits(teachers, teacher_weights(teachers, "equal", TASK, (), tmp_path), examples, 3, tmp_path)
        for teachers in ([named(Asked())], [named(Asked())] * 2)
    )
    np.testing.assert_array_equal(once, twice)


def test_shares(tmp_path, make_examples):
    dev = make_examples(40)
    teachers = [named(Fixed(), "perfect"), named(Fixed(dev[:20]), "half")]
    assert teacher_weights(teachers, "equal", TASK, dev, tmp_path) == (0.5, 0.5)
    assert teacher_weights(teachers, (3, 1), TASK, dev, tmp_path) == (0.75, 0.25)
    gold = np.array([TASK.index_of(e) for e in dev])
    f1 = [scores(TASK, gold, teacher.predict_logits(dev)).macro_f1 for teacher in teachers]
    assert f1[0] == 1 > f1[1] > 0
    by_dev = teacher_weights(teachers, "dev", TASK, dev, tmp_path)
    assert by_dev == pytest.approx([f1[0] / sum(f1), f1[1] / sum(f1)])
    by_accuracy = Task(TASK.name, TASK.labels, metric="accuracy")
    hits = (teachers[1].predict_logits(dev).argmax(1) == gold).mean()
    assert teacher_weights(teachers, "dev", by_accuracy, dev, tmp_path)[0] == pytest.approx(1 / (1 + hits))


@pytest.mark.parametrize(
    ("are_networks", "shares"),
    [
        ([True, False], (0.7, 0.3)),
        ([True, True, False], (0.35, 0.35, 0.3)),
        ([True], (1.0,)),
        ([False], (1.0,)),
        ([True, True], (0.5, 0.5)),
    ],
)
def test_shares_of_networks(tmp_path, make_checkpoint, are_networks, shares):
    network = make_checkpoint()
    teachers = [replace(named(Fixed(), "x"), checkpoint=network if one else None) for one in are_networks]
    assert teacher_weights(teachers, "networks", TASK, (), tmp_path) == pytest.approx(shares)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 2.0, 3.0), (0.0, 0.0)])
def test_numbers_that_are_no_shares_are_refused(tmp_path, weights):
    teachers = [named(Fixed(), "a"), named(Fixed(), "b")]
    with pytest.raises(RecipeError, match=r"distill.teacher_weights = .*: expected 2 numbers"):
        teacher_weights(teachers, weights, TASK, (), tmp_path)


def test_the_linear_teacher_has_not_seen_what_it_answers(make_examples):
    """Half of the labels of the training examples are turned round; who has seen them repeats them."""
    dev = make_examples(30, seed=1)
    train = make_examples(100)
    turned = [Example(e.text, e.start, e.end, TASK.labels[2 - TASK.index_of(e)]) for e in train[::5]]
    noisy = [*turned, *(e for i, e in enumerate(train) if i % 5)]
    said = linear_teacher(TASK, noisy, dev).predict_logits(noisy).argmax(1)
    right = np.array([TASK.index_of(e) for e in (*train[::5], *noisy[len(turned) :])])
    assert (said == right).mean() > 0.9


def test_the_linear_teacher_has_not_seen_what_was_copied():
    """Labels by chance: who has seen the review that a copy was made from repeats its label."""
    random = np.random.default_rng(0)
    chars = [chr(0x4E00 + i) for i in range(800)]

    def review():
        left, right = ("".join(random.choice(chars, 9)) for _ in range(2))
        label = TASK.labels[int(random.integers(3))]
        return Example(f"{left}，口红{right}，", 10, 12, label, {"wordtype": "产品"})

    train, dev = [review() for _ in range(150)], [review() for _ in range(40)]
    train = [replace(e, end=e.start + 1) if i % 2 else e for i, e in enumerate(train)]  # two terms to swap
    label_of = {e.text: TASK.index_of(e) for e in train}
    teacher = linear_teacher(TASK, train, dev)
    for kind in ("clauses", "terms", "noise"):
        copies = augmented_examples(train, AugmentRecipe(copies=1, kinds=(kind,), noise=0.1), 20, seed=1)
        said = teacher.predict_logits(copies).argmax(1)
        gold = np.array([label_of[copy.meta["copy_of"]] for copy in copies])
        assert len(copies) > 100, kind
        assert (said == gold).mean() < 0.6, kind


def test_the_linear_teacher_is_calibrated(make_examples):
    train, dev = make_examples(60), make_examples(20, seed=1)
    teacher = linear_teacher(TASK, train, dev)
    logits = teacher.predict_logits(train)
    assert logits.dtype == np.float32
    assert logits.shape == (60, 3)
    gold = np.array([TASK.index_of(e) for e in train])
    # Within the bounds of the temperature there is nothing left to gain from another one.
    assert (
        fit_temperature(logits, gold) == pytest.approx(1, abs=0.01)
        or teacher.predict_logits.temperature < 0.051
    )
    assert teacher.checkpoint is None
    again = linear_teacher(TASK, train, dev)
    assert again.fingerprint == teacher.fingerprint
    assert linear_teacher(TASK, train[1:], dev).fingerprint != teacher.fingerprint
    assert (teacher.predict_logits(dev).argmax(1) == [TASK.index_of(e) for e in dev]).mean() > 0.9


def test_the_linear_teacher_needs_two_labels(make_examples):
    train = [e for e in make_examples(40) if e.label == "积极"]
    with pytest.raises(DataError, match="have one label"):
        linear_teacher(TASK, train, make_examples(5)).predict_logits(train)


def test_logits_that_are_not_finite_are_named_and_never_cached(make_checkpoint, make_examples, tmp_path):
    checkpoint = make_checkpoint()
    with torch.no_grad():
        checkpoint.model.classifier.bias[1] = float("nan")
    teacher = checkpoint_teacher(checkpoint, "some/teacher", "0" * 64)
    with pytest.raises(CheckpointError, match=r"some/teacher: .* not finite for 3 of 3 examples: .*"):
        cached_logits(teacher, make_examples(3), 3, tmp_path / "cache")
    assert not list(tmp_path.rglob("*.npy"))
    broken = replace(teacher, predict_logits=lambda examples: np.full((len(examples), 3), np.inf, np.float32))
    with pytest.raises(CheckpointError, match=r"the teacher some/teacher gives logits that are not finite"):
        cached_logits(broken, make_examples(3), 3, tmp_path / "cache")
    online = OnlineTeacher(checkpoint, make_examples(3), {})
    with pytest.raises(CheckpointError, match="not finite"):
        online(torch.tensor([0, 1]))

"""The teacher is asked once; nobody else's answers are taken for its own."""

import logging

import numpy as np
import pytest

from attar.distillation import teachers
from attar.distillation.teachers import cached_logits, load_teacher
from attar.models.checkpoint import predict_logits, save_checkpoint
from attar.task import Example

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


def expected(examples):
    return [[len(e.text), e.start, e.end] for e in examples]


def test_asked_once(tmp_path, make_examples):
    teacher, examples = Asked(), make_examples(20)
    for _ in range(3):
        got = cached_logits(teacher, "id", examples, 3, tmp_path / "cache")
        assert got.dtype == np.float32
        assert got.tolist() == expected(examples)
    assert teacher.texts == [e.text for e in examples]


def test_an_interrupted_pass_goes_on(tmp_path, make_examples):
    examples = make_examples(30)
    with pytest.raises(KeyboardInterrupt):
        cached_logits(Asked(stops_after=16), "id", examples, 3, tmp_path)
    again = Asked()
    assert cached_logits(again, "id", examples, 3, tmp_path).tolist() == expected(examples)
    assert again.texts == [e.text for e in examples[16:]]


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "other shape", "other type", "not finite", "pickle"]
)
def test_a_damaged_chunk_is_asked_again(tmp_path, make_examples, caplog, damage):
    examples = make_examples(20)
    cached_logits(Asked(), "id", examples, 3, tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 3
    first = next(p for p in paths if np.load(p).tolist() == expected(examples[:CHUNK]))
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
        case "pickle":
            np.save(first, np.array([{"a": 1}], object))
    again = Asked()
    with caplog.at_level(logging.WARNING):
        got = cached_logits(again, "id", examples, 3, tmp_path)
    assert f"{first} is damaged" in caplog.text
    assert got.tolist() == expected(examples)
    assert again.texts == [e.text for e in examples[:CHUNK]]


def test_another_teacher_or_other_examples_never_share(tmp_path, make_examples):
    examples = make_examples(CHUNK)
    cached_logits(Asked(), "id", examples, 3, tmp_path)
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
        got = cached_logits(again, identity, changed, 3, tmp_path)
        assert len(again.texts) == len(changed), name
        assert got.tolist() == expected(changed)


def test_labels_and_meta_do_not_matter_to_the_answers(tmp_path, make_examples):
    examples = make_examples(CHUNK)
    cached_logits(Asked(), "id", examples, 3, tmp_path)
    again = Asked()
    cached_logits(again, "id", [Example(e.text, e.start, e.end, None) for e in examples], 3, tmp_path)
    assert again.texts == []


def test_more_examples_ask_only_for_the_new_ones(tmp_path, make_examples):
    examples = make_examples(3 * CHUNK)
    cached_logits(Asked(), "id", examples[: 2 * CHUNK], 3, tmp_path)
    again = Asked()
    cached_logits(again, "id", examples, 3, tmp_path)
    assert again.texts == [e.text for e in examples[2 * CHUNK :]]


def test_a_checkpoint_as_teacher(tmp_path, make_checkpoint, make_examples):
    checkpoint, examples = make_checkpoint(), make_examples(5)
    save_checkpoint(checkpoint, tmp_path / "teacher")
    loaded, ask, identity = load_teacher(tmp_path / "teacher")
    np.testing.assert_array_equal(ask(examples), predict_logits(checkpoint, examples, quick=True))
    np.testing.assert_allclose(ask(examples), predict_logits(checkpoint, examples), rtol=0, atol=0.1)
    assert loaded.task == checkpoint.task
    assert load_teacher(tmp_path / "teacher")[2] == identity


def test_its_identity_is_all_that_its_answers_depend_on(tmp_path, make_checkpoint):
    variants = {
        "same": make_checkpoint(),
        "weights": make_checkpoint(seed=2),
        "max_tokens": make_checkpoint(max_tokens=20),
        "reads": make_checkpoint(reads="cls"),
    }
    save_checkpoint(make_checkpoint(), tmp_path / "one")
    identity = load_teacher(tmp_path / "one")[2]
    for name, checkpoint in variants.items():
        save_checkpoint(checkpoint, tmp_path / name)
        assert (load_teacher(tmp_path / name)[2] == identity) == (name == "same")

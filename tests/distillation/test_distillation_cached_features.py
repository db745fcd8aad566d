"""Hidden states on disk are what the teacher would show; a stopped or damaged cache mends itself."""

import logging

import numpy as np
import pytest
import torch

from attar.distillation import cached_features as module
from attar.distillation.cached_features import cached_features
from attar.distillation.teacher_outputs import OnlineTeacher
from attar.distillation.teachers import load_teacher
from attar.errors import RecipeError
from attar.models.checkpoint import save_checkpoint
from attar.task import task_by_name

TASK = task_by_name("cosmetics")
LAYERS = {"hidden": (0, 2), "query": (2,), "value": (1, 2)}
CHUNK = 8
# Half precision keeps 11 bits; the states of these models are below 8.
TOLERANCE = 8 * 2.0**-11


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", CHUNK)
    monkeypatch.setattr(module, "_BATCH", 3)
    # bf16 rounds differently in batches of other sizes; what is tested here is what half precision costs.
    single = torch.autocast("cpu", enabled=False)
    monkeypatch.setattr("attar.distillation.teacher_outputs.bf16_inference", lambda _: single)


@pytest.fixture(params=["bert", "electra-small", "albert"])
def teacher(request, tmp_path, make_checkpoint):
    save_checkpoint(make_checkpoint(request.param), tmp_path / "teacher")
    return load_teacher(tmp_path / "teacher", TASK)


class Counting(OnlineTeacher):
    """Counts its rows, and may be interrupted."""

    def __init__(self, *arguments, stops_after=10**9):
        super().__init__(*arguments)
        self.rows, self.stops_after = [], stops_after

    def __call__(self, rows):
        if len(self.rows) >= self.stops_after:
            raise KeyboardInterrupt
        self.rows += rows.tolist()
        return super().__call__(rows)


def cache(teacher, examples, folder, limit_gb=1.0, layers=LAYERS, **settings):
    online = Counting(teacher.checkpoint, examples, layers, **settings)
    try:
        return online, cached_features(teacher, online, examples, folder, limit_gb)
    except KeyboardInterrupt:
        return online, None


def assert_same(cached, online, rows):
    ours, theirs = cached(rows), online(rows)
    assert ours.logits is None
    real = torch.zeros(len(rows), max(len(online.encodings[i].ids) for i in rows), dtype=torch.bool)
    for i, row in enumerate(rows.tolist()):
        real[i, : len(online.encodings[row].ids)] = True
    for feature, numbers in LAYERS.items():
        for number in range(4):
            a, b = (answer.features[feature].get(number) for answer in (ours, theirs))
            assert (a is None) == (b is None) == (number not in numbers)
            if a is not None:
                assert a.dtype == torch.float32
                torch.testing.assert_close(a[real], b[real], rtol=2e-3, atol=TOLERANCE)
                assert a[~real].abs().sum() == 0


def test_they_are_what_the_teacher_shows(tmp_path, teacher, make_examples):
    examples = make_examples(21)
    online, cached = cache(teacher, examples, tmp_path / "cache")
    assert sorted(online.rows) == list(range(21))
    for rows in ([0, 1], [20, 3, 9, 8, 7], [16]):
        assert_same(cached, online, torch.tensor(rows))
    assert sorted(cached.logits) == list(range(21))
    for row in (0, 8, 20):
        torch.testing.assert_close(
            torch.from_numpy(cached.logits[row]), online(torch.tensor([row])).logits[0]
        )
    again, cached = cache(teacher, examples, tmp_path / "cache")
    assert again.rows == []
    assert cached.logits == {}
    assert_same(cached, online, torch.tensor([5, 19]))


def test_only_real_tokens_in_half_precision_are_kept_and_the_size_is_said_before(
    tmp_path, teacher, make_examples, caplog
):
    examples = make_examples(21)
    with caplog.at_level(logging.INFO):
        online, cached = cache(teacher, examples, tmp_path / "cache")
    tokens = sum(len(encoding.ids) for encoding in online.encodings)
    assert sum(chunk.size for chunk in cached.chunks) == tokens * 5 * 32
    assert {chunk.dtype for chunk in cached.chunks} == {np.dtype(np.float16)}
    assert f"{tokens} tokens x 32 x 5 layers x 2 bytes = {tokens * 320 / 1e9:.3g} GB" in caplog.text


def test_an_interrupted_pass_goes_on(tmp_path, teacher, make_examples):
    examples = make_examples(21)
    online, cached = cache(teacher, examples, tmp_path / "cache", stops_after=10)
    assert cached is None
    assert sorted(set(online.rows)) != list(range(21))
    again, cached = cache(teacher, examples, tmp_path / "cache")
    assert sorted(again.rows) == list(range(8, 21))
    assert_same(cached, again, torch.arange(21))


@pytest.mark.parametrize("damage", ["one byte", "cut", "of others"])
def test_a_damaged_file_is_made_again_and_that_is_said(tmp_path, teacher, make_examples, caplog, damage):
    examples = make_examples(16)
    cache(teacher, examples, tmp_path / "cache")
    first, second = sorted((tmp_path / "cache").iterdir())
    whole = first.read_bytes()
    match damage:
        case "one byte":
            first.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
        case "cut":
            first.write_bytes(whole[:-40])
        case "of others":
            first.write_bytes(second.read_bytes())
    with caplog.at_level(logging.WARNING):
        online, cached = cache(teacher, examples, tmp_path / "cache")
    assert f"{first} is damaged" in caplog.text
    assert len(online.rows) == CHUNK
    assert first.read_bytes() == whole
    assert_same(cached, online, torch.arange(16))


def test_another_teacher_other_layers_or_other_examples_never_share(tmp_path, make_checkpoint, make_examples):
    examples = make_examples(8)
    teachers = []
    for seed in (1, 2):
        save_checkpoint(make_checkpoint(seed=seed), tmp_path / f"teacher{seed}")
        teachers.append(load_teacher(tmp_path / f"teacher{seed}", TASK))
    cache(teachers[0], examples, tmp_path / "cache")
    for teacher, layers, computed in (
        (teachers[1], LAYERS, examples),
        (teachers[0], LAYERS | {"hidden": (1, 2)}, examples),
        (teachers[0], LAYERS, examples[::-1]),
        (teachers[0], LAYERS, examples[1:]),
    ):
        assert len(cache(teacher, computed, tmp_path / "cache", layers=layers)[0].rows) == len(computed)


def test_too_large_is_refused_before_the_work(tmp_path, teacher, make_examples):
    examples = make_examples(21)
    online = Counting(teacher.checkpoint, examples, LAYERS)
    size = sum(len(encoding.ids) for encoding in online.encodings) * 320 / 1e9
    with pytest.raises(RecipeError, match=r"= .* GB, more than distill.cache_limit_gb .*cache = 'logits'"):
        cached_features(teacher, online, examples, tmp_path / "cache", size * 0.99)
    assert online.rows == []
    cached_features(teacher, online, examples, tmp_path / "cache", size * 1.01)


def test_a_full_disk_is_noticed_before_the_work(tmp_path, teacher, make_examples, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(RecipeError, match="what the disk has free"):
        cache(teacher, make_examples(21), tmp_path / "cache")


def test_states_beyond_half_precision_are_refused(tmp_path, teacher, make_examples):
    with torch.no_grad():
        for name, parameter in teacher.checkpoint.model.named_parameters():
            if name.endswith("value.bias"):
                parameter.add_(1e6)
    with pytest.raises(RecipeError, match="do not fit half precision; set cache = 'logits'"):
        cache(teacher, make_examples(8), tmp_path / "cache")

"""Checkpoints: written whole, read back equal, refused when they are not what they say."""

import json

import numpy as np
import pytest
import torch

from attar.errors import AttarError, CheckpointError
from attar.io.files import file_hash
from attar.io.sealed import sealed
from attar.models.checkpoint import (
    CHECKPOINT_FILES,
    batch_to,
    load_checkpoint,
    predict_logits,
    save_checkpoint,
)
from attar.task import Task

KINDS = ("bert", "roberta", "electra", "albert", "ernie")


@pytest.fixture
def folder(tmp_path, make_checkpoint):
    save_checkpoint(make_checkpoint(), tmp_path / "student")
    return tmp_path / "student"


def refused(folder):
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["cls", "entity_start"])
def test_a_round_trip_gives_equal_logits(tmp_path, make_checkpoint, make_examples, kind, pooling):
    task = Task("mine", ("坏", "还行", "好"), window_chars=12, aliases={"1": "好"}, metric="accuracy")
    saved = make_checkpoint(kind, task, dropout=0.3, pooling=pooling)
    items = make_examples(30, task=task)
    save_checkpoint(saved, tmp_path / "a" / "b")
    loaded = load_checkpoint(tmp_path / "a" / "b")
    np.testing.assert_array_equal(predict_logits(loaded, items), predict_logits(saved, items))
    assert loaded.task == task
    assert loaded.encoder.spec == saved.encoder.spec
    assert loaded.notes == {"role": "test"}
    assert not loaded.model.training
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(CHECKPOINT_FILES)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]


def test_a_new_one_replaces_the_old_one_whole(folder, make_checkpoint, make_examples):
    old = {name: file_hash(folder / name) for name in CHECKPOINT_FILES}
    newer = make_checkpoint(seed=2)
    save_checkpoint(newer, folder)
    assert file_hash(folder / "model.safetensors") != old["model.safetensors"]
    items = make_examples(5)
    np.testing.assert_array_equal(
        predict_logits(load_checkpoint(folder), items), predict_logits(newer, items)
    )


def test_a_failed_write_leaves_the_old_one(folder, make_checkpoint, monkeypatch):
    newer = make_checkpoint(seed=2)

    def fails(_folder):
        raise OSError("disk full")

    monkeypatch.setattr(newer.model, "save_pretrained", fails)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(newer, folder)
    load_checkpoint(folder)


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{folder} is no checkpoint: {name} missing" in refused(folder)


@pytest.mark.parametrize("name", CHECKPOINT_FILES[:3])
def test_a_damaged_file_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"{folder}: {name} changed or damaged" in refused(folder)


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_truncated_file_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    message = refused(folder)
    assert str(folder) in message
    assert name in message


def test_folders_that_are_something_else(tmp_path, folder):
    assert "no such folder" in refused(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x")
    assert "notes.txt" in refused(tmp_path / "other")
    assert str(folder / "config.json") in refused(folder / "config.json")


@pytest.mark.parametrize(
    "card",
    [
        [],
        "text",
        {},
        {"format": "attar-artifact-1"},
        {"format": "attar-checkpoint-1"},
        {"format": "attar-checkpoint-1", "files": []},
    ],
)
def test_cards_that_are_none(folder, card):
    (folder / "attar.json").write_text(json.dumps(card))
    assert "attar.json" in refused(folder)


@pytest.mark.parametrize("key", ["task", "input", "files", "notes"])
def test_a_card_without_a_part(folder, key):
    card = json.loads((folder / "attar.json").read_text("utf-8"))
    del card[key]
    (folder / "attar.json").write_text(json.dumps(card))
    assert "attar.json" in refused(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("task", {"name": "x"}), ("task", 3), ("input", {"style": "pair"}), ("input", [1]), ("files", {})],
)
def test_a_card_with_a_broken_part(folder, key, value):
    card = json.loads((folder / "attar.json").read_text("utf-8"))
    (folder / "attar.json").write_text(json.dumps(card | {key: value}))
    assert "attar.json" in refused(folder)


def test_a_card_with_impossible_values_is_our_error_too(folder):
    card = json.loads((folder / "attar.json").read_text("utf-8"))
    card["task"]["labels"] = ["one"]
    (folder / "attar.json").write_text(json.dumps(sealed(card)))
    with pytest.raises(AttarError, match="at least two"):
        load_checkpoint(folder)


def test_logits_do_not_depend_on_order_or_batch(make_checkpoint, make_examples):
    checkpoint, items = make_checkpoint(), make_examples(40)
    whole = predict_logits(checkpoint, items, batch_size=7)
    assert whole.dtype == np.float32
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(
        predict_logits(checkpoint, [items[i] for i in order], batch_size=16), whole[order], rtol=0, atol=1e-5
    )


def test_predicting_drops_nothing_out_and_leaves_the_mode(make_checkpoint, make_examples):
    checkpoint, items = make_checkpoint(dropout=0.5), make_examples(6)
    calm = predict_logits(checkpoint, items)
    checkpoint.model.train()
    np.testing.assert_array_equal(predict_logits(checkpoint, items), calm)
    assert checkpoint.model.training


def test_predicting_nothing(make_checkpoint):
    assert predict_logits(make_checkpoint(), []).shape == (0, 3)


def test_logits_are_those_of_the_model_itself(make_checkpoint, make_examples):
    checkpoint, items = make_checkpoint(pooling="cls"), make_examples(5)
    encodings = checkpoint.encoder.encode(items)
    for row, encoding in enumerate(encodings):
        types = [0] * encoding.second + [1] * (len(encoding.ids) - encoding.second)
        with torch.inference_mode():
            alone = checkpoint.model(
                input_ids=torch.tensor(encoding.ids[None]), token_type_ids=torch.tensor([types])
            ).logits
        np.testing.assert_allclose(predict_logits(checkpoint, items)[row], alone[0], rtol=0, atol=1e-5)


def test_batches_of_roberta_count_positions_from_its_padding(make_checkpoint, make_examples):
    encodings = make_checkpoint().encoder.encode(make_examples(3))
    bert = batch_to(make_checkpoint("bert"), encodings)["position_ids"]
    roberta = batch_to(make_checkpoint("roberta"), encodings)["position_ids"]
    assert torch.equal(roberta, bert + 1)
    assert batch_to(make_checkpoint(), encodings, length=24)["input_ids"].shape == (3, 24)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"model_type": "evil"}'),
        (
            "config.json",
            '{"model_type": "bert", "auto_map": {"AutoConfig": "e.C"}, "hidden_size": -1}',
        ),
        ("config.json", "[" * 100_000),
        ("tokenizer.json", "[]"),
        ("model.safetensors", "x"),
    ],
)
def test_a_card_that_vouches_for_a_file_that_cannot_be_loaded(folder, name, content):
    (folder / name).write_text(content)
    card = json.loads((folder / "attar.json").read_text("utf-8"))
    card["files"][name] = file_hash(folder / name)
    (folder / "attar.json").write_text(json.dumps(sealed(card)))
    assert "cannot be loaded" in refused(folder)


def test_a_flipped_bit_of_the_card_is_named(folder):
    path = folder / "attar.json"
    was = path.read_bytes()
    for bit in range(0, 8 * len(was), 31):
        changed = bytearray(was)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert "attar.json" in refused(folder)

"""Encoder folders that do not fit are refused in words before any training; odd names are read."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from attar.errors import AttarError, CheckpointError, RecipeError
from attar.models.encoder_config import check_positions, num_positions
from attar.models.encoders import load_encoder, load_masked_lm
from attar.models.students import encoder_shape
from attar.models.weight_names import renaming, without_wrappers
from attar.recipe.load import EncodeRecipe, TrainRecipe
from attar.task import task_by_name
from attar.training.stage import text_encoder


def recipe_of(folder):
    return TrainRecipe(encoder=str(folder), dropout=0.0)


@pytest.fixture
def folder(tmp_path, make_model, tiny_tokenizer):
    make_model("bert", "ForMaskedLM").save_pretrained(tmp_path / "hub")
    vocab = tiny_tokenizer.get_vocab()
    (tmp_path / "hub" / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n", "utf-8")
    return tmp_path / "hub"


def change_config(folder, drop=(), **values):
    path = folder / "config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k not in drop} | values
    path.write_text(json.dumps(config))


def refusal(folder):
    with pytest.raises(CheckpointError) as error:
        load_encoder(recipe_of(folder), 3, ())
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    return str(error.value)


def behind(prefix, name):
    return prefix + name


def instead_of_bert(prefix, name):
    return prefix + name.removeprefix("bert.")


def old_names(_, name):
    return "module." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"
    )


@pytest.mark.parametrize(
    ("rename", "prefix"),
    [
        (behind, "module."),
        (behind, "_orig_mod."),
        (behind, "module._orig_mod."),
        (behind, "model."),
        (instead_of_bert, ""),
        (instead_of_bert, "model."),
        (instead_of_bert, "encoder."),
        (instead_of_bert, "roberta."),
        (instead_of_bert, "module.model."),
        (old_names, ""),
    ],
)
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_weights_are_read_whatever_stands_before_their_names(folder, make_model, rename, prefix, suffix):
    saved = load_file(folder / "model.safetensors")
    named = {rename(prefix, name): value for name, value in saved.items()}
    (folder / "model.safetensors").unlink()
    if suffix == ".bin":
        torch.save(named, folder / "pytorch_model.bin")
    else:
        save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    wanted = make_model("bert", "ForMaskedLM").base_model.state_dict()
    masked, own_head = load_masked_lm(recipe_of(folder))
    for model in (load_encoder(recipe_of(folder), 3, ()).model, masked.model):
        state = model.base_model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in wanted.items() if name in state)
    assert own_head or rename is instead_of_bert


def test_layers_that_the_config_leaves_out_are_named(folder, caplog):
    change_config(folder, num_hidden_layers=1)
    model = load_encoder(recipe_of(folder), 3, ()).model
    assert len(model.base_model.encoder.layer) == 1
    assert "fewer layers than its weights; 16 of them (bert.encoder.layer.1.attention" in caplog.text


def test_shards_are_read(folder, make_model):
    (folder / "model.safetensors").unlink()
    make_model("bert", "ForMaskedLM").save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    state = load_encoder(recipe_of(folder), 3, ()).model.base_model.state_dict()
    wanted = make_model("bert", "ForMaskedLM").base_model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in wanted.items() if name in state)
    next(folder.glob("*2-of*.safetensors")).unlink()
    refusal(folder)


def test_weights_of_something_else_are_named(folder):
    save_file({"layers.0.weight": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert "there is layers.0.weight and more" in refusal(folder)


def test_the_renaming_is_told_by_the_word_embeddings():
    first = "embeddings.word_embeddings.weight"
    assert renaming([f"bert.{first}"], "bert") == renaming([first], "bert") == renaming([], "bert") == {}
    assert renaming([f"a.{first}", f"b.{first}"], "bert") == {}
    assert without_wrappers("module._orig_mod.module.bert.x") == "bert.x"


@pytest.mark.parametrize(("kind", "positions"), [("bert", 0), ("roberta", 1)])
def test_positions_are_counted_from_the_first_tokens(make_model, kind, positions):
    model = make_model(kind)
    rows = model.base_model.embeddings.position_embeddings.num_embeddings
    usable = rows - positions * (model.config.pad_token_id + 1)
    assert num_positions(model) == usable
    check_positions(model, usable)
    with pytest.raises(RecipeError, match=rf"encode.max_tokens = {usable + 1}, .* has {usable} positions"):
        check_positions(model, usable + 1)


def test_too_few_positions_are_found_before_anything_is_encoded(folder):
    encoder = load_encoder(recipe_of(folder), 3, ())
    usable = num_positions(encoder.model)
    task = task_by_name("cosmetics")
    text_encoder(encoder, task, EncodeRecipe(max_tokens=usable))
    with pytest.raises(RecipeError, match="positions"):
        text_encoder(encoder, task, EncodeRecipe(max_tokens=usable + 1))


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10_000_000},
        {"hidden_size": 1_000_000_000},
        {"intermediate_size": 10**12},
        {"vocab_size": 10**12},
        {"max_position_embeddings": 10**12},
    ],
)
def test_a_config_of_a_model_that_no_machine_holds(folder, values):
    change_config(folder, **values)
    assert "no encoder is that large" in refusal(folder)
    with pytest.raises(CheckpointError, match="no encoder is that large"):
        encoder_shape(recipe_of(folder))


@pytest.mark.parametrize("values", [{}, {"model_type": "no-such-type"}])
def test_a_config_without_a_model_type(tmp_path, folder, values):
    folder = folder.rename(tmp_path / "folder")  # transformers would guess from a name with "bert" in it
    change_config(folder, drop=("model_type",), **values)
    assert '"model_type": "bert"' in refusal(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": "64"},
        {"hidden_size": -1},
        {"hidden_size": None},
        {"num_hidden_layers": -3},
        {"num_attention_heads": 7},
        {"num_attention_heads": 0},
        {"hidden_act": "no-such"},
        {"vocab_size": 0},
        {"pad_token_id": 10_000},
        {"type_vocab_size": "x"},
        {"max_position_embeddings": 2.5},
    ],
)
def test_a_config_with_a_wrong_value_is_no_traceback(folder, values):
    change_config(folder, **values)
    refusal(folder)


@pytest.mark.parametrize("text", ["[]", "null", "1", '"bert"', "", "\ufeff{}", "{}"])
def test_a_config_that_is_no_config(tmp_path, folder, text):
    folder = folder.rename(tmp_path / "folder")
    (folder / "config.json").write_text(text, "utf-8")
    refusal(folder)
    with pytest.raises(AttarError):
        encoder_shape(recipe_of(folder))


def test_a_folder_without_its_tokenizer(folder):
    (folder / "vocab.txt").unlink()
    assert "vocab.txt or tokenizer.json" in refusal(folder)


def test_a_teacher_that_reads_more_than_it_has_positions_for(tmp_path, make_model, tiny_tokenizer):
    from attar.distillation.teachers import load_teacher
    from attar.models.checkpoint import Checkpoint, save_checkpoint
    from attar.text.encoding import InputSpec, TextEncoder

    task, model = task_by_name("cosmetics"), make_model("bert")
    spec = InputSpec.for_task(task, num_positions(model) + 1, token_types=True)
    save_checkpoint(Checkpoint(model, TextEncoder(tiny_tokenizer, spec), task), tmp_path / "teacher")
    with pytest.raises(RecipeError, match=r"the teacher .*teacher has \d+ positions"):
        load_teacher(tmp_path / "teacher", task)

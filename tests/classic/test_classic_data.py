"""The original's data folders, caches and starts: every form is read, nothing is lost in silence."""

import importlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attar.classic.checkpoint import build_classic, start_encoder
from attar.classic.files import ClassicFiles
from attar.errors import CheckpointError, DataError
from attar.task import Example, task_by_name

CLASSIC = Path(__file__).parents[2] / "classic"
GOOD = ["这款口红很好", "口红", 2, 4, "积极", "京东", "产品"]


@pytest.fixture
def original(monkeypatch):
    """``original(module)``: a module of classic/original."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    return lambda name: importlib.import_module(f"original.{name}")


@pytest.fixture
def load(original, tmp_path):
    """``load(task, stem, content)``: what a file of the data folder gives."""

    def go(name, file, content, *, marks=True, verbose=False):
        data, task = original("data"), original("tasks").TASKS[name]
        (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return data.load_examples(
            data.source_of(tmp_path, task, Path(file).stem, "train"), task, marks=marks, verbose=verbose
        )

    return go


def test_rows_and_the_reasons_of_rejected_ones(load, caplog, original, tmp_path):
    bad = ["这款口红很好", "口红", 90, 99, "积极", "京东", "产品"]
    unknown = [*GOOD[:4], "很好", "", ""]
    with caplog.at_level(logging.INFO, logger="utils"):
        found = load("cosmetics", "train.json", [GOOD, unknown, [1, 2]], verbose=True)
        repaired = load("cosmetics", "dev.json", [bad])
    assert [e.term for e in found.examples] == ["口红"]
    assert [r.reason for r in found.rejected] == ["unknown_label", "bad_row"]
    assert any("2 rows are rejected: unknown_label 1, bad_row 1" in r.getMessage() for r in caplog.records)
    assert any(r.getMessage().startswith(f"{tmp_path}/train.json[1]: unknown_label") for r in caplog.records)
    assert "口红很好" not in caplog.text  # no review text in a log
    assert repaired.examples[0].start == 2
    original("data").write_rejected(tmp_path / "rejected.jsonl", [found, repaired])
    lines = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text("utf-8").splitlines()]
    assert [line["reason"] for line in lines] == ["unknown_label", "bad_row"]
    assert lines[0]["row"] == unknown
    assert [line["where"] for line in lines] == [f"{tmp_path}/train.json[{index}]" for index in (1, 2)]


def test_the_three_line_form(load):
    found = load("components", "train.txt", "含$T$的水\n甘油\n1\n用$T$\n手\n0\n")
    assert [(e.term, e.label) for e in found.examples] == [("甘油", "是"), ("手", "否")]


def test_a_short_row_gets_the_offsets_with_the_widest_window(load):
    text = "口红" + "好" * 23 + "口红" + "好" * 25
    found = load("newcos", "train.json", [[text, "口红", "积极"], ["口红口红", "口红", "中性"]])
    assert [(e.start, e.end) for e in found.examples] == [(25, 27), (0, 2)]


MNLI = "\t".join([*(f"h{i}" for i in range(8)), "sentence1", "sentence2", "label1", "gold_label"])


def test_mnli_has_two_files_of_dev(load, original):
    line = "\t".join([*"01234567", 'a "b', "c", "neutral", "entailment"])
    found = load("mnli", "train.tsv", f"{MNLI}\n{line}\n{line.replace('entailment', '-')}\n")
    (example,) = found.examples
    assert (example.text, example.second, example.label) == ('a "b', "c", "entailment")
    assert [r.reason for r in found.rejected] == ["unknown_label"]
    files = original("tasks").TASKS["mnli"].dev_files
    assert dict(files) == {"mnli": "dev_matched", "mnli-mm": "dev_mismatched"}


def test_other_columns_of_glue(load):
    head = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    (example,) = load("mrpc", "train.tsv", f"{head}\n1\t7\t8\tfirst\tsecond\n").examples
    assert (example.text, example.second, example.label) == ("first", "second", "1")
    (example,) = load("cola", "train.tsv", "gj04\t0\t*\tThe book.\n").examples
    assert (example.text, example.second, example.label) == ("The book.", "", "0")
    (example,) = load("sst-2", "train.tsv", "sentence\tlabel\nfine \t1\n").examples
    assert (example.text.strip(), example.label) == ("fine", "1")
    with pytest.raises(DataError, match="2 columns; the columns of mrpc: text 4, term 5, label 1"):
        load("mrpc", "train.tsv", "a\tb\n")


def test_word_pairs(load):
    lines = "燕窝+胶原蛋白饮###胶原蛋白###0\n改善营养###None###1\n两###个\n"
    found = load("caiye", "train.txt", lines)
    assert [(e.text, e.second, e.label) for e in found.examples] == [
        ("燕窝+胶原蛋白饮", "胶原蛋白", "components"),
        ("改善营养", "改善营养", "effect"),
        ("燕窝+胶原蛋白饮", "燕窝", "other"),
        ("燕窝+胶原蛋白饮", "饮", "other"),
    ]
    assert [r.reason for r in found.rejected] == ["bad_row"]


def test_a_missing_or_useless_file_is_an_error(load, original, tmp_path):
    data, task = original("data"), original("tasks").TASKS["cosmetics"]
    (tmp_path / "other.json").touch()
    with pytest.raises(
        DataError, match=r"no train.json or train.txt for the task cosmetics; there: other.json"
    ):
        data.source_of(tmp_path, task, "train", "train")
    with pytest.raises(DataError, match="none of its rows can be used for cosmetics: unknown_label 1"):
        load("cosmetics", "train.json", [[*GOOD[:4], "x", "", ""]])


def test_reviews_in_train_and_dev_are_counted(original):
    one, two = Example("好", 0, 1, "积极"), Example("差", 0, 1, "消极")
    assert original("data").overlap([one, two, two], [two, two]) == 1


@pytest.mark.parametrize(
    ("metric", "gold", "chosen", "expected"),
    [
        ("acc", [0, 1, 2, 2], [0, 1, 1, 2], {"acc": 0.75}),
        (
            "acc_and_f1",
            [1, 1, 0, 0],
            [1, 0, 0, 0],
            {"acc": 0.75, "f1": 2 / 3, "acc_and_f1": (0.75 + 2 / 3) / 2},
        ),
        ("mcc", [1, 0, 1, 0], [1, 0, 1, 0], {"mcc": 1.0}),
    ],
)
def test_metrics_of_eval_results(original, metric, gold, chosen, expected):
    assert original("evaluate").figures(metric, np.array(gold), np.array(chosen)) == pytest.approx(expected)


class Cached:
    """A checkpoint's encoder with a cache file, and what was said about it."""

    def __init__(self, original, checkpoint, vocab, caplog):
        self.cache, self.checkpoint, self.vocab, self.caplog = original("cache"), checkpoint, vocab, caplog

    def keep(self, examples, path):
        self.caplog.clear()
        checkpoint, encoder = self.cache.with_cached_encodings(self.checkpoint, self.vocab, lower_case=True)
        encoder.cache(examples, path)
        plain = self.checkpoint.encoder.encode(examples)
        for kept, fresh in zip(checkpoint.encoder.encode(examples), plain, strict=True):
            assert kept.ids.tolist() == fresh.ids.tolist()
            assert (kept.second, kept.first_position) == (fresh.second, fresh.first_position)
        return " ".join(record.getMessage()[:4] for record in self.caplog.records)


@pytest.fixture
def cached(original, make_checkpoint, encoder_folder, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="utils")
    vocab = tmp_path / "vocab.txt"
    vocab.write_text((encoder_folder / "vocab.txt").read_text("utf-8"), "utf-8")
    return Cached(original, make_checkpoint(pooling="cls"), vocab, caplog)


def test_a_cache_is_used_only_if_it_fits(cached, make_examples, tmp_path):
    path = tmp_path / "cached_dev_24_cosmetics"
    examples = make_examples(12)
    made, taken, renewed = "没有发现 保存fe", "从缓存加", "缓存fe 保存fe"
    assert cached.keep(examples, path) == made
    assert cached.keep(examples, path) == taken
    assert cached.keep(examples[1:], path) == renewed
    cached.vocab.write_text(cached.vocab.read_text("utf-8") + "新\n", "utf-8")
    assert cached.keep(examples[1:], path) == renewed
    torch.save([torch.zeros(3)], path)  # the original's own
    assert cached.keep(examples[1:], path) == renewed
    path.write_bytes(path.read_bytes()[:100])
    assert cached.keep(examples[1:], path) == renewed
    assert cached.keep(examples[1:], path) == taken


def test_a_folder_that_cannot_be_written_needs_no_cache(cached, make_examples, tmp_path):
    (tmp_path / "file").touch()
    assert cached.keep(make_examples(3), tmp_path / "file" / "cached").startswith("没有发现")


@given(texts=st.lists(st.text("好差，口红", min_size=0, max_size=9), min_size=1, max_size=6))
def test_word_pairs_hold_only_words_of_their_text(texts, tmp_path_factory):
    import sys

    sys.path.insert(0, str(CLASSIC))
    try:
        from original.word_pairs import read_word_pairs
    finally:
        sys.path.remove(str(CLASSIC))
    path = tmp_path_factory.mktemp("pairs") / "train.txt"
    path.write_text("".join(f"口红{text}###口红###0\n" for text in texts), "utf-8")
    pairs = list(read_word_pairs(path))
    assert [p.label for p in pairs[: len(texts)]] == ["0"] * len(texts)
    assert all(pair.term in pair.text and pair.term for pair in pairs)
    assert all("口红" not in pair.term and pair.label == "2" for pair in pairs[len(texts) :])


@pytest.fixture
def short_student(make_model, encoder_folder, tmp_path):
    """A three-layer model, and the weights of a six-layer one that it starts from."""
    deep = make_model("bert", num_hidden_layers=6)
    config = {k: v for k, v in deep.config.to_dict().items() if k not in ("id2label", "label2id")}
    (tmp_path / "s.json").write_text(json.dumps(config | {"num_hidden_layers": 3}), "utf-8")
    files = ClassicFiles(tmp_path / "s.json", encoder_folder / "vocab.txt")
    return build_classic(files, task_by_name("cosmetics"), 24), deep


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_student_takes_the_first_layers_of_a_deeper_file(short_student, tmp_path, name):
    from safetensors.torch import save_file

    student, deep = short_student
    weights = {key: value.contiguous() for key, value in deep.state_dict().items()}
    (save_file if name.endswith("safetensors") else torch.save)(weights, tmp_path / name)
    start_encoder(student, tmp_path / name)
    taken = {k: v for k, v in student.model.state_dict().items() if k.startswith("bert.")}
    assert all(torch.equal(value, weights[key]) for key, value in taken.items())
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(CheckpointError, match="damaged or no file"):
        start_encoder(student, tmp_path / "broken.safetensors")


@pytest.mark.parametrize("pad_to", [None, 24])
def test_padding_that_counts_does_not_depend_on_the_batch(make_checkpoint, make_examples, pad_to):
    """Without a mask the original padded every batch to max_seq_length."""
    from attar.distillation.match_losses import MatchLosses
    from attar.distillation.matches import Match, wanted
    from attar.distillation.objective import Distillation
    from attar.distillation.teacher_outputs import OnlineTeacher, TeacherEnsemble
    from attar.models.checkpoint import batch_to
    from attar.recipe.load import DistillRecipe

    task = task_by_name("cosmetics")
    student, teacher = make_checkpoint(seed=1, pooling="cls"), make_checkpoint(seed=2, pooling="cls")
    examples = sorted(make_examples(6), key=lambda e: len(e.text))
    matches = (Match("hidden", "hidden_mse", 2, 2), Match("hidden", "mmd", 1, 1))
    online = OnlineTeacher(teacher, examples, wanted(matches).teacher)
    online.pad_to = pad_to
    recipe = DistillRecipe(soft_weight=0, hard_weight=0, matches=("auto",), mask_padding=False)
    losses = MatchLosses(matches, 32, 32, max_tokens=24)
    objective = Distillation(task, examples, TeacherEnsemble([(0.0, online)]), recipe, losses, pad_to)

    def shortest_in(count):
        rows = torch.arange(count)
        inputs = batch_to(student, student.encoder.encode(examples[:count]))
        with torch.no_grad():
            found = objective(student.model, inputs, rows)
        return torch.stack([value[0] for name, value in found.items() if name != "hard"])

    same = torch.allclose(shortest_in(1), shortest_in(6), atol=1e-5)
    assert same == (pad_to is not None)

"""Rows of every shape become the tokens that the original made of them."""

import importlib
import importlib.util
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import transformers

from attar.classic.files import write_card
from attar.errors import DataError, RecipeError

CLASSIC = Path(__file__).parents[2] / "classic"


def _reader():
    spec = importlib.util.spec_from_file_location(
        "original_reader", Path(__file__).with_name("original_reader.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READER = _reader()
FAR = "肤色白，毛孔好。" * 12
THREE_LINES = [
    ("$T$太好用了，毛孔都不见了", "口红", "1"),
    ("用了$T$，香味不好", "粉底", "-1"),
    ("我的MAC$T$505很BEST", "口红", "0"),  # letters next to the keyword
    ("my $T$ is best", "MAC", "1"),  # blanks around it
    ("口红好，$T$差，口红好", "口红", "-1"),  # it stands elsewhere too
    ("$T$好，$T$差", "腮红", "0"),  # the original filled in the first one alone
    ("Lamer的$T$真的BB", "DIOR气垫", "1"),
    (f"$T$好，{FAR}", "眼影", "1"),
    (f"{FAR}口红差，$T$好，{FAR}", "睫毛膏", "-1"),
    (f"{FAR}$T$", "唇膏", "0"),
]
THREE_COLUMNS = [
    ["这款口红很好", "口红", 1],
    ["这款MAC很好，mac差", "MAC", 0],
    ["口红好，口红差", "口红", -1],
    ["这里没有它", "粉底", 0],
    ["best505色号BB", "505", 1],
    [f"{FAR}眼影", "眼影", 1],
    [f"眼影{FAR}", "眼影", -1],
    ["好" * 90, "差" * 30, 0],
]
SEVEN_COLUMNS = [
    ["这款口红很好", "口红", 2, 4, "积极", "京东", "产品"],
    ["MAC505口红BEST，口红差", "口红", 6, 8, "中性", "", ""],
    ["口红好，口红差", "口红", 4, 6, "消极", "微博", ""],
    ["_口红_好", "口红", 1, 3, "积极", "", ""],
    [f"{FAR}口红差，眼影好，{FAR}", "眼影", len(FAR) + 4, len(FAR) + 6, "积极", "", ""],
    [f"眼影{'好' * 90}", "眼影", 0, 2, "积极", "", ""],
    [f"{'好' * 90}眼影{'差' * 90}，好", "眼影", 90, 92, "中性", "", ""],
    [f"{FAR}眼影", "眼影", len(FAR), len(FAR) + 2, "消极", "", ""],
]
NEWCOS = [[f"{'白' * 20}，好口红{'好' * 25}", "口红", "积极"], *([t, k, "消极"] for t, k, _ in THREE_COLUMNS)]
WORDS = ("mac", "best", "bb", "is", "my", "##50", "##5", "505")


def labelled(rows, task):
    """Three-column rows with labels of the task."""
    return [[*row[:2], "是" if task == "components" else row[2]] for row in rows]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a tiny model, whose vocabulary has every character of the rows, and this as the cwd."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    monkeypatch.chdir(tmp_path)
    texts = "".join(str(row) for row in (*THREE_LINES, *THREE_COLUMNS, *SEVEN_COLUMNS, *NEWCOS))
    chars = sorted({c for c in texts.lower() if not c.isspace()})
    pieces = [f"##{c}" for c in chars if c.isascii() and c.isalnum()]
    lower = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<S>", *chars, *pieces, *WORDS]
    both = [*lower, *(c for c in sorted(set(texts)) if c.isupper()), "MAC", "BEST"]
    for name, tokens in (("vocab", lower), ("cased", both)):
        (tmp_path / f"{name}.txt").write_text("\n".join(dict.fromkeys(tokens)) + "\n", "utf-8")
    config = transformers.BertConfig(
        vocab_size=200, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | {"id2label": None}), "utf-8")
    (tmp_path / "data").mkdir()
    return tmp_path


def write(path, rows):
    if path.suffix == ".txt":
        path.write_text("".join(f"{text}\n{keyword}\n{label}\n" for text, keyword, label in rows), "utf-8")
    else:
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


def job_of(task, flags="", script="trainer"):
    """What a command line reads, and the model that it starts from."""
    arguments, start, models = (
        importlib.import_module(f"original.{name}") for name in ("arguments", "start", "models")
    )
    vocab = "" if "--vocab_file" in flags else "--vocab_file vocab.txt "
    needed = (
        f"{vocab}--output_dir out --bert_config_file_T none --bert_config_file_S config.json --data_dir data"
    )
    chosen = "" if "--load_model_type" in flags else "--load_model_type none"
    train = "" if "--do_predict" in flags else "--do_train --train_batch_size 2"
    args = arguments.parse_arguments(script, f"{needed} {chosen} {train} --task_name {task} {flags}".split())
    args.output_dir.mkdir(exist_ok=True)
    job = start.check(args)
    return args, job, models.load_student(args, job.row_format)


CASES = [
    ("cosmetics", "txt", THREE_LINES), ("components", "txt", [(*row[:2], "1") for row in THREE_LINES]),
    ("cosmetics", "json", THREE_COLUMNS), ("components", "json", labelled(THREE_COLUMNS, "components")),
    ("newcos", "json", NEWCOS), ("cosmetics", "json", SEVEN_COLUMNS), ("newcos", "json", SEVEN_COLUMNS[:1]),
]  # fmt: skip


@pytest.mark.parametrize("limit", [70, 24])
@pytest.mark.parametrize("case", ["uncased", "cased"])
@pytest.mark.parametrize(("task", "ending", "rows"), CASES)
def test_token_ids_are_those_of_an_independent_reader(home, task, ending, rows, case, limit):
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.{ending}", rows * 2 if len(rows) == 1 else rows)
    if len(rows) == 1:  # a row twice is a duplicate
        write(home / f"data/train.{ending}", [*rows, ["这款唇膏差", "唇膏", 2, 4, "消极", "", ""]])
    vocab = "vocab.txt" if case == "uncased" else "cased.txt"
    flags = f"--vocab_file {vocab} --max_seq_length {limit}"
    _, job, checkpoint = job_of(task, flags)
    path = home / f"data/train.{ending}"
    tokenizer = transformers.BertTokenizer(str(home / vocab), do_lower_case=case == "uncased")
    wanted = [READER.token_ids(tokenizer, *row, limit) for row in READER.read(path)]
    (train,) = job.train
    assert train.rejected == []
    encodings = checkpoint.encoder.encode(train.examples)
    assert [e.ids.tolist() for e in encodings] == wanted
    sep = tokenizer.convert_tokens_to_ids("[SEP]")
    assert [e.second for e in encodings] == [ids.index(sep) + 1 for ids in wanted]
    assert job.row_format.marks == (len(rows[0]) == 7)
    assert max(map(len, wanted)) <= limit


@pytest.mark.skipif(
    "ATTAR_DATA" not in os.environ,
    reason="ATTAR_DATA is not set: it names the folder of the public data sets, which are not shipped",
)
def test_the_published_three_line_rows(home):
    source = Path(os.environ["ATTAR_DATA"]) / "textbrewer_fork_cosmetics_mini"
    for stem in ("train", "dev"):
        (home / f"data/{stem}.txt").write_bytes((source / f"{stem}.txt").read_bytes())
    text = (source / "train.txt").read_text("utf-8").lower()
    vocab = (home / "vocab.txt").read_text("utf-8") + "\n".join(sorted({c for c in text if not c.isspace()}))
    (home / "vocab.txt").write_text(vocab + "\n", "utf-8")
    config = json.loads((home / "config.json").read_text("utf-8")) | {"vocab_size": 2000}
    (home / "config.json").write_text(json.dumps(config), "utf-8")
    _, job, checkpoint = job_of("cosmetics", "--max_seq_length 70")
    tokenizer = transformers.BertTokenizer(str(home / "vocab.txt"), do_lower_case=True)
    whole = list(READER.read(home / "data/train.txt"))
    (train,) = job.train
    ours = [e.ids.tolist() for e in checkpoint.encoder.encode(train.examples)]
    assert ours == [READER.token_ids(tokenizer, *row, 70) for row in whole]
    assert (len(ours), len(train.rejected)) == (16, 1)  # the last one was cut off by head


def test_marks_on_and_off_override_the_shape(home):
    write(home / "data/dev.json", THREE_COLUMNS[:1])
    write(
        home / "data/train.json", [["这款口红很好", "口红", 1], ["眼影差", "眼影", -1], ["没有", "粉底", 0]]
    )
    _, job, checkpoint = job_of("cosmetics", "--marks on")
    mark = checkpoint.encoder.tokenizer.token_to_id("_")
    encodings = checkpoint.encoder.encode(job.train[0].examples)
    assert [(e.ids == mark).sum() for e in encodings] == [2, 2]
    assert [r.reason for r in job.train[0].rejected] == ["term_not_found"]  # nowhere to put marks
    write(home / "data/train.json", SEVEN_COLUMNS[4:6])
    _, job, checkpoint = job_of("cosmetics", "--marks off --max_seq_length 24")
    encodings = checkpoint.encoder.encode(job.train[0].examples)
    assert not any((e.ids == mark).any() for e in encodings)
    text = checkpoint.encoder.tokenizer.decode(encodings[0].ids.tolist())
    assert "眼 影 好" in text  # offsets say where the window is


def test_mixed_shapes_are_refused(home):
    write(home / "data/dev.json", THREE_COLUMNS)
    write(home / "data/train.json", SEVEN_COLUMNS)
    with pytest.raises(
        DataError, match=r"data/train.json \(rows of seven columns\), data/dev.json \(rows of thr"
    ):
        job_of("cosmetics")
    # dev alone is read, but the folder is of two minds.
    with pytest.raises(DataError, match="rows of both generations"):
        job_of("cosmetics", "--do_predict")
    assert job_of("cosmetics", "--marks on")[1].row_format.marks
    write(home / "data/train.json", [*THREE_COLUMNS, SEVEN_COLUMNS[0]])
    with pytest.raises(
        DataError, match=r"columns \(data/train.json\[0\]\) and rows of seven columns \(.*\[8\]\)"
    ):
        job_of("cosmetics")
    (home / "data/train.json").unlink()
    write(home / "data/train.txt", THREE_LINES)
    assert not job_of("cosmetics")[1].row_format.marks
    write(home / "data/test.json", SEVEN_COLUMNS)
    with pytest.raises(DataError, match=r"train.txt \(a three-line file\), .*test.json \(rows of seven"):
        job_of("cosmetics")


def test_an_aux_task_of_the_other_kind_is_refused(home):
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.json", SEVEN_COLUMNS)
    (home / "aux").mkdir()
    write(home / "aux/train.json", NEWCOS)
    aux = "--aux_task_name newcos --aux_data_dir aux"
    with pytest.raises(DataError, match=r"aux/train.json \(rows of three columns\)"):
        job_of("cosmetics", aux)
    assert not job_of("cosmetics", f"{aux} --marks off")[1].row_format.marks


def test_a_teacher_of_the_other_kind_is_refused(home, caplog, tmp_path):
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.json", THREE_COLUMNS)
    (tmp_path / "gs7.pkl").write_bytes(b"PK\x03\x04")
    taught = "--tuned_checkpoint_T gs7.pkl --bert_config_file_T config.json"
    with caplog.at_level(logging.WARNING, logger="Main"):
        job_of("cosmetics", taught, "distill")
    assert (
        "gs7.pkl: no gs7.json beside it says how it was trained; assumed to be trained without" in caplog.text
    )
    write_card(tmp_path / "gs7.pkl", {"marks": True})
    with pytest.raises(
        RecipeError, match=r"gs7.pkl was trained with marks \(_\), says gs7.json; its student's"
    ):
        job_of("cosmetics", taught, "distill")
    assert job_of("cosmetics", f"{taught} --marks on", "distill")[1].row_format.marks
    write_card(tmp_path / "gs7.pkl", {"marks": False})
    job_of("cosmetics", taught, "distill")


def test_a_vocabulary_without_capitals_reads_lower_case_and_says_so(home, caplog):
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.json", THREE_COLUMNS)
    with caplog.at_level(logging.INFO, logger="Main"):
        _, job, checkpoint = job_of("cosmetics")
        assert job.row_format.lower_case
        assert caplog.text.count("texts are read lower-case: vocab.txt has no capitals") == 1
        caplog.clear()
        assert job_of("cosmetics", "--do_lower_case")[1].row_format.lower_case
        assert not job_of("cosmetics", "--vocab_file cased.txt")[1].row_format.lower_case
        assert "lower-case" not in caplog.text
    plain = checkpoint.encoder.tokenizer.encode("MAC", add_special_tokens=False).tokens
    assert plain == ["mac"]


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("more", "stray"),
    [
        (["mac", "##a"], []),
        (["I", "K", "T", "M", "Ⅷ", "[UNK]", "<S>"], ["I", "K", "M", "T"]),  # those of bert-base-chinese
        ([*LETTERS.upper()], None),
        (["MAC"], None),
        (["##A"], None),
        (["Best"], None),
    ],
)
def test_a_vocabulary_of_lower_cased_text_may_have_a_few_capital_letters(home, caplog, more, stray):
    marks = importlib.import_module("original.marks")
    assert marks.stray_capitals([*LETTERS, "口", *more]) == stray
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.json", THREE_COLUMNS)
    vocab = (home / "vocab.txt").read_text("utf-8").split("\n")
    (home / "vocab.txt").write_text("\n".join(dict.fromkeys([*vocab, *LETTERS, *more])), "utf-8")
    with caplog.at_level(logging.INFO, logger="Main"):
        assert job_of("cosmetics")[1].row_format.lower_case == (stray is not None)
    if stray:
        assert "vocab.txt has no capitals but I, K, M, T" in caplog.text


def test_cached_features_depend_on_marks(home):
    cache = importlib.import_module("original.cache")
    for stem in ("train", "dev"):
        write(home / f"data/{stem}.json", SEVEN_COLUMNS)
    seen = []
    for flags in ("", "--marks off", "--marks on"):
        _, job, checkpoint = job_of("cosmetics", flags)
        checkpoint, encoder = cache.with_cached_encodings(checkpoint, home / "vocab.txt", lower_case=True)
        encoder.cache(job.train[0].examples, home / "cached_train_70_cosmetics")
        seen.append([e.ids.tolist() for e in checkpoint.encoder.encode(job.train[0].examples)])
    assert seen[0] == seen[2] != seen[1]
    assert np.mean([len(ids) for ids in seen[0]]) > np.mean([len(ids) for ids in seen[1]])

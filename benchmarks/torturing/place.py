"""A folder with all that attar's verbs read, tiny, and every verb's command line on it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torturing.forks import Forks

__all__ = ["VERBS", "Place", "Verb", "make_place"]

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_TOKENS = (*_SPECIAL, *"_，。！", *dict.fromkeys("白红润香粉底口红差是好色服贴毛孔遮瑕很不错"))
_WORDS = (("差", "消极"), ("是", "中性"), ("好", "积极"))
_RECIPE = """
name = "torture"
task = "cosmetics"
seed = 1
[data]
sources = ["rows.jsonl"]
[encode]
max_tokens = 24
[train]
encoder = "encoder"
epochs = 2
batch_size = 16
learning_rate = 1e-3
precision = "fp32"
checkpoint_minutes = 1e-6
[student]
layers = 1
hidden = 32
heads = 4
intermediate = 64
start = "layers"
vocab_margin = "all"
[distill]
epochs = 2
batch_size = 16
precision = "fp32"
checkpoint_minutes = 1e-6
[pretrain]
epochs = 2
batch_size = 16
max_tokens = 16
held_out = 0.2
evaluations_per_epoch = 1
precision = "fp32"
checkpoint_minutes = 1e-6
[export]
max_flips = 0.5
max_f1_loss = 0.5
qat_epochs = 0
[evaluate]
bootstrap = 20
speed_examples = 20
speed_repeats = 1
"""


def _write_sources(place: Path, num_rows: int) -> None:
    """Write rows, reviews, a list of terms and a recipe."""
    rng = random.Random(0)  # noqa: S311 - no secrets
    for name, count in (("rows", num_rows), ("older", num_rows // 2)):
        _write_lines(
            place / f"{name}.jsonl", [json.dumps(_row(rng), ensure_ascii=False) for _ in range(count)]
        )
    reviews = [_row(rng)["text"] for _ in range(num_rows)]
    _write_lines(place / "reviews.txt", [str(review) for review in reviews])
    _write_lines(place / "terms.csv", ["口红", "遮瑕"])
    (place / "recipe.toml").write_text(_RECIPE, "utf-8")


def write_encoder(folder: str, num_more_tokens: int) -> None:
    """Write an encoder as it would be downloaded.

    Args:
        folder: Of the place.
        num_more_tokens: Tokens that no review has: they make a model's files large.
    """
    import torch
    from transformers import BertConfig, BertForMaskedLM

    place = Path(folder)
    tokens = [*_TOKENS, *(f"[unused{i}]" for i in range(num_more_tokens))]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokens), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(place / "encoder")
    _write_lines(place / "encoder" / "vocab.txt", tokens)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _row(rng: random.Random) -> dict[str, object]:
    """A review whose label stands behind its term."""
    word, label = rng.choice(_WORDS)
    before = "".join(rng.choice("白红润香粉底") for _ in range(rng.randint(1, 8)))
    after = "".join(rng.choice("色服贴毛孔遮瑕") for _ in range(rng.randint(0, 8)))
    start = len(before) + 1
    text = f"{before}，口红{word}。{after}"
    return {"text": text, "term": "口红", "start": start, "end": start + 2, "label": label}


@dataclass(frozen=True, slots=True)
class Place:
    """The folder, and what runs commands in it."""

    folder: Path
    forks: Forks

    def at(self, name: str) -> Path:
        """A file or folder in it."""
        return self.folder / name


Kind = Literal["stage", "folder", "file"]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and what it does in a place.

    Attributes:
        name: On the command line.
        arguments: After it, without ``--out``; ``RESULT`` stands for that where it is no option.
        inputs: Names of the files and folders that it reads, each once.
        kind: Whether it writes a stamped folder, a folder of files, or a file.
        result: What its result is called.
        other: What makes another result of the same name: of a stage an option with its value, given or
            replaced; of the others each argument that is replaced, "" for those that stay.
        is_exact: Whether the same command writes the same bytes; a report has times in it.
        replaces: Whether it may take the place of an earlier result.
    """

    name: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    kind: Kind = "stage"
    result: str = "result"
    other: tuple[str, ...] = ("--set", "seed=2")
    is_exact: bool = True
    replaces: bool = True

    def command(self, place: Place, out: Path | str, *, other: bool = False) -> list[str]:
        """The command line, after ``attar``."""
        given = [self._whole(place, one) for one in self.arguments]
        if other and self.kind == "stage":
            at = given.index(self.other[0]) if self.other[0] in given else len(given)
            given[at : at + 2] = self.other
        elif other:
            given = [given[i] if not one else self._whole(place, one) for i, one in enumerate(self.other)]
        if "RESULT" in given:
            return [self.name, *(str(out) if one == "RESULT" else one for one in given)]
        return [self.name, *given, "--out", str(out)]

    def _whole(self, place: Place, word: str) -> str:
        return str(place.at(word[1:])) if word.startswith("@") else word


def _verb(name: str, arguments: str, *named_in_recipe: str, **more: Any) -> Verb:  # noqa: ANN401
    """A verb by its command line, in which ``@`` stands before what is in the place."""
    words = tuple(arguments.split())
    inputs = [word[1:] for word in words if word.startswith("@") and word != "@recipe.toml"]
    return Verb(name, words, tuple(dict.fromkeys((*inputs, *named_in_recipe))), **more)


VERBS: Mapping[str, Verb] = {
    "prepare": _verb("prepare", "@rows.jsonl --recipe @recipe.toml"),
    "pretrain": _verb("pretrain", "@recipe.toml --texts @reviews.txt --data @data", "encoder"),
    "train": _verb("train", "@recipe.toml --data @data", "encoder"),
    "distill": _verb("distill", "@recipe.toml --data @data --teacher @teacher"),
    "finetune": _verb("distill", "@recipe.toml --data @data", "encoder"),
    "export": _verb("export", "@student --data @data --recipe @recipe.toml"),
    "evaluate": _verb(
        "evaluate",
        "--data @data --teacher @teacher --student @student --artifact @artifact --recipe @recipe.toml",
        is_exact=False,
    ),
    "cascade": _verb(
        "cascade", "--first @artifact --second @artifact --data @data --agreement 0.5",
        other=("--agreement", "0.6"), is_exact=False,
    ),
    "insight": _verb(
        "insight", "@scored.jsonl --by term --labels @rows.jsonl", other=("--title", "other")
    ),
    "score": _verb(
        "score", "@artifact --in @rows.jsonl --overwrite",
        kind="file", result="result.jsonl", other=("", "", "@older.jsonl", ""),
    ),
    "score with terms": _verb(
        "score", "@artifact --in @rows.jsonl --terms @terms.csv --overwrite",
        kind="file", result="result.csv", other=("", "", "@older.jsonl", "", "", ""),
    ),
    "score a workbook": _verb(
        "score", "@artifact --in @rows.jsonl --overwrite",
        kind="file", result="result.xlsx", other=("", "", "@older.jsonl", ""),
    ),
    "score for Label Studio": _verb(
        "score", "@artifact --in @rows.jsonl --overwrite",
        kind="file", result="result.json", other=("", "", "@older.jsonl", ""),
    ),
    "compare": _verb(
        "compare", "@scored.jsonl --gold @rows.jsonl",
        kind="file", result="result.xlsx", other=("@rows.jsonl", "", "@scored.jsonl"),
    ),
    "terms": _verb(
        "terms", "@reviews.txt --min-count 2",
        kind="file", result="result.csv", other=("@rows.jsonl", "", ""),
    ),
    "init": _verb("init", "@rows.jsonl", kind="file", result="result.toml", replaces=False),
    "convert": _verb("convert", "@old-artifact RESULT", kind="folder", replaces=False),
    "bench": _verb(
        "bench", "@artifact --repeats 1 --data @data",
        kind="folder", other=("", "", "", "", ""), is_exact=False,
    ),
}  # fmt: skip
"""By the name in the table."""


def make_place(
    folder: Path, forks: Forks, *, num_rows: int = 90, num_more_tokens: int = 0, artifact: Path | None = None
) -> Place:
    """Make the folder with every verb's inputs, by the verbs themselves.

    Args:
        folder: To be made.
        forks: Of commands.
        num_rows: Labelled rows.
        num_more_tokens: Of the encoder.
        artifact: One to take; then there is no other model.

    Raises:
        RuntimeError: A command failed.
    """
    folder.mkdir(parents=True)
    place = Place(folder, forks)
    _write_sources(folder, num_rows)
    steps = [("prepare", "data"), ("train", "teacher"), ("distill", "student"), ("export", "artifact")]
    if artifact is None:
        forks.call("torturing.place:write_encoder", folder, num_more_tokens, cwd=folder)
    else:
        shutil.copytree(artifact, place.at("artifact"))
        steps = steps[:1]
    for verb, name in (*steps, ("score", "scored.jsonl")):
        done = forks.attar(VERBS[verb].command(place, place.at(name)), folder)
        if fault := done.fault(0):
            raise RuntimeError(f"{verb}: {fault}")
    _without_checks(place.at("artifact"), place.at("old-artifact"))
    return place


def _without_checks(artifact: Path, old: Path) -> None:
    """An artifact as an earlier attar wrote it, which ``convert`` changes."""
    from attar.io.sealed import sealed

    shutil.copytree(artifact, old, ignore=shutil.ignore_patterns("checks.json", ".attar"))
    path = old / "attar.json"
    card = json.loads(path.read_text("utf-8"))
    del card["files"]["checks.json"]
    path.write_text(json.dumps(sealed(card)), "utf-8")

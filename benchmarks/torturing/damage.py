"""Damage: every file of every folder that attar reads, cut, emptied, flipped, missing, or another's.

What was damaged is to be named in one line, or made again, or taken from before; never is something
else read without a word.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

import attar
from attar.artifact import load_artifact, write_artifact, write_files
from attar.artifact_card import MEMBERS
from attar.distillation.cache import read_array, write_array
from attar.errors import AttarError
from attar.evaluation.linear_artifact import write_linear
from attar.models.checkpoint import Checkpoint, load_checkpoint, predict_logits, save_checkpoint
from attar.pretraining.pieces import prepare_pieces
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared_folder import load_manifest, load_split
from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder
from attar.training.metrics_log import MetricsLog
from attar.training.state import TrainingStates

__all__ = ["KINDS", "Checked", "Kind", "Outcome", "check_kind", "damages", "flips", "outcome_of"]

Outcome = Literal["named", "from before", "the same"]

_SMALL = 16
_HAN = "的一是不好差香贵油干润白粉底液唇膏妆持色服贴毛孔遮瑕味道喜欢买推荐"
_TEXTS = [f"口红{_HAN[i % 31]}{_HAN[7 * i % 29]}，{_HAN[5 * i % 23]}" for i in range(40)]
_EXAMPLES = [Example(text, 0, 2) for text in _TEXTS[:4]]


class Kind(NamedTuple):
    """A kind of folder.

    Attributes:
        make: Writes one; a number other than 0 makes another's. Takes an artifact and a checkpoint too.
        read: What attar reads from it, as something that can be compared.
        from_before: Whether something else that was read is an older state of it, or nothing.
    """

    make: Callable[[Path, int, Path, Checkpoint], object]
    read: Callable[[Path, Checkpoint], Any]
    from_before: Callable[[Any, Any], bool] = lambda _found, _whole: False


def _make_artifact(folder: Path, number: int, artifact: Path, _: Checkpoint) -> None:
    shutil.copytree(artifact, folder)
    if number:
        found = load_artifact(folder)
        proto, checks = found.model_path.read_bytes(), json.loads((folder / "checks.json").read_text("utf-8"))
        tokenizer = found.tokenizer_path.read_text("utf-8")
        metadata = b"\x72\x0a\x0a\x05other\x12\x01x"  # one more entry of metadata_props
        other = replace(found, temperature=2.0, notes={"other": "x"})
        write_artifact(other, model=proto + metadata, tokenizer=tokenizer + " ", checks=checks | {"more": 1})


def _read_artifact(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    model = attar.load(folder, workers=1)
    return [tuple(one) for one in model.predict(["香味很好，但是持妆太差了"], ["持妆"])]


def _make_linear(folder: Path, number: int, artifact: Path, _: Checkpoint) -> None:
    from attar.evaluation.baselines import WindowedLinear

    task = load_artifact(artifact).task
    examples = [Example(text, 0, 2, task.labels[i % len(task.labels)]) for i, text in enumerate(_TEXTS)]
    write_linear(WindowedLinear(task, examples[number:], examples), task, examples, folder, {})


def _make_cascade(folder: Path, number: int, artifact: Path, checkpoint: Checkpoint) -> None:
    first, last = (folder / name for name in MEMBERS[:2])
    _make_linear(first, number, artifact, checkpoint)
    shutil.copytree(artifact, last)
    members = load_artifact(first), load_artifact(last)
    cascade = {"thresholds": [0.6], "bound": "", "figures": {}}
    style = {"style": members[1].task.style}
    whole = replace(members[1], folder=folder, kind="cascade", input=style, members=members, cascade=cascade)
    write_files(replace(whole, files={}), {}, None)


def _make_checkpoint(folder: Path, number: int, _: Path, checkpoint: Checkpoint) -> None:
    import torch

    if number:
        checkpoint = replace(checkpoint, notes={"role": "other"})
        with torch.no_grad():
            next(checkpoint.model.parameters()).add_(1)
            checkpoint.model.config.layer_norm_eps = 1e-5
    save_checkpoint(checkpoint, folder)


def _read_checkpoint(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    found = load_checkpoint(folder)
    return predict_logits(found, _EXAMPLES).tolist(), found.notes, found.task


def _make_prepared(folder: Path, number: int, _: Path, checkpoint: Checkpoint) -> None:
    labels = checkpoint.task.labels
    rows = [[text, "口红", labels[i % len(labels)]] for i, text in enumerate(_TEXTS)]
    source = folder.with_name(f"{folder.name}.json")
    source.write_text(json.dumps(rows[number:], ensure_ascii=False), "utf-8")
    prepare([SourceRecipe(path=str(source))], checkpoint.task, DataRecipe(), 20, folder)


def _read_prepared(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    return load_manifest(folder)["labels"], [load_split(folder, name) for name in ("train", "dev", "test")]


def _make_states(folder: Path, number: int, _: Path, __: Checkpoint) -> None:
    states = TrainingStates(folder, f"training {number}")
    for step in (1, 2 + number):
        states.save(step, {"step": step, "of": number})


def _read_states(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    return TrainingStates(folder, "training 0").latest()


def _make_metrics(folder: Path, _number: int, _: Path, __: Checkpoint) -> None:
    # Another's says the same: a log of figures for people does not say whose it is.
    log = MetricsLog(folder, enabled=True)
    with log.opened(0):
        for step in (1, 2, 3):
            log.write(step, {"loss": 0.5})
    shutil.rmtree(folder / "tensorboard")


def _read_metrics(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    with MetricsLog(folder, enabled=True).opened(2):
        pass
    shutil.rmtree(folder / "tensorboard")
    return (folder / "metrics.jsonl").read_text("utf-8")


def _make_cache(folder: Path, number: int, _: Path, __: Checkpoint) -> None:
    write_array(folder / "logits.npy", f"key {number}", np.arange(6, dtype=np.float32) + number)


def _read_cache(folder: Path, _: Checkpoint) -> Any:  # noqa: ANN401
    found = read_array(folder / "logits.npy", "key 0", (6,), np.float32)
    return None if found is None else found.tolist()


def _pieces(folder: Path, texts: list[str], checkpoint: Checkpoint) -> Any:  # noqa: ANN401
    encoder = TextEncoder(checkpoint.encoder.tokenizer, InputSpec("single", 16))
    return [piece.ids.tolist() for piece in prepare_pieces(iter(texts), encoder, 0.2, folder)]


KINDS: Mapping[str, Kind] = {
    "artifact": Kind(_make_artifact, _read_artifact),
    "linear": Kind(_make_linear, _read_artifact),
    "cascade": Kind(_make_cascade, _read_artifact),
    "checkpoint": Kind(_make_checkpoint, _read_checkpoint),
    "prepared folder": Kind(_make_prepared, _read_prepared),
    "training state": Kind(
        _make_states, _read_states, lambda found, _: found in (None, {"step": 1, "of": 0})
    ),
    "metrics.jsonl": Kind(
        _make_metrics, _read_metrics, lambda found, whole: set(found.split("\n")) <= {*whole.split("\n")}
    ),
    "teacher outputs": Kind(_make_cache, _read_cache, lambda found, _: found is None),
    "pieces": Kind(
        lambda folder, number, _, checkpoint: _pieces(folder, _TEXTS[number:], checkpoint),
        lambda folder, checkpoint: _pieces(folder, _TEXTS, checkpoint),
    ),
}
"""The folders that attar reads, by what they are called in the table."""


class Checked(NamedTuple):
    """What came of the damaged copies of a folder.

    Attributes:
        counts: How often each outcome came.
        failures: A line for each copy that broke a promise.
        unfinished: Files with ways left to damage them when the time was over.
    """

    counts: Counter[str]
    failures: list[str]
    unfinished: tuple[str, ...] = ()


def damages(path: Path, other: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """The ways to damage a file once, by name; ``other`` is the same file of another folder."""
    content = path.read_bytes()
    yield "half", lambda: path.write_bytes(content[: len(content) // 2])
    yield "one byte short", lambda: path.write_bytes(content[:-1])
    yield "empty", lambda: path.write_bytes(b"")
    yield "zeros", lambda: path.write_bytes(bytes(len(content)))
    yield "missing", path.unlink
    yield "a folder", lambda: _replace_by_folder(path)
    if other.is_file():
        yield "another's", lambda: path.write_bytes(other.read_bytes())


def _replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def flips(path: Path, count: int, rng: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    """The file with one bit flipped, at ``count`` places; at all of a small file."""
    content = path.read_bytes()
    bits = 8 * len(content)
    for bit in range(bits) if bits <= _SMALL * count else sorted(rng.sample(range(bits), count)):

        def flip(bit: int = bit) -> None:
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)

        yield f"bit {bit}", flip


def _read_files(folder: Path) -> Iterator[Path]:
    """All files, members' too, but those in ``.attar``, which say how the folder was made."""
    for path in folder.rglob("*"):
        if path.is_file() and ".attar" not in path.relative_to(folder).parts:
            yield path


def outcome_of(kind: Kind, folder: Path, whole: Any, checkpoint: Checkpoint) -> Outcome:  # noqa: ANN401
    """What became of a damaged folder.

    Raises:
        AssertionError: Something else was read from it without a word, or the message is no line.
        Exception: Whatever escaped; that is a failure too.
    """
    try:
        found = kind.read(folder, checkpoint)
    except AttarError as error:
        assert "\n" not in str(error), str(error)
        assert str(folder) in str(error), str(error)
        return "named"
    if found == whole:
        return "the same"
    assert kind.from_before(found, whole), f"read {str(found)[:200]}"
    return "from before"


def check_kind(
    kind: Kind,
    pair: tuple[Path, Path],
    checkpoint: Checkpoint,
    folder: Path,
    *,
    num_flips: int,
    rng: random.Random,
    is_over: Callable[[], bool] = lambda: False,
) -> Checked:
    """Damage every file of a folder in every way.

    Args:
        kind: Of the folder.
        pair: A whole folder, and another's.
        checkpoint: What the reader needs beside it.
        folder: Where copies are damaged.
        num_flips: Flipped bits a file; all of a small one.
        rng: Draws them.
        is_over: Whether to stop; asked before each copy. The files take turns, so that what there was time
            for is the same of each.
    """
    original, other = pair

    def restore() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, folder)

    restore()
    whole = kind.read(folder, checkpoint)
    counts, failures = Counter[str](), list[str]()
    names = sorted(str(path.relative_to(original)) for path in _read_files(original))
    left = {
        name: itertools.chain(damages(folder / name, other / name), flips(folder / name, num_flips, rng))
        for name in names
    }
    while left and not is_over():
        for name, ways in list(left.items()):
            restore()
            way, damage = next(ways, ("", None))
            if damage is None:
                del left[name]
                continue
            damage()
            try:
                counts[outcome_of(kind, folder, whole, checkpoint)] += 1
            except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
                failures.append(f"{name}, {way}: {type(error).__name__}: {str(error)[:150]}")
            if is_over():
                break
    return Checked(counts, failures, tuple(left))

"""``attar bench``: an artifact and other models timed in one interleaved run, text to label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attar.artifact import load_artifact
from attar.bench.chart import bench_svg
from attar.bench.cold_start import cold_starts
from attar.bench.synthetic import synthetic_examples
from attar.bench.timing import Side, Speed, interleaved, times_faster
from attar.cores import num_workers
from attar.errors import DataError
from attar.io.files import atomic_write, write_json
from attar.io.outputs import check_output
from attar.records.prepared_folder import load_split
from attar.scoring.onnx_scorer import OnnxScorer
from attar.scoring.predictor import Predictor
from attar.system_info import system_info
from attar.task import Example, Task

__all__ = ["bench", "bench_files", "write_bench"]

_NUM_SYNTHETIC = 2000
_MOST_STARTS = 3
_ARTIFACT_PROGRAM = """
import attar
score = attar.load({folder!r}, workers={workers}).predict_probs
"""
_CHECKPOINT_PROGRAM = """
from pathlib import Path
import torch
from attar.models.checkpoint import load_checkpoint, predict_logits
torch.set_num_threads({workers})
checkpoint = load_checkpoint(Path({folder!r}))
score = lambda examples: predict_logits(checkpoint, examples, batch_size=8)
"""


def bench(
    artifact: Path,
    against: Sequence[Path] = (),
    data: Path | None = None,
    *,
    workers: int | None = None,
    repeats: int = 5,
    price_per_core_hour: float = 0.04,
) -> dict[str, Any]:
    """Time an artifact and other models in turns on this machine, text to label.

    Args:
        artifact: Timed first; the others are compared with it.
        against: Checkpoints (run as the original system runs one) or artifacts.
        data: A folder written by ``attar prepare``, whose test split is read in a random order;
            None takes synthetic examples of 12 to 70 tokens.
        workers: Threads, but for the figures of one core; None takes ``attar.cores.num_workers()``.
        repeats: Interleaved rounds; as many processes, at most three, are started for ``cold_start``.
        price_per_core_hour: What a core costs an hour, in any currency.

    Returns:
        ``machine``, ``workers``, ``data``, ``rounds``, ``price_per_core_hour``, and under ``models`` by
        the folder's name: ``kind``, ``size_bytes``, ``all_cores`` (all workers) and ``one_core``
        (``attar.bench.timing.Speed`` as dicts; a single example's latency is that of
        ``one_core``), ``cold_start`` (``attar.bench.cold_start.ColdStart``), ``price_per_million`` and
        ``times_slower`` than the artifact, from paired rounds of all workers.

    Raises:
        DataError: No examples, a negative price, a folder named twice, or models of different styles.
        RecipeError: ``workers``, or ATTAR_WORKERS, is no number of threads.
    """
    if price_per_core_hour < 0:
        raise DataError(f"attar bench: a core-hour for {price_per_core_hour}; expected 0 or more")
    threads = num_workers(workers)
    models = _load_all([artifact, *against], threads)
    first, task = next((name, model.task) for name, model in models.items())
    examples = synthetic_examples(_NUM_SYNTHETIC, task.style) if data is None else _test_split(data)
    sides = {(name, cores): side for name, model in models.items() for cores, side in model.sides.items()}
    speeds = interleaved(sides, examples, repeats)
    return {
        "machine": system_info(),
        "workers": threads,
        "data": {
            "source": "synthetic" if data is None else str(data),
            "examples": len(examples),
            "mean_tokens": _mean_tokens(models, examples),
        },
        "rounds": repeats,
        "price_per_core_hour": price_per_core_hour,
        "models": {
            name: model.describe(examples, repeats)
            | {
                "all_cores": asdict(speeds[name, "all"]),
                "one_core": asdict(speeds[name, "one"]),
                "price_per_million": _price(price_per_core_hour * threads, speeds[name, "all"]),
                "times_slower": times_faster(speeds[first, "all"], speeds[name, "all"]),
            }
            for name, model in models.items()
        },
    }


def _mean_tokens(models: Mapping[str, _Model], examples: Sequence[Example]) -> float | None:
    """As the first model counts them that reads tokens; None where none does."""
    encode = next((model.encode for model in models.values() if model.encode is not None), None)
    return None if encode is None else float(np.mean([len(one.ids) for one in encode(examples)]))


def _price(price_per_hour: float, speed: Speed) -> float:
    """Of a million examples."""
    return 1e6 * price_per_hour / 3600 / speed.examples_per_second


def bench_files(out: Path, reads: Iterable[Path]) -> tuple[Path, Path]:
    """The files that ``write_bench`` writes into a folder: to be asked for before the minutes of timing.

    Raises:
        DataError: They cannot be written, or lie in a folder that is read.
    """
    files = out / "bench.json", out / "bench.svg"
    for file in files:
        check_output(file, reads)
    return files


def write_bench(out: Path, figures: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write what ``bench`` measured as ``bench.json``, and as the picture ``bench.svg``, into a folder.

    Returns:
        The two files.
    """
    table, picture = bench_files(out, ())
    write_json(table, figures)
    with atomic_write(picture) as draft:
        draft.write_text(bench_svg(figures), "utf-8")
    return table, picture


@dataclass(frozen=True, slots=True)
class _Model:
    """A model to time."""

    kind: Literal["artifact", "checkpoint"]
    task: Task
    size_bytes: int  # of its file of weights
    encode: Callable[[Sequence[Example]], Sequence[Any]] | None
    sides: Mapping[str, Side]  # with all workers and with one, by ``all`` and ``one``
    program: str  # starts it in a process of its own; see ``attar.bench.cold_start``
    num_cold: int  # examples that such a process answers

    def describe(self, examples: Sequence[Example], repeats: int) -> dict[str, Any]:
        """What it is, and what starting it takes, in at most three processes."""
        cold = cold_starts(self.program, examples[: self.num_cold], min(_MOST_STARTS, repeats))
        return {"kind": self.kind, "size_bytes": self.size_bytes, "cold_start": asdict(cold)}


def _load(folder: Path, workers: int) -> _Model:
    if (folder / "model.safetensors").is_file():
        return _load_checkpoint(folder, workers)
    loaded = load_artifact(folder)
    every, one = (Predictor(loaded, threads, deduplicate=False) for threads in (workers, 1))
    return _Model(
        "artifact",
        loaded.task,
        loaded.model_bytes,
        every.scorer.encoder.encode if isinstance(every.scorer, OnnxScorer) else None,
        {"all": every.predict_probs, "one": one.predict_probs},
        _ARTIFACT_PROGRAM.format(folder=str(folder), workers=workers),
        2000,
    )


def _load_checkpoint(folder: Path, workers: int) -> _Model:
    # Torch, which scoring does without, comes in with a checkpoint only.
    from attar.bench.original import original_side
    from attar.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(folder)
    return _Model(
        "checkpoint",
        checkpoint.task,
        (folder / "model.safetensors").stat().st_size,
        checkpoint.encoder.encode,
        {"all": original_side(checkpoint, workers), "one": original_side(checkpoint, 1)},
        _CHECKPOINT_PROGRAM.format(folder=str(folder), workers=workers),
        32,
    )


def _load_all(folders: Sequence[Path], workers: int) -> dict[str, _Model]:
    """Models of one task's style, by name."""
    loaded = (_load(folder, workers) for folder in folders)
    models = dict(zip(_names(folders), loaded, strict=True))
    (first, style), *others = ((name, model.task.style) for name, model in models.items())
    for name, other in others:
        if other != style:
            raise DataError(
                f"attar bench: {name} reads examples of style {other!r}, {first} of {style!r}; "
                "name models of one task"
            )
    return models


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names; the whole path where a name is taken."""
    whole = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder in folders if whole.count(folder.resolve()) > 1]
    if twice:
        raise DataError(f"attar bench: {twice[0]} is named twice; name each folder once")
    names = [folder.name for folder in whole]
    return [str(folder) if folder.name in names[:i] else folder.name for i, folder in enumerate(whole)]


def _test_split(data: Path) -> list[Example]:
    """Its examples in a random order, the same every time: a fair mix of lengths in every turn."""
    examples = load_split(data, "test")
    order = np.random.default_rng(0).permutation(len(examples))
    return [examples[i] for i in order]

"""Evaluation as in the original: log lines, eval_results-TASK.txt, and the predictions as JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef
from tqdm import tqdm

from attar.classic.files import classic_labels
from attar.io.files import write_json
from attar.models.checkpoint import Checkpoint, predict_logits
from attar.progress import SECONDS_PER_LINE
from attar.stage_cache import is_first_process
from attar.task import Example, Task
from attar.training.fit import DevScore
from original.log import MAIN
from original.tasks import TASKS, Metric

__all__ = ["Evaluation", "figures"]

_BATCHES_PER_UPDATE = 16  # of the bar
_BAR = "Evaluating"
_FIGURES = "{n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"  # of tqdm


class Evaluation:
    """Evaluates a model on the dev files and writes the files of the original.

    Args:
        args: The command line.
        checkpoint: The model, with its current weights at each evaluation.
        dev: Name of an evaluation -> its examples.

    Attributes:
        results: The figures of the last evaluation.
    """

    def __init__(
        self, args: argparse.Namespace, checkpoint: Checkpoint, dev: Mapping[str, Sequence[Example]]
    ) -> None:
        self.args, self.checkpoint, self.dev = args, checkpoint, dev
        self.results: dict[str, dict[str, float]] = {}
        self._logits: dict[str, NDArray[np.float32]] = {}

    def score(self) -> DevScore:
        """Score the model on every dev file; the accuracy on the first one selects the checkpoint."""
        labels = set()
        for name, examples in self.dev.items():
            self._logits[name] = self._predict(name, examples)
            gold = np.array([self.checkpoint.task.index_of(example) for example in examples])
            chosen = self._logits[name].argmax(1)
            labels |= set(chosen.tolist())
            self.results[name] = figures(TASKS[self.args.task_name].metric, gold, chosen)
            if self.args.do_predict:
                MAIN.info("task:,%s", name)
                MAIN.info("result: %s", self.results[name])
                self._log_time(len(examples))
        first = next(iter(self.dev))
        hits = self._logits[first].argmax(1) == [self.checkpoint.task.index_of(e) for e in self.dev[first]]
        detail = {f"dev/{key}": value for key, value in self.results[first].items()}
        return DevScore(float(hits.mean()), detail, collapsed=len(labels) == 1)

    def write(self, step: int) -> None:
        """Write the last scores, which are of the weights after ``step`` optimiser steps."""
        if not self.args.do_predict or not is_first_process():
            return
        for name, result in self.results.items():
            MAIN.info("***** Eval results %d task %s *****", step, name)
            with (self.args.output_dir / f"eval_results-{name}.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"step: {step} ****\n ")
                for key in sorted(result):
                    MAIN.info("%s = %s", key, result[key])
                    stream.write(f"{key} = {result[key]}\n")
            if self.args.script == "trainer":
                path = self.args.output_dir / f"eval_results-{name}.json"
                _write_predictions(path, self.checkpoint.task, self._logits[name])

    def _predict(self, name: str, examples: Sequence[Example]) -> NDArray[np.float32]:
        size = self.args.predict_batch_size
        if self.args.do_predict:
            MAIN.info("Predicting...")
            MAIN.info("***** Running predictions *****")
            MAIN.info(" task name = %s", name)
            MAIN.info("  Num  examples = %d", len(examples))
            MAIN.info("  Batch size = %d", size)
        step = size * _BATCHES_PER_UPDATE
        parts = []
        total = -(-len(examples) // size)
        started = logged = time.monotonic()
        # On a terminal the bar of the README; elsewhere log lines with its figures.
        is_quiet = not self.args.do_predict or not is_first_process()
        layout = f"{{l_bar}}{{bar}}| {_FIGURES}"
        with tqdm(total=total, desc=_BAR, disable=is_quiet or None, bar_format=layout) as bar:
            for start in range(0, len(examples), step):
                chunk = examples[start : start + step]
                parts.append(predict_logits(self.checkpoint, chunk, size))
                bar.update(-(-len(chunk) // size))
                now, num_done = time.monotonic(), min(total, -(-(start + step) // size))
                if bar.disable and not is_quiet and (num_done == total or now - logged > SECONDS_PER_LINE):
                    MAIN.info("%s", _progress_line(num_done, total, now - started))
                    logged = now
        self._seconds = time.monotonic() - started
        return np.concatenate(parts)

    def _log_time(self, count: int) -> None:
        each = self._seconds / count
        MAIN.info(
            "--- 评估%d条数据的总耗时是 %s seconds, 每条耗时 %s seconds ---", count, self._seconds, each
        )


def _progress_line(num_done: int, total: int, seconds: float) -> str:
    """``Evaluating: 100% 896/896 [00:29<00:00, 30.09it/s]``; its unit is a batch, as in the original."""
    layout = f"{{desc}}: {{percentage:.0f}}% {_FIGURES}"
    return str(tqdm.format_meter(num_done, total, max(seconds, 1e-9), prefix=_BAR, bar_format=layout))


def figures(metric: Metric, gold: NDArray[np.int64], chosen: NDArray[np.int64]) -> dict[str, float]:
    """The metrics of a task by their names in eval_results.

    Args:
        metric: Which ones.
        gold: [N] indices of the labels.
        chosen: [N] indices of the predicted labels.
    """
    if metric == "mcc":
        return {"mcc": float(matthews_corrcoef(gold, chosen))}
    accuracy = float((gold == chosen).mean())
    if metric == "acc":
        return {"acc": accuracy}
    f1 = float(f1_score(gold, chosen, zero_division=0.0))
    return {"acc": accuracy, "f1": f1, "acc_and_f1": (accuracy + f1) / 2}


def _write_predictions(path: Path, task: Task, logits: NDArray[np.float32]) -> None:
    """``[[pred_id, max_prob], ...]``, the ids in the order of the original's labels."""
    theirs = classic_labels(task)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probs = (shifted / shifted.sum(1, keepdims=True)).max(1)
    ids = [theirs.index(task.labels[i]) for i in logits.argmax(1)]
    write_json(path, [[i, float(p)] for i, p in zip(ids, probs, strict=True)], indent=None)

"""The original's tasks by name: their labels, their files, and the metric of eval_results.

cosmetics, newcos and components are attar's own; caiye is the word-pair task of advertising text
(is this word, in this text, an ingredient, an effect or another word); the rest are the classification
tasks of GLUE, read by column number, as in the files that GLUE distributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from attar.task import Task, task_by_name

__all__ = ["TASKS", "ClassicTask", "Metric", "Split"]

Metric = Literal["acc", "acc_and_f1", "mcc"]
Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class ClassicTask:
    """A task as the original knew it.

    Attributes:
        task: Labels and input style.
        dev_files: Name of an evaluation -> stem of its file.
        format: "rows" (train.json or the three-line train.txt), "pairs" (``text###word###id``) or "tsv".
        metric: Of eval_results: "acc", "acc_and_f1" (F1 of the last label) or "mcc" (Matthews' correlation).
        columns: Of a TSV: text, term (the second sentence) and label -> column number from 0; negative
            ones count from the end.
        has_header: Whether the first line of a TSV names the columns.
        max_tokens: Default of ``--max_seq_length``.
    """

    task: Task
    dev_files: Mapping[str, str]
    format: Literal["rows", "pairs", "tsv"] = "rows"
    metric: Metric = "acc"
    columns: Mapping[str, int] = field(default_factory=dict)
    has_header: bool = True
    max_tokens: int = 416

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.task.name


def _own(name: str) -> ClassicTask:
    return ClassicTask(task_by_name(name), MappingProxyType({name: "dev"}))


def _glue(name: str, labels: str, columns: str, metric: Metric = "acc") -> ClassicTask:
    """A task of GLUE; ``columns`` are those of the sentence, or of both sentences, and of the label."""
    *sentences, label = map(int, columns.split())
    style: Literal["single", "sentence_pair"] = "single" if len(sentences) == 1 else "sentence_pair"
    task = Task(name, tuple(labels.split()), style, metric="accuracy")
    dev_files = {"mnli": "dev_matched", "mnli-mm": "dev_mismatched"} if name == "mnli" else {name: "dev"}
    places = dict(zip(("text", "term"), sentences, strict=False)) | {"label": label}
    return ClassicTask(task, dev_files, "tsv", metric, places, has_header=name != "cola")


_CAIYE = Task(
    "caiye",
    ("components", "effect", "other"),
    "sentence_pair",
    metric="accuracy",
    aliases=MappingProxyType({"0": "components", "1": "effect", "2": "other"}),
)

TASKS: Mapping[str, ClassicTask] = MappingProxyType(
    {
        one.name: one
        for one in (
            *map(_own, ("cosmetics", "newcos", "components")),
            ClassicTask(_CAIYE, MappingProxyType({"caiye": "dev"}), "pairs", max_tokens=30),
            _glue("mnli", "contradiction entailment neutral", "8 9 -1"),
            _glue("mrpc", "0 1", "3 4 0", "acc_and_f1"),
            _glue("qqp", "0 1", "3 4 5", "acc_and_f1"),
            _glue("qnli", "entailment not_entailment", "1 2 -1"),
            _glue("rte", "entailment not_entailment", "1 2 -1"),
            _glue("wnli", "0 1", "1 2 -1"),
            _glue("sst-2", "0 1", "0 1"),
            _glue("cola", "0 1", "3 1", "mcc"),
        )
    }
)
"""Name on the command line -> the task."""

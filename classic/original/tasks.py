"""The original's tasks by name: what is asked, in which files, and how the answers are scored.

cosmetics, newcos and components are attar's own; caiye is the word-pair task of advertising text
(is this word, in this text, an ingredient, an effect or another word); the rest are those of GLUE
that have classes, read by the place of a column, as in the files that GLUE gives out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from attar.task import Task, task_by_name

__all__ = ["TASKS", "ClassicTask", "Columns", "Metric", "Split"]

Metric = Literal["acc", "acc_and_f1", "mcc"]
Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, slots=True)
class Columns:
    """ColumnNames of the columns of a TSV, from 0; negative ones count from the end.

    Attributes:
        text: The sentence.
        second: The other sentence, None where there is one only.
        label: The label.
        has_header: Whether the first line names the columns.
    """

    text: int
    second: int | None
    label: int
    has_header: bool = True


@dataclass(frozen=True, slots=True)
class ClassicTask:
    """A task as the original knew it.

    Attributes:
        task: Ours.
        dev_files: Name of an evaluation -> stem of its file.
        form: "rows" (train.json or the three-line train.txt), "pairs" (``text###word###id``) or "tsv".
        metric: What eval_results has: "acc", with the F1 of the last label, or Matthews' correlation.
        columns: Of a TSV.
        max_tokens: ``max_seq_length`` where the command line has none.
    """

    task: Task
    dev_files: Mapping[str, str]
    form: Literal["rows", "pairs", "tsv"] = "rows"
    metric: Metric = "acc"
    columns: Columns | None = None
    max_tokens: int = 416

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.task.name


def _glue(name: str, labels: tuple[str, ...], columns: Columns, metric: Metric = "acc") -> ClassicTask:
    style: Literal["single", "sentence_pair"] = "single" if columns.second is None else "sentence_pair"
    matched = {"mnli": "dev_matched", "mnli-mm": "dev_mismatched"}
    task = Task(name, labels, style, metric="accuracy")
    dev_files = MappingProxyType(matched if name == "mnli" else {name: "dev"})
    return ClassicTask(task, dev_files, "tsv", metric, columns)


def _own(name: str) -> ClassicTask:
    return ClassicTask(task_by_name(name), MappingProxyType({name: "dev"}))


_YES_NO = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")
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
            _glue("mnli", ("contradiction", "entailment", "neutral"), Columns(8, 9, -1)),
            _glue("mrpc", _YES_NO, Columns(3, 4, 0), "acc_and_f1"),
            _glue("qqp", _YES_NO, Columns(3, 4, 5), "acc_and_f1"),
            _glue("qnli", _ENTAILMENT, Columns(1, 2, -1)),
            _glue("rte", _ENTAILMENT, Columns(1, 2, -1)),
            _glue("wnli", _YES_NO, Columns(1, 2, -1)),
            _glue("sst-2", _YES_NO, Columns(0, None, 1)),
            _glue("cola", _YES_NO, Columns(3, None, 1, has_header=False), "mcc"),
        )
    }
)
"""Name on the command line -> the task."""

"""Tasks and examples; the only home of label names.

A Task is data: its labels in the order of the logits, its input style, and the metric that selects a
checkpoint. An Example is one accepted (text, term) pair. Everything after ``attar prepare`` works on
these two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from attar.errors import RecipeError
from attar.suggest import did_you_mean

__all__ = ["BUILT_IN_TASKS", "Example", "InputStyle", "Metric", "Task", "task_by_name"]

InputStyle = Literal["marked_pair", "pair", "single", "sentence_pair"]
Metric = Literal["macro_f1", "accuracy"]

_WHOLE_FLOAT = re.compile(r"(?<=\d)\.0+$")


@dataclass(frozen=True, slots=True)
class Example:
    """One accepted (text, aspect term) pair.

    Attributes:
        text: The review, unchanged.
        start: Offset of the term's first Unicode code point.
        end: Offset one past the term's last code point; equal to ``start`` if the task has no term
            (single sentences and sentence pairs).
        label: A label of the task, or None if it is not known.
        meta: Other fields of its row (channel, wordtype, id).
        second: The second sentence of a sentence pair, "" in every other task.
        weight: Of its loss in training: the share of its annotators who gave this label.
    """

    text: str
    start: int
    end: int
    label: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    second: str = ""
    weight: float = 1.0

    @property
    def term(self) -> str:
        """The aspect term, cut from the text."""
        return self.text[self.start : self.end]

    @property
    def question(self) -> tuple[str, int, int, str]:
        """All that a prediction depends on: examples with equal questions get equal probs."""
        return self.text, self.start, self.end, self.second


@dataclass(frozen=True, slots=True)
class Task:
    """A classification task: C labels and how an example becomes an input.

    Attributes:
        name: Short name, used in file names.
        labels: The C labels in the order of the logits.
        style: The input. ``marked_pair``: ``[CLS] text with _term_ marked [SEP] term [SEP]`` (as in
            the original system); ``pair``: the same without marks; ``single``: ``[CLS] text [SEP]``;
            ``sentence_pair``: ``[CLS] text [SEP] second [SEP]``.
        window_chars: Characters of the text kept on either side of the term before it is tokenised;
            None keeps as many clauses as fit into the token budget.
        metric: Selects the best checkpoint on dev.
        aliases: Other spellings of the labels in sources: spelling -> label.
    """

    name: str
    labels: tuple[str, ...]
    style: InputStyle = "marked_pair"
    window_chars: int | None = None
    metric: Metric = "macro_f1"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise RecipeError(f"task {self.name!r}: needs at least two different labels, got {self.labels}")
        if self.style not in get_args(InputStyle):
            raise RecipeError(f"task {self.name!r}: style {self.style!r} is none of {get_args(InputStyle)}")
        if self.window_chars is not None and self.window_chars < 1:
            raise RecipeError(f"task {self.name!r}: window_chars must be 1 or more")
        unknown = sorted(set(self.aliases.values()) - set(self.labels))
        if unknown:
            raise RecipeError(f"task {self.name!r}: aliases name unknown labels {unknown}")

    @property
    def has_term(self) -> bool:
        """Whether an example of this task has a term."""
        return self.style in ("marked_pair", "pair")

    def label_of(self, spelling: str) -> str | None:
        """The label of a spelling in a source, or None if it is unknown."""
        spelling = spelling.strip()
        if spelling in self.labels:
            return spelling
        # A column of numbers with an empty cell becomes one of floats: 1.0 is the label 1.
        whole = _WHOLE_FLOAT.sub("", spelling)
        return self.aliases.get(spelling) or (whole if whole in self.labels else self.aliases.get(whole))

    def index_of(self, example: Example) -> int:
        """Index of a labelled example's label in the logits."""
        assert example.label is not None, "records/ lets no unlabelled example into training"
        return self.labels.index(example.label)

    def to_json(self) -> dict[str, Any]:
        """A plain dict that ``from_json`` reads back."""
        return {
            "name": self.name,
            "labels": list(self.labels),
            "style": self.style,
            "window_chars": self.window_chars,
            "metric": self.metric,
            "aliases": dict(self.aliases),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """Read what ``to_json`` wrote."""
        return cls(**{**value, "labels": tuple(value["labels"])})


_SENTIMENT = ("消极", "中性", "积极")
_SENTIMENT_ALIASES = MappingProxyType(
    dict.fromkeys(("-1", "负面", "neg", "NEG", "negative", "Negative"), "消极")
    | dict.fromkeys(("0", "neu", "NEU", "neutral", "Neutral"), "中性")
    | dict.fromkeys(("1", "正面", "pos", "POS", "positive", "Positive"), "积极")
)

BUILT_IN_TASKS: Mapping[str, Task] = MappingProxyType(
    {
        task.name: task
        for task in (
            Task("cosmetics", _SENTIMENT, aliases=_SENTIMENT_ALIASES),
            Task("newcos", _SENTIMENT, window_chars=25, aliases=_SENTIMENT_ALIASES),
            Task(
                "components",
                ("否", "是"),
                # COM and EFF (a claimed effect) are the tags of its BIO files.
                aliases={"0": "否", "1": "是", "F": "否", "T": "是", "EFF": "否", "COM": "是"},
            ),
        )
    }
)


def task_by_name(name: str) -> Task:
    """A built-in task.

    Raises:
        RecipeError: No built-in task has that name.
    """
    if name in BUILT_IN_TASKS:
        return BUILT_IN_TASKS[name]
    hint = did_you_mean(name, BUILT_IN_TASKS)
    raise RecipeError(
        f"unknown task {name!r}: built in are {', '.join(BUILT_IN_TASKS)}{hint} "
        "Your own task goes into the recipe as a [task] table with name and labels."
    )

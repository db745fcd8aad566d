"""Tasks and examples; the only home of label names.

A Task is data: its labels in the order of the logits, its input style, and the metric that selects a
checkpoint. An Example is one accepted (text, term) pair. Everything after ``attar prepare`` works on
these two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from attar.errors import RecipeError
from attar.language.translator import ENGLISH, Translator
from attar.suggest import did_you_mean

__all__ = [
    "BUILT_IN_TASKS",
    "Example",
    "InputStyle",
    "Metric",
    "ScaleProblem",
    "Task",
    "number_of",
    "scale_problem",
    "spread_labels",
    "task_by_name",
]

InputStyle = Literal["marked_pair", "pair", "single", "sentence_pair"]
Metric = Literal["macro_f1", "accuracy"]

_WHOLE_FLOAT = re.compile(r"\+?(-?\d+)(?:\.0*)?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MINUS = str.maketrans("−–", "--")
_MOST_NUMBERS = 12
_MANY = 0.1  # share of the numbers that are none of the scale's, above which it is not that scale

# Words for one thing: whichever of them a task has as a label, it knows the others as spellings.
_SYNONYMS = (
    ("消极", "负面", "负向", "差评", "负", "neg", "negative"),
    ("中性", "中立", "中评", "中", "neu", "neutral"),
    ("积极", "正面", "正向", "好评", "正", "pos", "positive"),
    ("否", "假", "false", "f", "no", "n"),
    ("是", "真", "true", "t", "yes", "y"),
)


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
        states_numbers: Whether a user said what the numbers among the aliases mean; those of a
            built-in task are an assumption about the source. No part of what is stored.
    """

    name: str
    labels: tuple[str, ...]
    style: InputStyle = "marked_pair"
    window_chars: int | None = None
    metric: Metric = "macro_f1"
    aliases: Mapping[str, str] = field(default_factory=dict)
    states_numbers: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise RecipeError(f"task {self.name!r}: needs at least two different labels, got {self.labels}")
        if self.style not in get_args(InputStyle):
            raise RecipeError(f"task {self.name!r}: style {self.style!r} is none of {get_args(InputStyle)}")
        if self.window_chars is not None and self.window_chars < 1:
            raise RecipeError(f"task {self.name!r}: window_chars must be 1 or more")
        unknown = sorted(set(self.aliases.values()) - set(self.labels))
        if unknown:
            raise RecipeError(
                f"task {self.name!r}: aliases name unknown labels {unknown}; its labels are "
                f"{', '.join(self.labels)}"
            )

    @property
    def has_term(self) -> bool:
        """Whether an example of this task has a term."""
        return self.style in ("marked_pair", "pair")

    def label_of(self, spelling: str) -> str | None:
        """The label of a spelling in a source, or None if it is unknown.

        Besides labels and aliases in any case and width, ``1.0`` is ``1``, and usual words for the
        labels are known (好评 and positive for 积极).
        """
        spelling = spelling.strip()
        if spelling in self.labels:
            return spelling
        if spelling in self.aliases:
            return self.aliases[spelling]
        plain = _plain(spelling)
        said = {label for name, label in self.aliases.items() if _plain(name) == plain}
        said |= {label for label in self.labels if _plain(label) == plain}
        if not said:
            same = {word for words in _SYNONYMS if plain in words for word in words}
            said = {label for label in self.labels if _plain(label) in same}
        return next(iter(said)) if len(said) == 1 else None

    def index_of(self, example: Example) -> int:
        """Index of a labelled example's label in the logits."""
        assert example.label is not None, "records/ lets no unlabelled example into training"
        return self.labels.index(example.label)

    def with_aliases(self, aliases: Mapping[str, str]) -> Task:
        """The same task with more spellings; if numbers are among them, they are all that it knows.

        Raises:
            RecipeError: One stands for no label of the task.
        """
        said = {name: self.label_of(label) or label for name, label in aliases.items()}
        numbers = any(number_of(name) is not None for name in said)
        kept = {name: self.aliases[name] for name in self.aliases if not numbers or number_of(name) is None}
        return replace(self, aliases=kept | said, states_numbers=self.states_numbers or numbers)

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
        """Read what ``to_json`` wrote; numbers that mean what a built-in task assumes are assumed."""
        task = cls(**{**value, "labels": tuple(value["labels"])})
        built_in = BUILT_IN_TASKS.get(task.name)
        assumed = built_in is not None and _numbers(built_in.aliases) == _numbers(task.aliases)
        return replace(task, states_numbers=not assumed)


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
            Task("cosmetics", _SENTIMENT, aliases=_SENTIMENT_ALIASES, states_numbers=False),
            Task("newcos", _SENTIMENT, window_chars=25, aliases=_SENTIMENT_ALIASES, states_numbers=False),
            Task(
                "components",
                ("否", "是"),
                # COM and EFF (a claimed effect) are the tags of its BIO files.
                aliases={"0": "否", "1": "是", "F": "否", "T": "是", "EFF": "否", "COM": "是"},
                states_numbers=False,
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


def number_of(spelling: str) -> float | None:
    """The number that a label is in a source, or None where it is none."""
    plain = _plain(spelling)
    return float(plain) if _NUMBER.fullmatch(plain) else None


class ScaleProblem(NamedTuple):
    """Labels that are numbers on another scale than the task assumes.

    Attributes:
        what: The numbers with their counts, and what the task reads them as.
        advice: How to say what they mean.
        num_rows: How many labels are numbers.
    """

    what: str
    advice: str
    num_rows: int


def scale_problem(task: Task, counts: Mapping[str, int], tr: Translator = ENGLISH) -> ScaleProblem | None:
    """What is wrong where labels are numbers on another scale than the task assumes.

    Args:
        task: What a user says about numbers (``states_numbers``) is never wrong.
        counts: Rows by the label as their sources spell it, all sources together.
        tr: Of the language to say it in.
    """
    found: dict[float, int] = {}
    for spelling, count in counts.items():
        if (number := number_of(spelling)) is not None:
            found[number] = found.get(number, 0) + count
    scale = _numbers(task.aliases)
    if task.states_numbers or not found or not scale:
        return None
    total, outside = sum(found.values()), sum(n for number, n in found.items() if number not in scale)
    # Of -1, 0, 1 the -1 tells the scale from 0/1 and from stars.
    lacks_sign = min(scale) < 0 and min(scale) not in found
    if not lacks_sign and outside <= _MANY * total:
        return None
    numbers = sorted(found)
    shown = ", ".join(f"{number:g} ({found[number]:,})" for number in numbers[:_MOST_NUMBERS])
    left = len(numbers) - _MOST_NUMBERS
    more = tr.plural(" and {num} other", " and {num} others", left) if left > 0 else ""
    read_as = ((f"{number:g}", label) for number, label in sorted(scale.items()))
    assumed = ", ".join(tr("{number} as {label}", number=number, label=label) for number, label in read_as)
    labels = spread_labels(len(numbers), task.labels) if len(numbers) > 1 else ["LABEL"]
    spread = [(f"{number:g}", label) for number, label in zip(numbers[:_MOST_NUMBERS], labels, strict=False)]
    at_prompt = " ".join(f"--alias {number}={label}" for number, label in spread)
    in_recipe = ", ".join(f'"{number}" = "{label}"' for number, label in spread)
    lacking = tr(", none of which is -1") if lacks_sign else ""
    what = tr(
        "the labels are numbers, {numbers}{more}, and the task {task} reads {assumed}: that is not "
        "the scale of these rows{lacking}",
        numbers=shown, more=more, task=task.name, assumed=assumed, lacking=lacking,
    )  # fmt: skip
    advice = tr(
        "say what each number means, if it is this: attar prepare {options}, or in a recipe [task] with "
        'name = "{task}" and aliases = {{ {aliases} }}',
        options=at_prompt, task=task.name, aliases=in_recipe,
    )  # fmt: skip
    return ScaleProblem(what, advice, total)


def spread_labels(count: int, labels: Sequence[str]) -> list[str]:
    """A label for each of two or more numbers in order: the ends at the ends, the middle in the middle.

    Args:
        count: How many numbers, two or more.
        labels: From the lowest number to the highest.
    """
    last, middle = len(labels) - 1, (len(labels) - 1) / 2
    places = [last * i / (count - 1) for i in range(count)]
    return [labels[int(place) if place <= middle else -int(-place // 1)] for place in places]


def _numbers(aliases: Mapping[str, str]) -> dict[float, str]:
    """What each number among the spellings stands for."""
    numbers = ((number_of(name), label) for name, label in aliases.items())
    return {number: label for number, label in numbers if number is not None}


def _plain(spelling: str) -> str:
    """A spelling without case, width and characters that nobody sees; of a whole number its digits."""
    text = unicodedata.normalize("NFKC", spelling).translate(_MINUS).casefold()
    text = "".join(char for char in text if unicodedata.category(char) != "Cf").strip()
    whole = _WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text

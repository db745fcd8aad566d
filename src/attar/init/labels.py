"""The task: which labels there are, in which order, and what each spelling stands for.

Sentiment, yes and no, and the usual scales are known by their words and numbers; any other label is a
label of the user's own task. What is guessed is an alias with a comment, for the user to check.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from attar.errors import DataError
from attar.init.columns import GIVEN
from attar.init.facts import RowFacts
from attar.task import BUILT_IN_TASKS, InputStyle, Task, number_of, spread_labels

__all__ = ["AliasGuess", "TaskGuess", "guess_task"]

_SENTIMENT = BUILT_IN_TASKS["cosmetics"].labels
_YES_NO = BUILT_IN_TASKS["components"].labels
# Scales from negative to positive whose words the tasks do not know.
_SCALES = (
    ("非常差", "很差", "差", "一般", "好", "很好", "非常好"),
    ("不好", "还行", "好"),
    ("非常不满意", "不满意", "一般", "满意", "非常满意"),
    ("不推荐", "中立", "推荐"),
    ("不喜欢", "一般", "喜欢"),
    ("讨厌", "无感", "喜欢"),
    ("bad", "average", "good"),
    ("very negative", "negative", "neutral", "positive", "very positive"),
)
_STARS = 5
_MOST_LABELS = 100
_MOST_CHARS = 20  # of a label that may be shown; a longer one may be a review in a wrong column
_STRAY = 0.005  # of the rows
_LEAST_ROWS = 3
_SOME_TERMS = 0.1  # of the rows; others are about no term, and are rejected where a task has terms
_MOST_SEEN = 8
_BAD_NAME = re.compile(r"[^\w-]+")


class AliasGuess(NamedTuple):
    """What a spelling stands for.

    Attributes:
        label: A label of the task.
        num_rows: Rows that spell it so.
        why: What that was guessed from.
    """

    label: str
    num_rows: int
    why: str


@dataclass(slots=True)
class TaskGuess:
    """A task as a recipe may say it.

    Attributes:
        name: Of the task; of a built-in one where ``labels`` is empty.
        style: How an example becomes tokens.
        labels: Of a user's own task, else empty.
        why: What name, labels and style were guessed from.
        aliases: What each spelling that is no label stands for.
        unknown: Rows by spellings that no label was found for, the many longer ones under "".
        counts: Rows by label.
    """

    name: str
    style: InputStyle = "marked_pair"
    labels: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, AliasGuess] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


def guess_task(facts: RowFacts, name: str, chosen: Mapping[str, str], *, is_pair: bool = False) -> TaskGuess:
    """Guess the task of some rows.

    Args:
        facts: What was counted of them.
        name: Of a task of the user's own.
        chosen: Spellings to labels, which the user names.
        is_pair: Whether the terms are second sentences.

    Raises:
        DataError: There is no labelled row, only one label, or more labels than any task has.
    """
    if not facts.num_rows:
        raise DataError("no row has both a text and a label; name the columns with --column text=NAME")
    style: InputStyle = "sentence_pair" if is_pair else "single"
    if not is_pair and facts.num_terms > _SOME_TERMS * facts.num_rows:
        style = "marked_pair"
    found = TaskGuess(_BAD_NAME.sub("_", name).strip("_") or "mine", style)
    found.why["style"] = (
        f"{facts.num_terms:,} of {facts.num_rows:,} rows have a term" + _others_said(facts, style)
        if style != "sentence_pair"
        else "each row has two sentences"
    )
    _read_labels(facts.labels, chosen, found)
    return found


def _others_said(facts: RowFacts, style: InputStyle) -> str:
    return "; the others are rejected" if style == "marked_pair" and facts.num_terms < facts.num_rows else ""


def _read_labels(spellings: Counter[str], chosen: Mapping[str, str], found: TaskGuess) -> None:
    """Fill in labels, aliases and counts."""
    meanings = _given(spellings, chosen)
    left = Counter({word: num for word, num in spellings.items() if word not in meanings})
    short = Counter({word: num for word, num in left.items() if _is_showable(word)})
    long = left.total() - short.total()
    if len(short) > _MOST_LABELS:
        raise DataError(
            f"the labels are {len(short):,} different ones, more than a task has ({_MOST_LABELS}); is "
            "another column the label? name it with --column label=NAME"
        )
    is_sentence_pair = found.style == "sentence_pair"
    numbers = {word: number for word in short if (number := number_of(word)) is not None}
    words = [word for word in short if word not in numbers]
    meanings |= _of_words(words, short, found)
    if numbers and not is_sentence_pair:
        labels = _YES_NO if {label for label, _ in meanings.values()} & set(_YES_NO) else _SENTIMENT
        meanings |= _of_numbers(numbers, short, found, labels)
    rest = Counter({word: short[word] for word in short if word not in meanings})
    known = {label for label, _ in meanings.values()}
    order = _order_of(known)
    if order and rest and rest.total() <= _STRAY * spellings.total():
        found.unknown = rest
    else:
        own = _own_labels(rest, numbers, found)
        plain = {word.casefold(): word for word in own}
        meanings |= {word: (plain[word.casefold()], "another case of it") for word in rest}
        order = list(dict.fromkeys([*order, *own]))
        if rest:
            found.why["labels"] = _said_of(own, known, numbers)
    if long:
        found.unknown[""] = long
    for word, (label, why) in meanings.items():
        found.counts[label] += spellings[word]
        if word != label:
            found.aliases[word] = AliasGuess(label, spellings[word], why)
    _name_task(order, found)


def _given(spellings: Mapping[str, int], chosen: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    sentiment = Task("sentiment", _SENTIMENT)
    known = {word: sentiment.label_of(word) or word for word in chosen.values()}
    plain = {word.casefold(): label for word, label in chosen.items()}
    return {
        word: (known[plain[word.casefold()]], GIVEN)
        for word in (*spellings, *chosen)
        if word.casefold() in plain
    }


def _is_showable(word: str) -> bool:
    return len(word) <= _MOST_CHARS and word.isprintable()


def _of_words(words: list[str], counts: Mapping[str, int], found: TaskGuess) -> dict[str, tuple[str, str]]:
    """What the words that are known stand for."""
    num = sum(counts[word] for word in words)
    for labels, aliases in ((_SENTIMENT, {}), (_YES_NO, {"COM": "是", "EFF": "否"})):
        task = Task("known", labels, aliases=aliases)
        known = {word: label for word in words if (label := task.label_of(word))}
        # One of a known set alone, among others, is no sign: 中 may be a size.
        if known and 2 * sum(counts[word] for word in known) > num:
            found.why.setdefault("labels", "known words")
            return {word: (label, "a known word") for word, label in known.items()}
    return {}


def _of_numbers(
    numbers: Mapping[str, float], counts: Mapping[str, int], found: TaskGuess, labels: Sequence[str]
) -> dict[str, tuple[str, str]]:
    """What numbers stand for where they are a scale; nothing where they may as well be names of classes."""
    there = sorted(set(numbers.values()))
    shown = ", ".join(f"{number:g}" for number in there)
    scale: dict[float, str] = {}
    if len(labels) == len(_YES_NO):
        scale = dict(zip((0.0, 1.0), labels, strict=True)) if set(there) <= {0.0, 1.0} else {}
    elif there[0] == -1 and set(there) <= {-1.0, 0.0, 1.0}:
        scale = {-1.0: _SENTIMENT[0], 0.0: _SENTIMENT[1], 1.0: _SENTIMENT[2]}
    elif there[0] >= 0 and _STARS - 1 <= there[-1] <= _STARS and not (there[0] == 0 and there[-1] == _STARS):
        # Of 0 to 4 the middle is 2, of 1 to 4 there is none.
        middle = 3.0 if there[-1] == _STARS else 2.0 if 0 in there else 2.5
        scale = {number: _SENTIMENT[1 + (number > middle) - (number < middle)] for number in there}
    elif 1 < len(there) <= 3 and there in ([0, 1], [0, 1, 2], [1, 2, 3], [1, 2], [0, 2]):
        scale = dict(zip(there, spread_labels(len(there), labels), strict=True))
    if not scale:
        return {}
    check = "" if there[0] == -1 else ": check it"
    found.why["labels"] = f"a scale of {shown} from negative to positive{check}"
    return {word: (scale[number], f"a scale of {shown}") for word, number in numbers.items() if counts[word]}


def _order_of(known: set[str]) -> list[str]:
    """Known labels in their order, then those that only the user knows."""
    usual = [label for label in (*_SENTIMENT, *_YES_NO) if label in known]
    return [*usual, *sorted(known - set(usual))]


def _own_labels(rest: Counter[str], numbers: Mapping[str, float], found: TaskGuess) -> list[str]:
    """Labels that are their own spellings, in order; those of too few rows are left unknown."""
    few = [word for word, num in rest.items() if num < _LEAST_ROWS and rest.total() >= _MOST_LABELS]
    found.unknown.update({word: rest.pop(word) for word in few})
    # One label in several cases is one.
    plain = dict[str, str]()
    for word, _ in rest.most_common():
        plain.setdefault(word.casefold(), word)
    own = list(plain.values())
    if all(word in numbers for word in own):
        return sorted(own, key=lambda word: numbers[word])
    for scale in _SCALES:
        if {word.casefold() for word in own} <= set(scale):
            return sorted(own, key=lambda word: scale.index(word.casefold()))
    return own


def _said_of(own: list[str], known: set[str], numbers: Mapping[str, float]) -> str:
    if all(word in numbers for word in own):
        return "the numbers as they are, for they seem to be no scale"
    plain = {word.casefold() for word in own}
    if not known and any(plain <= set(scale) for scale in _SCALES):
        return "a known scale, from negative to positive"
    return "the words as they are, the most frequent first" + (" after the known ones" if known else "")


def _name_task(order: list[str], found: TaskGuess) -> None:
    """A built-in task where it has just these labels, else the user's own."""
    if len(order) < 2 and not found.labels:
        if set(order) <= set(_SENTIMENT) and order:
            order = list(_SENTIMENT)
        else:
            raise DataError(
                f"all {found.counts.total():,} rows have one label, and a model needs two to tell apart; is "
                "another column the label? name it with --column label=NAME"
            )
    for name, labels in (("cosmetics", _SENTIMENT), ("components", _YES_NO)):
        if found.style == "marked_pair" and tuple(order) == labels:
            found.name = name
            found.why["name"] = "the labels are those of the built-in task"
            return
    found.labels = tuple(order)

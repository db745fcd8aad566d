"""The rows of the original's HTTP routes, and the replies to them.

``{"data": [row, ...]}``; a row is a list, and its length says what it is:

- 2 ``[text, keyword]``, 3 ``[text, keyword, label]``
- 4 ``[text, keyword, start, end]``, 5 ``[..., label]``, 7 ``[..., label, channel, wordtype]``

A plain reply is ``[label, prob, row]`` with the row as it came. A truncated one is ``[label, prob,
[cut text, keyword], [start, end]]``: the cut text is the part of the text that the model read, with
``_`` on either side of the keyword where the model reads these, and the offsets are those of the
keyword in the text as it was sent. (Shapes as in the public fork johnson7788/TextBrewer,
huazhuang/main_api.py and main_api_components.py.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.serving.limits import Limits, MentionCount, check_num_rows, check_text
from attar.serving.problem import Problem
from attar.task import Example, Task

__all__ = ["Asked", "ClassicModel", "RowReader", "replies"]

_MARK = "_"
_SHAPES = {
    2: "[text, keyword]",
    3: "[text, keyword, label]",
    4: "[text, keyword, start, end]",
    5: "[text, keyword, start, end, label]",
    7: "[text, keyword, start, end, label, channel, wordtype]",
}


class ClassicModel(NamedTuple):
    """A model that the routes can ask, whatever it is made of.

    Attributes:
        probs: Examples to probs [N, C], in the order of the task's labels.
        window: An example to the offsets of the part of its text that is read.
        version: For the reply's header.
    """

    probs: Callable[[Sequence[Example]], NDArray[np.float32]]
    window: Callable[[Example], tuple[int, int]]
    version: str


class Asked(NamedTuple):
    """One question of a request.

    Attributes:
        example: What is asked; its label is the row's, if that counts.
        row: As it came, for a plain reply; None where a truncated one is expected.
        keyword: As it came.
    """

    example: Example
    row: list[Any] | None
    keyword: str


class RowReader:
    """Reads the rows of one request.

    Args:
        task: Of the model.
        limits: What one request may ask for.
    """

    def __init__(self, task: Task, limits: Limits) -> None:
        self._task = task
        self._limits = limits

    def plain(self, value: Any, size: int) -> list[Asked]:  # noqa: ANN401 - JSON is any
        """Rows of 2 or of 3, one question each: the first place where the keyword stands.

        A text in which the keyword stands between marks, as a cut text has it, is asked about at
        that place.

        Raises:
            Problem: 400, the message names the row; 422, there is too much.
        """
        return [self._plain(where, row) for where, row in self._rows(value, (size,))]

    def located(self, value: Any, sizes: Collection[int] = (2, 4, 5, 7)) -> list[Asked]:  # noqa: ANN401
        """Rows with offsets, one question each, and rows of 2, one for every occurrence.

        A row of 2 whose keyword does not occur gives no question, as in the original.

        Raises:
            Problem: 400, the message names the row; 422, there is too much.
        """
        counted = MentionCount(self._limits)
        asked: list[Asked] = []
        for where, row in self._rows(value, sizes):
            found = self._everywhere(row) if len(row) == 2 else [self._placed(where, row)]
            counted.add(where, len(found))
            asked += found
        return asked

    def labelled(self, value: Any, sizes: Collection[int]) -> list[Asked]:  # noqa: ANN401 - JSON is any
        """Rows with a label of the task, in any of the shapes that have one.

        Raises:
            Problem: 400, the message names the row; 422, there is too much.
        """
        return [
            self._labelled(where, row, self._plain(where, row) if len(row) == 3 else self._placed(where, row))
            for where, row in self._rows(value, sizes)
        ]

    def _rows(self, value: Any, sizes: Collection[int]) -> list[tuple[str, list[Any]]]:  # noqa: ANN401
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(data, list):
            raise Problem(400, "invalid_request", 'expected an object {"data": [row, ...]}')
        check_num_rows(len(data), self._limits)
        rows = [(f"data[{index}]", row) for index, row in enumerate(data)]
        for where, row in rows:
            if not isinstance(row, list) or len(row) not in sizes:
                shapes = " or ".join(_SHAPES[size] for size in sizes)
                got = f"a list of {len(row)}" if isinstance(row, list) else type(row).__name__
                raise _wrong(where, f"expected {shapes}, got {got}")
            text, keyword = row[:2]
            if not isinstance(text, str) or not isinstance(keyword, str):
                raise _wrong(where, "text and keyword must be strings")
            if not text.strip() or not keyword.strip():
                raise _wrong(where, "text and keyword must not be empty")
            check_text(where, text, self._limits)
        return rows

    def _plain(self, where: str, row: list[Any]) -> Asked:
        text, keyword = row[:2]
        marked = f"{_MARK}{keyword}{_MARK}"
        start = text.find(marked) if self._task.style == "marked_pair" else -1
        if start >= 0:
            # The encoding puts the same marks in again.
            text = text[:start] + keyword + text[start + len(marked) :]
        else:
            start = text.find(keyword)
        if start < 0:
            raise _wrong(where, "the keyword does not occur in the text")
        return Asked(Example(text, start, start + len(keyword)), row, keyword)

    def _everywhere(self, row: list[Any]) -> list[Asked]:
        text, keyword = row
        found = []
        start = text.find(keyword)
        while start >= 0:
            found.append(Asked(Example(text, start, start + len(keyword)), None, keyword))
            start = text.find(keyword, start + len(keyword))
        return found

    def _placed(self, where: str, row: list[Any]) -> Asked:
        text, keyword, start, end = row[:4]
        if any(isinstance(at, bool) or not isinstance(at, int) for at in (start, end)):
            raise _wrong(where, "start and end must be whole numbers")
        if not 0 <= start < end <= len(text) or text[start:end] != keyword:
            raise _wrong(where, "text[start:end] is not the keyword; count from 0, in Unicode code points")
        return Asked(Example(text, start, end), None, keyword)

    def _labelled(self, where: str, row: list[Any], asked: Asked) -> Asked:
        given = row[2] if len(row) == 3 else row[4]
        label = self._task.label_of(given) if isinstance(given, str) else None
        if label is None:
            raise _wrong(where, f"its label is none of {', '.join(self._task.labels)}")
        example = asked.example
        return asked._replace(example=Example(example.text, example.start, example.end, label))


def replies(model: ClassicModel, task: Task, asked: Sequence[Asked]) -> tuple[list[list[Any]], int]:
    """The replies to questions, in order, and how many agree with the label of their row."""
    if not asked:
        return [], 0
    probs = model.probs([one.example for one in asked])
    best = probs.argmax(1).tolist()
    made: list[list[Any]] = []
    num_right = 0
    for one, at, row in zip(asked, best, probs.tolist(), strict=True):
        label = task.labels[at]
        num_right += label == one.example.label
        about = [one.row] if one.row is not None else _truncated(model, task, one)
        made.append([label, row[at], *about])
    return made, num_right


def _truncated(model: ClassicModel, task: Task, asked: Asked) -> list[Any]:
    text, start, end = asked.example.text, asked.example.start, asked.example.end
    low, high = model.window(asked.example)
    mark = _MARK if task.style == "marked_pair" else ""
    # A map back from a normalised text may widen a span, never lose the keyword.
    cut = f"{text[min(low, start) : start]}{mark}{asked.keyword}{mark}{text[end : max(high, end)]}"
    return [[cut, asked.keyword], [start, end]]


def _wrong(where: str, reason: str) -> Problem:
    return Problem(400, "invalid_row", f"{where}: {reason}")

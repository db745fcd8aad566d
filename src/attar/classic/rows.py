"""Rows and replies of the original's HTTP routes.

``{"data": [row, ...]}``; a row is a list, and its length says which fields it has:

- 2 ``[text, keyword]``, 3 ``[text, keyword, label]``
- 4 ``[text, keyword, start, end]``, 5 ``[..., label]``, 7 ``[..., label, channel, wordtype]``

A plain reply is ``[label, prob, row]`` with the row unchanged. A truncated one is ``[label, prob,
[cut text, keyword], [start, end]]``: the cut text is the window that the model read, with ``_`` on
either side of the keyword if the model was trained with marks, and the offsets are those of the keyword
in the text of the request. (Shapes as in the public fork johnson7788/TextBrewer, huazhuang/main_api.py
and main_api_components.py.)

A row that cannot be used keeps its place in the reply: ``[null, null, row, reason]``, truncated
``[null, null, [text, keyword], [start, end], reason]``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attar.serving.limits import Limits, MentionCount, Problem, check_num_rows, text_problem
from attar.task import Example, Task
from attar.text.normalise import is_unicode

__all__ = ["ClassicModel", "Query", "RowReader", "replies"]

_MARK = "_"
_SHAPES = {
    2: "[text, keyword]",
    3: "[text, keyword, label]",
    4: "[text, keyword, start, end]",
    5: "[text, keyword, start, end, label]",
    7: "[text, keyword, start, end, label, channel, wordtype]",
}


class ClassicModel(NamedTuple):
    """A model behind the routes: an artifact, a checkpoint or the original's files.

    Attributes:
        probs: Examples -> probs [N, C], in the order of the task's labels.
        window: An example -> start and end of the part of its text that is encoded.
        version: For the reply's header.
        marks: Whether it was trained with ``_`` around the keyword.
        finds_keyword: Whether a keyword without offsets is searched for in its text. If not, text and
            keyword are encoded as two sentences, as the original did with such rows.
        name: In the metrics; "" for the version.
    """

    probs: Callable[[Sequence[Example]], NDArray[np.float32]]
    window: Callable[[Example], tuple[int, int]]
    version: str
    marks: bool = True
    finds_keyword: bool = True
    name: str = ""


class Query(NamedTuple):
    """One (text, keyword) of a request to predict, or a row that cannot be used.

    Attributes:
        row: As it was sent.
        span: Start and end of the keyword; None in a row without offsets.
        label: The row's gold label, on routes that take one.
        is_plain: Whether the reply is plain or truncated.
        problem: Why the row cannot be used; None if it can.
    """

    row: Any
    span: tuple[int, int] | None
    label: str | None
    is_plain: bool
    problem: str | None = None

    @property
    def example(self) -> Example:
        """The example of a usable row; without offsets text and keyword are two sentences."""
        text, keyword = self.row[:2]
        if self.span is None:
            return Example(text, 0, 0, self.label, second=keyword)
        return Example(text, *self.span, self.label)

    def example_for(self, model: ClassicModel) -> Example:
        """The example as this model encodes it.

        If the keyword stands between marks in the text, as in a cut text, that occurrence is meant.
        """
        text, keyword = self.row[:2]
        if self.span is not None or not model.finds_keyword:
            return self.example
        marked = f"{_MARK}{keyword}{_MARK}"
        start = text.find(marked) if model.marks else -1
        if start >= 0:
            # The encoding adds the marks again.
            text = text[:start] + keyword + text[start + len(marked) :]
        else:
            start = text.find(keyword)
        if start < 0:
            return self.example
        return Example(text, start, start + len(keyword), self.label)


class RowReader:
    """Reads the rows of one request.

    Every method raises a ``Problem``: 400, the data is no list; 422, there is too much.
    """

    def __init__(self, task: Task, limits: Limits) -> None:
        self._task, self._limits = task, limits

    def plain(self, value: Any) -> list[Query]:  # noqa: ANN401 - JSON is any
        """Rows of 2, one query each."""
        return [self._read(row, (2,), is_plain=True) for row in self._rows(value)]

    def located(self, value: Any) -> list[Query]:  # noqa: ANN401 - JSON is any
        """Rows with offsets, one query each, and rows of 2, one for every occurrence.

        A row of 2 whose keyword does not occur gives no query, as in the original.
        """
        counted = MentionCount(self._limits)
        queries: list[Query] = []
        for index, row in enumerate(self._rows(value)):
            one = self._read(row, (2, 4, 5, 7), is_plain=False)
            found = _occurrences(one) if one.problem is None and one.span is None else [one]
            counted.add(f"data[{index}]", len(found))
            queries += found
        return queries

    def labelled(self, value: Any, sizes: Collection[int]) -> list[Query]:  # noqa: ANN401 - JSON is any
        """Rows with a label of the task, in any shape that has one."""
        found = []
        for row in self._rows(value):
            is_plain = not isinstance(row, list) or len(row) <= 3
            one = self._read(row, sizes, is_plain=is_plain and 3 in sizes)
            found.append(one if one.problem else self._labelled(one))
        return found

    def _rows(self, value: Any) -> list[Any]:  # noqa: ANN401 - JSON is any
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(data, list):
            raise Problem(400, "invalid_request", 'expected an object {"data": [row, ...]}')
        check_num_rows(len(data), self._limits)
        return data

    def _read(self, row: Any, sizes: Collection[int], *, is_plain: bool) -> Query:  # noqa: ANN401
        problem = self._problem(row, sizes)
        span = (row[2], row[3]) if problem is None and len(row) > 3 else None
        return Query(row, span, None, is_plain, problem)

    def _problem(self, row: Any, sizes: Collection[int]) -> str | None:  # noqa: ANN401 - JSON is any
        """Why a row cannot be used; quotes nothing of its text."""
        if not isinstance(row, list) or len(row) not in sizes:
            shapes = " or ".join(_SHAPES[size] for size in sizes)
            got = f"a list of {len(row)}" if isinstance(row, list) else type(row).__name__
            return f"expected {shapes}, got {got}"
        text, keyword = row[:2]
        if not isinstance(text, str) or not isinstance(keyword, str):
            return "text and keyword must be strings"
        if not text.strip() or not keyword.strip():
            return "text and keyword must not be empty"
        if not is_unicode(text + keyword):
            return "it holds half of a surrogate pair (\\ud800-\\udfff)"
        return text_problem(text, self._limits) or (_span_problem(row) if len(row) > 3 else None)

    def _labelled(self, query: Query) -> Query:
        given = query.row[2] if len(query.row) == 3 else query.row[4]
        label = self._task.label_of(given) if isinstance(given, str) else None
        if label is None:
            return query._replace(problem=f"its label is none of {', '.join(self._task.labels)}")
        return query._replace(label=label)


def _span_problem(row: list[Any]) -> str | None:
    text, keyword, start, end = row[:4]
    if any(isinstance(at, bool) or not isinstance(at, int) for at in (start, end)):
        return "start and end must be whole numbers"
    if not 0 <= start < end <= len(text) or text[start:end] != keyword:
        return "text[start:end] is not the keyword; count from 0, in Unicode code points"
    return None


def _occurrences(query: Query) -> list[Query]:
    text, keyword = query.row
    return [query._replace(span=found.span()) for found in re.finditer(re.escape(keyword), text)]


def replies(
    model: ClassicModel,
    task: Task,
    queries: Sequence[Query],
    examples: Sequence[Example],
    probs: list[list[float]],
) -> tuple[list[list[Any]], int]:
    """The reply to each query, in order, and how many labels equal the gold label of their row.

    Args:
        model: What predicted.
        task: Its labels.
        queries: Of the request.
        examples: ``example_for`` of each usable query.
        probs: Of the examples, [N, C].
    """
    pending = iter(zip(examples, probs, strict=True))
    made: list[list[Any]] = []
    num_correct = 0
    for one in queries:
        if one.problem is not None:
            made.append(_unusable(one))
            continue
        example, row = next(pending)
        prob = max(row)
        label = task.labels[row.index(prob)]
        num_correct += label == example.label
        made.append([label, prob, *([one.row] if one.is_plain else _truncated(model, example))])
    return made, num_correct


def _unusable(query: Query) -> list[Any]:
    if query.is_plain:
        return [None, None, query.row, query.problem]
    row = query.row if isinstance(query.row, list) else []
    text, keyword, start, end = [*row[:4], None, None, None, None][:4]
    return [None, None, [text, keyword], [start, end], query.problem]


def _truncated(model: ClassicModel, example: Example) -> list[Any]:
    text, start, end = example.text, example.start, example.end
    low, high = model.window(example)
    mark = _MARK if model.marks else ""
    # Mapping back from a normalised text may widen a span, but never loses the keyword.
    cut = f"{text[min(low, start) : start]}{mark}{example.term}{mark}{text[end : max(high, end)]}"
    return [[cut, example.term], [start, end]]

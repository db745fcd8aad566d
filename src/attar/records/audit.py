"""The audit: which records become examples, and why the others do not.

Nothing is repaired in silence. A record that does not fit is a Rejection with a stable reason
code, a message without any review text, and the row itself.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from attar.records.record import Record
from attar.task import Example, Task

__all__ = ["Reason", "Rejection", "audit"]

Reason = Literal[
    "bad_row",
    "bad_mark",
    "no_mark",
    "bad_text",
    "empty_text",
    "empty_term",
    "missing_label",
    "unknown_label",
    "bad_offsets",
    "term_not_found",
    "term_ambiguous",
    "duplicate",
    "contradiction",
]

_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that is not used.

    Attributes:
        reason: Stable code.
        message: What was expected and what to do, without any review text.
        where: ``file:line`` of the row.
        row: The row as it came: the seven columns, or what stood there if they cannot be told.
    """

    reason: Reason
    message: str
    where: str
    row: list[object]


def audit(records: Iterable[Record | Rejection], task: Task) -> Iterator[Example | Rejection]:
    """Turn records into examples or rejections, in their order.

    Of several equal rows the first is kept. Where one span of one text has two labels, all of its
    rows are rejected, so every record is read before the first result.

    Args:
        records: Records; the rejections of a reader are passed on.
        task: Whose labels and style decide. Without terms, the span is empty (start = end = 0).

    Yields:
        One Example or Rejection a record.
    """
    outcomes: list[tuple[Record, Example] | Rejection] = []
    labels: defaultdict[_Key, set[str]] = defaultdict(set)
    for record in records:
        outcome = record if isinstance(record, Rejection) else _accept(record, task)
        if isinstance(outcome, Rejection):
            outcomes.append(outcome)
        else:
            assert isinstance(record, Record)
            outcomes.append((record, outcome))
            labels[_key(outcome)].add(outcome.label or "")
    seen: dict[_Key, str] = {}
    for item in outcomes:
        if isinstance(item, Rejection):
            yield item
            continue
        record, example = item
        key = _key(example)
        if len(labels[key]) > 1:
            both = " and ".join(sorted(labels[key]))
            message = f"the same text and span has the labels {both}; decide for one in every row"
            yield _reject("contradiction", message, record)
        elif key in seen:
            message = f"the same text, span and label as {seen[key]}; the first row is kept"
            yield _reject("duplicate", message, record)
        else:
            seen[key] = record.where
            yield example


def _key(example: Example) -> _Key:
    return example.text, example.start, example.end


def _reject(reason: Reason, message: str, record: Record) -> Rejection:
    return Rejection(reason, message, record.where, record.as_row())


def _accept(record: Record, task: Task) -> Example | Rejection:
    label = task.label_of(record.label or "")
    problem = _text_problem(record) or (None if label else _label_problem(record, task))
    if problem:
        return _reject(*problem, record)
    if not task.has_term:
        return Example(record.text, 0, 0, label, record.meta)
    span = _span(record)
    return span if isinstance(span, Rejection) else Example(record.text, *span, label, record.meta)


def _text_problem(record: Record) -> tuple[Reason, str] | None:
    if not record.text.strip():
        return "empty_text", "the text is empty"
    if not _is_unicode(record.text, *record.meta.values()):
        return (
            "bad_text",
            "half of a surrogate pair (a broken \\ud83d escape) stands in the row; write it whole",
        )
    return None


def _label_problem(record: Record, task: Task) -> tuple[Reason, str]:
    spelling = (record.label or "").strip()
    labels = ", ".join(task.labels)
    if not spelling:
        return "missing_label", f"no label; expected one of {labels}"
    known = {key.casefold(): key for key in (*reversed([*task.aliases]), *task.labels)}
    near = difflib.get_close_matches(spelling.casefold(), known, n=1, cutoff=0.5)
    # Columns may have been swapped, and review text belongs in no message.
    shown = f" {spelling!r}" if near or len(spelling) <= 4 else ""
    hint = ""
    if near:
        name = known[near[0]]
        stands_for = "" if name in task.labels else f" ({task.aliases[name]})"
        hint = f"; did you mean {name!r}{stands_for}?"
    return "unknown_label", f"label{shown} is none of {labels}{hint}"


def _span(record: Record) -> tuple[int, int] | Rejection:
    if not record.term.strip():
        message = "no term, and the task needs one; is it in a column that data.columns.term should name?"
        return _reject("empty_term", message, record)
    if record.start is None and record.end is None:
        return _find(record)
    if record.start is None or record.end is None:
        return _reject("bad_offsets", "only one of start and end is given; give both or neither", record)
    start, end = record.start, record.end
    if not 0 <= start < end <= len(record.text) or record.text[start:end] != record.term:
        message = (
            f"text[{start}:{end}] is not the term; expected half-open offsets in Unicode code points "
            "(not bytes, not UTF-16), or none"
        )
        return _reject("bad_offsets", message, record)
    return start, end


def _find(record: Record) -> tuple[int, int] | Rejection:
    start = record.text.find(record.term)
    if start < 0:
        return _reject("term_not_found", "the term does not stand in the text as it is written", record)
    if record.text.find(record.term, start + 1) >= 0:
        message = "the term occurs more than once and no offsets say which is meant; give start and end"
        return _reject("term_ambiguous", message, record)
    return start, start + len(record.term)


def _is_unicode(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True

"""Label Studio: its JSON exports, old (``completions``) and new (``annotations``), and JSON_MIN.

An export is a list of tasks: ``data`` holds the text, each annotation is one person's work on it.
Tasks become records, and what nobody can learn from (skipped, empty, superseded, damaged) a
Rejection. Drafts and predictions are nobody's labels and are not read.

A text that the export holds only the address of (``valueType="url"``) is rejected. Offsets are passed on
as they came, for the audit to check, but those of hypertext, which count its text without tags. In
Label Studio 1.23.2 a mouse drag in the browser gives code points of the text as it was imported (an
emoji is one, ``&amp;`` is five, a newline is one), and the server keeps whatever the API is sent,
unchecked. Older versions counted UTF-16 units, an emoji as two.

JSON_MIN has one row an annotation and drops the ids that tie a choice to its region: rows with
regions alone are read, and the answers to the control that the source names; others are rejected.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

from attar.errors import DataError
from attar.io.encodings import Encoding
from attar.io.json_list import list_items
from attar.io.tables.rows import as_meta, as_offset
from attar.records.readers.label_studio_results import (
    LabelChoice,
    ResultLabel,
    Unreadable,
    is_region_list,
    labels_in,
    place_of_region,
)
from attar.records.record import Reason, Record, Rejection
from attar.task import Task
from attar.text.address import is_address

__all__ = ["is_label_studio", "read_label_studio"]

_EXPECTED = "expected an export of Label Studio as JSON"
_WORKS = ("annotations", "completions")
_ABOUT_THE_TERM = ("keyword", "start", "end")
_COLUMNS = ("text", "term", "label", "channel", "wordtype")
_NOT_THE_TEXT = (*_ABOUT_THE_TERM, "channel", "wordtype")
_MIN_ONLY = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")

_Json = Mapping[str, Any]


class _BadTaskError(Exception):
    """Nothing can be read from a task; the message says why."""


class _NoTextError(_BadTaskError):
    """The text that was annotated is not in the export."""


class _Work(NamedTuple):
    """What one person did with a task, once."""

    annotator: str
    result: object
    is_cancelled: bool
    moment: tuple[float, int, int]


_UNCLEAR = Unreadable(
    "bad_row",
    "JSON_MIN does not say here which label belongs to what; export the project as JSON, not JSON_MIN",
)
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


class _Reading(NamedTuple):
    """How tasks are read: fields of ``data`` by our names, and which answer is the label."""

    fields: Mapping[str, str]
    choice: LabelChoice


def read_label_studio(
    path: Path,
    columns: Mapping[str, str] = _NO_COLUMNS,
    task: Task | None = None,
    *,
    is_shared: bool = False,
    encoding: Encoding | None = None,
) -> Iterator[Record | Rejection]:
    """Read an export of a Label Studio project.

    Args:
        path: A JSON or JSON_MIN export.
        columns: ``label`` and ``wordtype`` name controls (``from_name``); ``text``, ``term`` and
            ``channel`` name fields of a task.
        task: Of several answers about a region, the one that is a label of it is taken.
        is_shared: Whether other sources share the columns, so that what this export lacks is no mistake.
        encoding: Of the file; None finds it.

    Yields:
        A Record for each labelled region and each choice about a whole task; ``where`` is
        ``FILE#<task id>``. A Rejection for each annotation that was cancelled, is empty or was
        done again later by the same person, for each task that nobody annotated, and for what
        cannot be read.

    Raises:
        DataError: The file cannot be read, is not of its encoding or not a JSON list, or columns has
            another name.
    """
    for name in () if is_shared else sorted(columns.keys() - set(_COLUMNS)):
        raise DataError(
            f"{path}: columns.{name} means nothing for Label Studio; expected label or wordtype (a control's "
            "name), text, term or channel (a field of the tasks)"
        )
    knows = None if task is None else lambda spelling: task.label_of(spelling) is not None
    choice = LabelChoice(columns.get("label", ""), not is_shared, columns.get("wordtype", ""), knows)
    reading = _Reading(columns, choice)
    numbered = list_items(path, "tasks", _EXPECTED, encoding)
    for _, same in itertools.groupby(numbered, key=_group_key):
        rows = list(same)
        line, first = rows[0]
        task_id = first.get("id") if isinstance(first, dict) else None
        where = f"{path}#{task_id}" if _is_id(task_id) else f"{path}:{line}"
        try:
            data, works = _open_task([item for _, item in rows], choice)
        except _BadTaskError as problem:
            yield Rejection("bad_row", f"{problem}; {_EXPECTED}", where, [item for _, item in rows])
        else:
            yield from _read_task(data, works, where, reading)


def is_label_studio(first_item: object) -> bool:
    """Whether a JSON list that begins with this item looks like an export of Label Studio."""
    return isinstance(first_item, dict) and (isinstance(first_item.get("data"), dict) or _is_min(first_item))


def _is_min(item: object) -> TypeGuard[_Json]:
    return (
        isinstance(item, dict)
        and not isinstance(item.get("data"), dict)
        and ("annotation_id" in item or any(map(is_region_list, item.values())))
    )


def _group_key(numbered: tuple[int, object]) -> object:
    """Rows of JSON_MIN that are one task share a key; any other item has its own."""
    _, item = numbered
    return item["id"] if _is_min(item) and _is_id(item.get("id")) else object()


def _open_task(items: Sequence[object], choice: LabelChoice) -> tuple[_Json, list[_Work]]:
    first = items[0]
    if not isinstance(first, dict):
        raise _BadTaskError(f"the task is a {type(first).__name__}")
    if _is_min(first):
        return _open_min([item for item in items if isinstance(item, dict)], choice)
    data = first.get("data")
    if not isinstance(data, dict):
        raise _BadTaskError("the task has no object data")
    found: object = next((first[key] for key in _WORKS if first.get(key) is not None), [])
    if not isinstance(found, list) or not all(isinstance(work, dict) for work in found):
        raise _BadTaskError("annotations is not a list of objects")
    return data, [_work(work, number, len(found)) for number, work in enumerate(found, 1)]


def _open_min(rows: Sequence[_Json], choice: LabelChoice) -> tuple[_Json, list[_Work]]:
    works: list[_Json] = []
    for row in rows:
        nested = {key: value for key, value in row.items() if isinstance(value, dict | list)}
        if row.get("annotation_id") is None and not nested:
            continue
        who = {"id": row.get("annotation_id"), "completed_by": row.get("annotator")}
        works.append({**row, **who, "result": _min_result(row, nested, choice)})
    data = {
        key: value
        for key, value in rows[0].items()
        if key not in (*_MIN_ONLY, choice.control) and not isinstance(value, dict | list)
    }
    return data, [_work(work, number, len(works)) for number, work in enumerate(works, 1)]


def _min_result(row: _Json, nested: _Json, choice: LabelChoice) -> object:
    """The result of a row of JSON_MIN, whose controls look like fields of data."""
    # A choice looks like a field of data here, and of an empty annotation there is no trace.
    control = choice.control if choice.control in row else next(iter(nested), "")
    if choice.control not in row and choice.knows:
        may_be = [
            key for key, value in row.items() if key not in _MIN_ONLY and _has_label(value, choice.knows)
        ]
        control = may_be[0] if len(may_be) == 1 else control
        choice = choice._replace(control=control if len(may_be) == 1 else "")
    value = row.get(control)
    if is_region_list(value) and (control == choice.control or len(nested) == 1):
        return [{"value": region, "from_name": control} for region in value or ()]
    if control and control == choice.control:
        said = value.get("choices") if isinstance(value, dict) else value
        return [{"value": {"choices": said}, "from_name": control}] if said else []
    return _UNCLEAR


def _has_label(value: object, knows: Callable[[str], bool]) -> bool:
    """Whether a field of JSON_MIN holds labels of the task, of regions or of the whole task."""
    said = value if isinstance(value, list) else [value]
    labels = labels_in(
        [{"value": one if isinstance(one, dict) else {"choices": one}} for one in said], LabelChoice()
    )
    return any(isinstance(label, ResultLabel) and knows(label.label) for label in labels)


def _work(work: _Json, number: int, num_works: int) -> _Work:
    """One annotation; ``number`` counts those of the task from 1."""
    who = work.get("completed_by")
    if isinstance(who, dict):
        who = next((who[key] for key in ("id", "email", "username") if _is_id(who.get(key))), None)
    # Old exports name nobody; the annotations of one task are several people's all the same.
    unknown = f"#{number}" if num_works > 1 else ""
    changed = work.get("updated_at") or work.get("created_at")
    work_id = work.get("id")
    return _Work(
        str(who) if _is_id(who) else unknown,
        work.get("result"),
        bool(work.get("was_cancelled") or work.get("skipped")),
        (_seconds(changed), work_id if isinstance(work_id, int) else 0, number),
    )


def _read_task(
    data: _Json, works: Sequence[_Work], where: str, reading: _Reading
) -> Iterator[Record | Rejection]:
    if not works:
        yield _reject(data, where, "missing_label", "nobody has annotated the task")
    latest: dict[str, _Work] = {}
    for work in works:
        if not work.is_cancelled and work.moment >= latest.get(work.annotator, work).moment:
            latest[work.annotator] = work
    for work in works:
        if work.is_cancelled:
            yield _reject(data, where, "cancelled", "the annotator skipped the task")
        elif work is not latest[work.annotator]:
            message = "the same annotator did the task again later; the latest is taken"
            yield _reject(data, where, "duplicate", message)
        else:
            yield from _read_work(data, work, where, reading)


def _read_work(data: _Json, work: _Work, where: str, reading: _Reading) -> Iterator[Record | Rejection]:
    found = list(labels_in(work.result, reading.choice))
    if not found:
        yield _reject(data, where, "missing_label", "the annotation is empty")
    for region in found:
        if isinstance(region, Unreadable):
            yield _reject(data, where, *region)
            continue
        try:
            yield _record(data, region, work.annotator, where, reading)
        except _BadTaskError as problem:
            reason: Reason = "empty_text" if isinstance(problem, _NoTextError) else "bad_row"
            yield _reject(data, where, reason, str(problem))
        except ValueError as problem:
            yield _reject(data, where, "bad_offsets", str(problem))


def _reject(data: _Json, where: str, reason: Reason, message: str) -> Rejection:
    text, term, start, end, channel, wordtype = map(
        data.get, ("text", *_ABOUT_THE_TERM, "channel", "wordtype")
    )
    return Rejection(reason, message, where, [text, term, start, end, None, channel, wordtype])


def _record(data: _Json, region: ResultLabel, annotator: str, where: str, reading: _Reading) -> Record:
    """The record of a label; ValueError for an offset that is no whole number."""
    fields = reading.fields
    key = _text_key(data, region, reading)
    text, keyword_key = data[key], fields.get("term", "keyword")
    if is_address(text):
        raise _NoTextError(
            f"the text is not in the export, only its address is (in {key!r}); export it with the text, "
            'or import the texts themselves, without valueType="url"'
        )
    keyword = data[keyword_key] if isinstance(data.get(keyword_key), str) else ""
    if region.is_region:
        place = place_of_region(text, region)
    else:
        place = (data.get("start"), data.get("end")) if keyword else (None, None)
    start, end = map(as_offset, place)
    term = region.term if region.is_region and region.term is not None else keyword
    if not term and region.is_region and start is not None and end is not None:
        term = text[max(start, 0) : max(end, 0)]
    simple = {
        name: value
        for name, value in data.items()
        if name not in (key, keyword_key, *_ABOUT_THE_TERM)
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    }
    named = {"channel": data[fields["channel"]]} if fields.get("channel") in data else {}
    meta = as_meta(simple | named | ({"wordtype": region.wordtype} if region.wordtype else {}))
    is_marked = region.is_region and region.term is not None
    return Record(text, term, start, end, region.label, meta, where, annotator, is_marked=is_marked)


def _text_key(data: _Json, region: ResultLabel, reading: _Reading) -> str:
    """The field with the text: an export does not hold the config that says which it is."""
    named = reading.fields.get("text")
    if named is not None and not isinstance(data.get(named), str) and reading.choice.is_needed:
        raise _BadTaskError(f"data has no text {named!r}, which columns.text names")
    for key in (named, "text", region.to_name):
        if key is not None and isinstance(data.get(key), str):
            return key
    texts = {key: value for key, value in data.items() if isinstance(value, str) and key not in _NOT_THE_TEXT}
    with_term = [key for key, value in texts.items() if region.term and region.term in value]
    for keys in (with_term, list(texts)):
        if len(keys) == 1:
            return keys[0]
    raise _BadTaskError(
        "it cannot be told which field of data is the text; call it text in the tasks, or name it in the "
        'source, as columns = { text = "..." }'
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _seconds(moment: object) -> float:
    """A time as the exports write it, ISO 8601 or Unix seconds; 0 for none."""
    if isinstance(moment, int | float):
        return float(moment)
    try:
        found = datetime.fromisoformat(str(moment))
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

"""Label Studio: its JSON exports, old (``completions``) and new (``annotations``), and JSON_MIN.

An export is a list of tasks: ``data`` holds the text, each annotation is one person's work on it.
Tasks become records, and what nobody can learn from (skipped, empty, superseded, damaged) a
Rejection. Drafts and predictions are nobody's labels and are not read.

The ``result`` of an annotation is a flat list: a labelled region is one item, a choice made for that
region is another with the same ``id``, and a choice about the whole task stands alone. Where a region
has a choice of its own, the choice is the label and the region's label says what kind of term it is.

Offsets are passed on as they came, for the audit to check. In Label Studio 1.23.2 a mouse drag in
the browser gives code points of the text as it was imported (an emoji is one, ``&amp;`` is five, a
newline is one), and the server keeps whatever the API is sent, unchecked. Older versions counted
UTF-16 units, an emoji as two.

JSON_MIN has one row an annotation and drops the ids that tie a choice to its region: rows with
regions alone are read, others are rejected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from attar.io.tables.rows import as_meta, as_offset
from attar.records.readers.json_list import list_items
from attar.records.record import Reason, Record, Rejection

__all__ = ["is_label_studio", "read_label_studio"]

_EXPECTED = "expected an export of Label Studio as JSON"
_WORKS = ("annotations", "completions")
_ABOUT_THE_TERM = ("keyword", "start", "end")
_NOT_THE_TEXT = (*_ABOUT_THE_TERM, "channel", "wordtype")
_MIN_ONLY = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")

_Json = Mapping[str, Any]


class _BadTaskError(Exception):
    """Nothing can be read from a task; the message says why."""


class _Work(NamedTuple):
    """What one person did with a task, once."""

    annotator: str
    result: object
    is_cancelled: bool
    moment: tuple[float, int, int]


class _Label(NamedTuple):
    """One label that one annotator gave."""

    label: str  # as the project spells it
    wordtype: str  # the region's own label where ``label`` is a choice made for it, else ""
    to_name: str  # the text object of the project's config that it is about
    is_region: bool  # whether it is about a region; otherwise about the task
    term: str | None  # the region's text, None where the export leaves it out
    start: object  # first offset as it came; None where there is none
    end: object  # offset one past the last as it came


class _Unreadable(NamedTuple):
    """A part of a result that gives no label, and why."""

    reason: Reason
    message: str


_UNCLEAR = _Unreadable(
    "bad_row",
    "JSON_MIN does not say here which label belongs to what; export the project as JSON, not JSON_MIN",
)


def read_label_studio(path: Path) -> Iterator[Record | Rejection]:
    """Read an export of a Label Studio project.

    Args:
        path: A JSON or JSON_MIN export, UTF-8.

    Yields:
        A Record for each labelled region and each choice about a whole task; ``where`` is
        ``FILE#<task id>``. A Rejection for each annotation that was cancelled, is empty or was
        done again later by the same person, for each task that nobody annotated, and for what
        cannot be read.

    Raises:
        DataError: The file cannot be read, is not UTF-8 or not a JSON list.
    """
    numbered = list_items(path, "tasks", _EXPECTED)
    for _, same in itertools.groupby(numbered, key=_group_key):
        rows = list(same)
        line, first = rows[0]
        task_id = first.get("id") if isinstance(first, dict) else None
        where = f"{path}#{task_id}" if _is_id(task_id) else f"{path}:{line}"
        try:
            data, works = _open_task([item for _, item in rows])
        except _BadTaskError as problem:
            yield Rejection("bad_row", f"{problem}; {_EXPECTED}", where, [item for _, item in rows])
        else:
            yield from _read_task(data, works, where)


def is_label_studio(first_item: object) -> bool:
    """Whether a JSON list that begins with this item looks like an export of Label Studio."""
    return isinstance(first_item, dict) and (isinstance(first_item.get("data"), dict) or _is_min(first_item))


def _is_min(item: object) -> TypeGuard[_Json]:
    return (
        isinstance(item, dict)
        and not isinstance(item.get("data"), dict)
        and ("annotation_id" in item or any(map(_is_region_list, item.values())))
    )


def _group_key(numbered: tuple[int, object]) -> object:
    """Rows of JSON_MIN that are one task share a key; any other item has its own."""
    _, item = numbered
    return item["id"] if _is_min(item) and _is_id(item.get("id")) else object()


def _open_task(items: Sequence[object]) -> tuple[_Json, list[_Work]]:
    first = items[0]
    if not isinstance(first, dict):
        raise _BadTaskError(f"the task is a {type(first).__name__}")
    if _is_min(first):
        return _open_min([item for item in items if isinstance(item, dict)])
    data = first.get("data")
    if not isinstance(data, dict):
        raise _BadTaskError("the task has no object data")
    found: object = next((first[key] for key in _WORKS if first.get(key) is not None), [])
    if not isinstance(found, list) or not all(isinstance(work, dict) for work in found):
        raise _BadTaskError("annotations is not a list of objects")
    return data, [_work(work, number, len(found)) for number, work in enumerate(found, 1)]


def _open_min(rows: Sequence[_Json]) -> tuple[_Json, list[_Work]]:
    works: list[_Json] = []
    for row in rows:
        nested = [value for value in row.values() if isinstance(value, dict | list)]
        if row.get("annotation_id") is None and not nested:
            continue
        # A choice looks like a field of data here, and of an empty annotation there is no trace.
        is_clear = len(nested) == 1 and _is_region_list(nested[0])
        result = [{"value": region} for region in nested[0]] if is_clear else _UNCLEAR
        who = {"id": row.get("annotation_id"), "completed_by": row.get("annotator")}
        works.append({**row, **who, "result": result})
    data = {
        key: value
        for key, value in rows[0].items()
        if key not in _MIN_ONLY and not isinstance(value, dict | list)
    }
    return data, [_work(work, number, len(works)) for number, work in enumerate(works, 1)]


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


def _read_task(data: _Json, works: Sequence[_Work], where: str) -> Iterator[Record | Rejection]:
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
            yield from _read_work(data, work, where)


def _read_work(data: _Json, work: _Work, where: str) -> Iterator[Record | Rejection]:
    found = list(_labels_in(work.result))
    if not found:
        yield _reject(data, where, "missing_label", "the annotation is empty")
    for region in found:
        if isinstance(region, _Unreadable):
            yield _reject(data, where, *region)
            continue
        try:
            yield _record(data, region, work.annotator, where)
        except _BadTaskError as problem:
            yield _reject(data, where, "bad_row", str(problem))
        except ValueError as problem:
            yield _reject(data, where, "bad_offsets", str(problem))


def _reject(data: _Json, where: str, reason: Reason, message: str) -> Rejection:
    text, term, start, end, channel, wordtype = map(
        data.get, ("text", *_ABOUT_THE_TERM, "channel", "wordtype")
    )
    return Rejection(reason, message, where, [text, term, start, end, None, channel, wordtype])


def _record(data: _Json, region: _Label, annotator: str, where: str) -> Record:
    """The record of a label; ValueError for an offset that is no whole number."""
    key = _text_key(data, region)
    text = data[key]
    keyword = data["keyword"] if isinstance(data.get("keyword"), str) else ""
    place: tuple[object, object] = (region.start, region.end)
    if not region.is_region and keyword:
        place = (data.get("start"), data.get("end"))
    start, end = map(as_offset, place)
    term = region.term if region.is_region and region.term is not None else keyword
    if not term and region.is_region and start is not None and end is not None:
        term = text[max(start, 0) : max(end, 0)]
    simple = {
        name: value
        for name, value in data.items()
        if name not in (key, *_ABOUT_THE_TERM)
        and isinstance(value, str | int | float)
        and not isinstance(value, bool)
    }
    meta = as_meta(simple | ({"wordtype": region.wordtype} if region.wordtype else {}))
    return Record(text, term, start, end, region.label, meta, where, annotator)


def _text_key(data: _Json, region: _Label) -> str:
    """The field with the text: an export does not hold the config that says which it is."""
    for key in ("text", region.to_name):
        if isinstance(data.get(key), str):
            return key
    texts = {key: value for key, value in data.items() if isinstance(value, str) and key not in _NOT_THE_TEXT}
    with_term = [key for key, value in texts.items() if region.term and region.term in value]
    for keys in (with_term, list(texts)):
        if len(keys) == 1:
            return keys[0]
    raise _BadTaskError("it cannot be told which field of data is the text; call it text in the tasks")


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


def _labels_in(result: object) -> Iterator[_Label | _Unreadable]:
    """What a result says, in its order; nothing at all where it is empty."""
    if not isinstance(result, list):
        no_list = _Unreadable("bad_row", "the annotation has no list result")
        yield result if isinstance(result, _Unreadable) else no_list
        return
    groups: dict[object, list[_Json]] = {}
    for number, item in enumerate(result):
        value = item.get("value") if isinstance(item, dict) else None
        if isinstance(value, dict) and (_label_key(value) or "choices" in value):
            shared = item.get("id")
            key = shared if isinstance(shared, str | int) else (number,)
            groups.setdefault(key, []).append(item)
    needs_choice = any(len({_is_choice(item) for item in items}) == 2 for items in groups.values())
    for items in groups.values():
        yield _label_of(items, needs_choice=needs_choice)


def _is_region_list(value: object) -> bool:
    """Whether this is a list of labelled regions, as a row of JSON_MIN has them."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) and _label_key(v) for v in value)
    )


def _label_of(items: list[_Json], *, needs_choice: bool) -> _Label | _Unreadable:
    """The label of the items that share an id.

    ``needs_choice``: other regions have choices, so the label of one without is only a word type.
    """
    regions = [item for item in items if not _is_choice(item)]
    choices = [item for item in items if _is_choice(item)]
    if len(regions) > 1 or len(choices) > 1:
        return _Unreadable("bad_row", "several answers to several questions share one region; expected one")
    place = (regions or items)[0]["value"]
    is_region = bool(regions) or "start" in place
    if is_region and needs_choice and not choices:
        return _Unreadable("missing_label", "the region has no choice though others of the annotation have")
    labels = _strings(choices[0]["value"]["choices"] if choices else place[_label_key(place)])
    wordtypes = _strings(place[_label_key(place)]) if choices and regions else []
    if labels is None or wordtypes is None:
        return _Unreadable("bad_row", "a label is not a list of strings")
    if len(labels) > 1:
        return _Unreadable("bad_row", f"{len(labels)} labels on one region or task; expected one")
    if not labels:
        return _Unreadable("missing_label", "the region or task was given no label")
    term = place.get("text") if isinstance(place.get("text"), str) else None
    offsets = _offsets(place) if is_region else (None, None)
    to_name = str(items[0].get("to_name") or "")
    return _Label(labels[0], ", ".join(wordtypes), to_name, is_region, term, *offsets)


def _label_key(value: _Json) -> str:
    """Where a region keeps its labels: ``labels``, ``hypertextlabels`` and the like; "" for no region."""
    return next((key for key in value if key.endswith("labels")), "")


def _is_choice(item: _Json) -> bool:
    return "choices" in item["value"]


def _offsets(place: _Json) -> tuple[object, object]:
    """Of hypertext the global ones; its start and end are paths, which say nothing here."""
    whole = place.get("globalOffsets")
    found = whole if isinstance(whole, dict) else place
    start, end = found.get("start"), found.get("end")
    if any(isinstance(offset, str) and not offset.isdecimal() for offset in (start, end)):
        return None, None
    return start, end


def _strings(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None

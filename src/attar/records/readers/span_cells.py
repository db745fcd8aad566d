"""Label cells that hold spans: one row a review, all of its labelled terms in one cell.

As doccano writes JSONL (``"label": [[9, 12, "积极"]]``, or ``"entities": [{"start_offset": 9, ...}]``) and
Label Studio CSV (``[{"start": 9, "end": 12, "text": ..., "labels": [...]}]``), and as such lists arrive in
a table: as JSON or as Python writes them. Each span becomes a Record of its own.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from attar.io.json_text import TOO_DEEP, TooDeepError, is_too_deep, parse_json
from attar.io.tables.rows import as_offset, as_text
from attar.records.readers.label_studio_results import ResultLabel, place_of_region
from attar.records.record import Record, Rejection, reject

__all__ = ["label_column", "may_hold_spans", "span_records"]

_COLUMNS = ("label", "labels", "entities", "spans")
_STARTS = ("start", "start_offset", "startOffset", "begin", "start_idx")
_ENDS = ("end", "end_offset", "endOffset", "stop", "end_idx")
_LABELS = ("label", "labels", "hypertextlabels", "type", "entity_type", "entity", "tag", "polarity")
_TEXTS = ("text", "term", "word", "surface")
_MOST_PYTHON_CHARS = 1 << 20  # its parser takes a hundred times the memory of the text
_EXPECTED = 'expected [start, end, "label"] or {"start": ..., "end": ..., "label": ...} for each'


class _Span(NamedTuple):
    """One span as the cell has it."""

    start: object
    end: object
    label: object
    text: str | None = None
    region: Mapping[str, Any] | None = None  # the whole span, of Label Studio's hypertext


def label_column(there: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """The columns that a user chose, and where the labels are if a table calls them as doccano does.

    Args:
        there: Names of the table's columns.
        chosen: Our column names to those of the table.
    """
    found = next((name for name in _COLUMNS if name in there), "label")
    return {**chosen} if "label" in chosen or found == "label" else {**chosen, "label": found}


def may_hold_spans(label: str | None) -> bool:
    """Whether a label is a list or an object, as text: what ``span_records`` looks into."""
    return label is not None and label.lstrip()[:1] in ("[", "{")


def span_records(record: Record | Rejection) -> Iterator[Record | Rejection]:
    """The record itself, or one for each span that its label lists.

    Yields:
        A Record or a Rejection a span, in the order of the cell; a Rejection for a list without any.
    """
    if isinstance(record, Rejection) or record.label is None or not may_hold_spans(record.label):
        yield record
        return
    try:
        value = _parsed(record.label)
    except TooDeepError:
        yield reject("bad_row", f"the label is {TOO_DEEP}; {_EXPECTED}", record)
        return
    if value is None:
        yield record
        return
    spans = _spans(value)
    if spans is None:
        listed = value.get("choices") if isinstance(value, dict) else value
        listed = listed if isinstance(listed, list) else [listed]
        if listed and all(isinstance(one, str | int) for one in listed):
            yield _of_labels(record, [as_text(one) for one in listed])
        else:
            yield reject(
                "bad_row", f"the label is a list or an object, but not of spans; {_EXPECTED}", record
            )
    elif not spans:
        yield reject("missing_label", "no span of the text is labelled", record)
    else:
        yield from _with_spans(record, spans)


def _parsed(cell: str) -> list[Any] | dict[str, Any] | None:
    """A list or an object as JSON or as Python writes it; None for any other text.

    Raises:
        TooDeepError: It is nested too deep.
    """
    text = cell.strip()
    try:
        value = parse_json(text)
    except TooDeepError:
        raise
    except ValueError:
        value = _as_python(text)
    return value if isinstance(value, list | dict) else None


def _as_python(text: str) -> object:
    if len(text) > _MOST_PYTHON_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            # Of a backslash in a review; it would quote the line.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    if is_too_deep(value, text):
        raise TooDeepError
    return value


def _spans(value: object) -> list[_Span] | None:
    """The spans of a cell, or None where it holds something else."""
    if isinstance(value, dict):
        for name in _COLUMNS:
            if isinstance(value.get(name), list) and _START_OF.isdisjoint(value):
                return _spans(value[name])
        return _by_label(value) if _START_OF.isdisjoint(value) else _spans([value])
    if not isinstance(value, list):
        return None
    found = [_span(one) for one in value]
    return [one for one in found if one] if all(found) else None


_START_OF = frozenset(_STARTS)


def _span(value: object) -> _Span | None:
    match value:
        case [int() | float() | str() as first, int() | float() | str() as last, str() | int() as name]:
            return _Span(first, last, name)
        case {"value": dict() as inner}:
            return _span(inner)
        case dict():
            start, end, label, text = (
                next((value[name] for name in names if name in value), None)
                for names in (_STARTS, _ENDS, _LABELS, _TEXTS)
            )
            text = text if isinstance(text, str) else None
            region = value if "globalOffsets" in value or "hypertextlabels" in value else None
            is_span = region is not None or (start is not None and end is not None)
            return _Span(start, end, label, text, region) if is_span else None
    return None


def _by_label(value: Mapping[str, Any]) -> list[_Span] | None:
    """Spans as CLUENER has them, ``{label: {term: [[first, last], ...]}}``, both ends inclusive."""
    found = []
    for label, terms in value.items():
        if not isinstance(terms, dict):
            return None
        for term, places in terms.items():
            for place in places if isinstance(places, list) else [places]:
                match place:
                    case [int() as first, int() as last]:
                        found.append(
                            _Span(first, last + 1 if last + 1 - first == len(term) else last, label, term)
                        )
                    case _:
                        return None
    return found


def _of_labels(record: Record, labels: list[str]) -> Record | Rejection:
    """The record of a cell that lists labels without places."""
    if len(labels) == 1:
        return replace(record, label=labels[0])
    return reject("bad_row", f"a list of {len(labels)} labels; expected one, or spans: {_EXPECTED}", record)


def _with_spans(record: Record, spans: Sequence[_Span]) -> Iterator[Record | Rejection]:
    places = [_place(span, record.text) for span in spans]
    for number, (span, place) in enumerate(zip(spans, places, strict=True), 1):
        labels = span.label if isinstance(span.label, list) else [span.label]
        label = ", ".join(map(as_text, labels)) or None
        start, end = (None, None) if isinstance(place, str) else place
        own = replace(record, term=span.text or "", start=start, end=end, label=label)
        which = f"span {number} of {len(spans)}"
        others = [other for other in places if not isinstance(other, str) and other != place]
        if isinstance(place, str):
            yield reject("bad_offsets", f"{which}: {place}", own)
        elif len(labels) > 1:
            yield reject("bad_row", f"{which} has {len(labels)} labels; expected one", own)
        elif not 0 <= place[0] < place[1] <= len(record.text) and span.text is None:
            message = f"{which} ends at {place[1]}" if place[0] < place[1] else f"{which} is empty"
            length = len(record.text)
            yield reject(
                "bad_offsets", f"{message}, the text has {length} characters (Unicode code points)", own
            )
        elif any(place[0] < other[1] and other[0] < place[1] for other in others):
            yield reject("bad_offsets", f"{which} overlaps another one; keep one of them", own)
        else:
            term = span.text if span.text is not None else record.text[place[0] : place[1]]
            yield replace(own, term=term, is_marked=span.text is not None)


def _place(span: _Span, text: str) -> tuple[int, int] | str:
    """The offsets of a span, or what is wrong with them."""
    ends = span.start, span.end
    if span.region is not None:
        ends = place_of_region(text, ResultLabel("", "", "", is_region=True, place=span.region))
    try:
        start, end = map(as_offset, ends)
    except ValueError as error:
        return str(error)
    return (start, end) if start is not None and end is not None else "start or end is empty"

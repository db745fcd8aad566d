"""The ``result`` of a Label Studio annotation as one label each, for a region or for the task.

A result is a flat list: a labelled region is one item, a choice made for that region is another with
the same ``id``, and a choice about the whole task stands alone. Where a region has a choice of its
own, the choice is the label and the region's label says what kind of term it is.

Offsets are passed on as they stand, for the audit to check. In Label Studio 1.23.2 a mouse drag in
the browser gives code points of the text as it was imported (an emoji is one, ``&amp;`` is five, a
newline is one), and the server keeps whatever the API is sent, unchecked. Older versions counted
UTF-16 units, an emoji as two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attar.records.audit.audit import Reason

__all__ = ["RegionLabel", "Unreadable", "is_region_list", "labels_in"]

_Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegionLabel:
    """One label that one annotator gave.

    Attributes:
        label: As the project spells it.
        wordtype: The region's own label where ``label`` is a choice made for it, else "".
        to_name: The text object of the project's config that it is about.
        is_region: Whether it is about a region; otherwise about the task.
        term: The region's text, None where the export leaves it out.
        start: First offset as it came; None where there is none.
        end: Offset one past the last as it came.
    """

    label: str
    wordtype: str
    to_name: str
    is_region: bool
    term: str | None
    start: object
    end: object


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a result that gives no label.

    Attributes:
        reason: The code of its Rejection.
        message: What is wrong, without any review text.
    """

    reason: Reason
    message: str


def labels_in(result: object) -> Iterator[RegionLabel | Unreadable]:
    """Yield what a result says, in its order; nothing at all where it is empty."""
    if not isinstance(result, list):
        yield Unreadable("bad_row", "the annotation has no list result")
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


def is_region_list(value: object) -> bool:
    """Whether this is a list of labelled regions, as a row of JSON_MIN has them."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) and _label_key(v) for v in value)
    )


def _label_of(items: list[_Json], *, needs_choice: bool) -> RegionLabel | Unreadable:
    """The label of the items that share an id.

    ``needs_choice``: other regions of the annotation have choices of their own, so that the label of
    a region without one is only a word type.
    """
    regions = [item for item in items if not _is_choice(item)]
    choices = [item for item in items if _is_choice(item)]
    if len(regions) > 1 or len(choices) > 1:
        return Unreadable("bad_row", "several answers to several questions share one region; expected one")
    place = items[0]["value"] if not regions else regions[0]["value"]
    is_region = bool(regions) or "start" in place
    if is_region and needs_choice and not choices:
        return Unreadable("missing_label", "the region has no choice though others of the annotation have")
    labels = _strings(choices[0]["value"]["choices"] if choices else place[_label_key(place)])
    wordtypes = _strings(place[_label_key(place)]) if choices and regions else []
    if labels is None or wordtypes is None:
        return Unreadable("bad_row", "a label is not a list of strings")
    if len(labels) > 1:
        return Unreadable("bad_row", f"{len(labels)} labels on one region or task; expected one")
    if not labels:
        return Unreadable("missing_label", "the region or task was given no label")
    start, end = _offsets(place) if is_region else (None, None)
    term = place.get("text")
    return RegionLabel(
        labels[0],
        ", ".join(wordtypes),
        str(items[0].get("to_name") or ""),
        is_region,
        term if isinstance(term, str) else None,
        start,
        end,
    )


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

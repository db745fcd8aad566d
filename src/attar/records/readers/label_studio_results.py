"""What one annotation of Label Studio says: its ``result``, a flat list, as labels with their places.

A labelled region is one item, each answer to a question about that region another with the same ``id``,
and an answer about the whole task stands alone. A project may ask several things of a region: the label
is the answer to the control (``from_name``) that the source names, else the one answer that is a label of the
task, else the one choice, whose region's own label is then the kind of term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from attar.records.record import Reason
from attar.text.markup import global_offset, html_text
from attar.text.repair import fitting_place

__all__ = ["LabelChoice", "ResultLabel", "Unreadable", "is_region_list", "labels_in", "place_of_region"]

_Json = Mapping[str, Any]
# Answers that are the label only where the source names their control.
_IF_NAMED = ("rating", "number", "text", "datetime")


class LabelChoice(NamedTuple):
    """Which of several answers is the label.

    Attributes:
        control: Name of the control whose answers are the labels, "" if the source names none.
        is_needed: Whether an annotation without an answer to that control is rejected; otherwise the
            control is heeded only where an annotation has it.
        wordtype: Name of the control that says what kind of term it is, "" for the region's own label.
        knows: Whether a spelling is a label of the task; None if the task is not known.
    """

    control: str = ""
    is_needed: bool = True
    wordtype: str = ""
    knows: Callable[[str], bool] | None = None


class ResultLabel(NamedTuple):
    """One label that one annotator gave.

    Attributes:
        label: As the project spells it.
        wordtype: What kind of term it is, "" where nothing says so.
        to_name: The text object of the project's config that it is about.
        is_region: Whether it is about a region; otherwise about the task.
        place: The value of the region's item: its text, and its offsets as they came.
    """

    label: str
    wordtype: str
    to_name: str
    is_region: bool
    place: _Json

    @property
    def term(self) -> str | None:
        """The region's text, None where the export leaves it out."""
        text = self.place.get("text") if self.is_region else None
        return text if isinstance(text, str) else None


class Unreadable(NamedTuple):
    """A part of a result that gives no label, and why."""

    reason: Reason
    message: str


class _Answer(NamedTuple):
    """One item of a result."""

    control: str
    is_choice: bool  # otherwise a labelled region
    values: list[str] | None  # None where they are no strings
    item: _Json


def labels_in(result: object, choice: LabelChoice) -> Iterator[ResultLabel | Unreadable]:
    """What a result says, in its order; nothing at all where it is empty."""
    if not isinstance(result, list):
        no_list = Unreadable("bad_row", "the annotation has no list result")
        yield result if isinstance(result, Unreadable) else no_list
        return
    answers = [answer for item in result if (answer := _answer(item, choice.control))]
    if choice.control and not choice.is_needed and all(one.control != choice.control for one in answers):
        choice = choice._replace(control="")
    groups = _groups(answers)
    of_regions = [group for group, is_region in groups if is_region]
    needs_choice = any(len({answer.is_choice for answer in group}) == 2 for group in of_regions)
    labels = [_label_of(group, choice, is_region=kind, needs_choice=needs_choice) for group, kind in groups]
    yield from (label for label in labels if label is not None)
    if answers and not any(labels):
        yield _unanswered("task", answers, choice)


def is_region_list(value: object) -> bool:
    """Whether this is a list of labelled regions, as JSON_MIN and CSV have them."""
    return (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) and _label_key(v) for v in value)
    )


def place_of_region(text: str, region: ResultLabel) -> tuple[object, object]:
    """The offsets of a region, those of hypertext as offsets in the HTML itself.

    Args:
        text: Plain text, or HTML.
        region: In HTML its offsets count the text without tags, or lead to a text node and count in that.

    Returns:
        Offsets as they came, of plain text; of HTML, offsets of ``text`` where they are certain, else
        those without tags, as far as they are known.
    """
    place = region.place
    paths = _ends(place)
    has_paths = any(isinstance(path, str) and not path.isdecimal() for path in paths)
    whole = place.get("globalOffsets")
    if not has_paths and "hypertextlabels" not in place:
        return paths if paths != (None, None) or not isinstance(whole, dict) else _ends(whole)
    if isinstance(whole, dict):
        start, end = _ends(whole)
    elif has_paths:
        inner = place.get("startOffset"), place.get("endOffset")
        start, end = (
            global_offset(text, path, offset) if isinstance(path, str) and _is_count(offset) else None
            for path, offset in zip(paths, inner, strict=True)
        )
    else:
        start, end = paths
    if not (_is_count(start) and _is_count(end)):
        return (None, None) if has_paths and not isinstance(whole, dict) else (start, end)
    for view in (html_text(text), html_text(text, "")):
        if not 0 <= start < end <= len(view.text):
            continue
        original = view.to_original(start, end)
        found = fitting_place(text, view.text[start:end] if region.term is None else region.term, *original)
        if found:
            return found
    return start, end


def _ends(place: _Json) -> tuple[Any, Any]:
    return place.get("start"), place.get("end")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _answer(item: object, named: str) -> _Answer | None:
    """An item that may say the label; others, such as relations, are None."""
    value = item.get("value") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(value, dict):
        return None
    control = str(item.get("from_name") or "")
    if "choices" in value:
        return _Answer(control, True, _strings(value["choices"]), item)
    if key := _label_key(value):
        return _Answer(control, False, _strings(value[key]), item)
    if "taxonomy" in value:
        paths = value["taxonomy"] if isinstance(value["taxonomy"], list) else [value["taxonomy"]]
        ends = [path[-1] if isinstance(path, list) and path else path for path in paths]
        return _Answer(control, True, _strings(ends), item)
    for key in _IF_NAMED if named and control == named else ():
        if key in value:
            said = value[key]
            return _Answer(
                control, True, [str(one) for one in (said if isinstance(said, list) else [said])], item
            )
    return None


def _groups(answers: Sequence[_Answer]) -> list[tuple[list[_Answer], bool]]:
    """The answers about one thing, together, and whether that is a region or the whole task."""
    regions = {_id_of(one) for one in answers if not one.is_choice or "start" in one.item["value"]} - {None}
    groups: dict[object, list[_Answer]] = {}
    is_region: dict[object, bool] = {}
    for number, answer in enumerate(answers):
        shared = _id_of(answer)
        if shared is not None and shared in regions:
            key: object = shared
        elif not answer.is_choice or "start" in answer.item["value"]:
            key = (number,)
        else:
            key = ("task", str(answer.item.get("to_name")))
        groups.setdefault(key, []).append(answer)
        is_region[key] = not isinstance(key, tuple) or len(key) == 1
    return [(group, is_region[key]) for key, group in groups.items()]


def _id_of(answer: _Answer) -> str | int | None:
    shared = answer.item.get("id")
    return shared if isinstance(shared, str | int) else None


def _label_of(
    answers: list[_Answer], choice: LabelChoice, *, is_region: bool, needs_choice: bool
) -> ResultLabel | Unreadable | None:
    """The label of the answers about one thing; None where they are none of the label's business.

    ``needs_choice``: other regions have choices, so the label of one without is only a word type.
    """
    chosen = _chosen(answers, choice, is_region=is_region)
    if not isinstance(chosen, _Answer):
        return chosen
    regions = [answer for answer in answers if not answer.is_choice]
    known = [value for value in chosen.values or () if choice.knows and choice.knows(value)]
    is_only_wordtype = is_region and needs_choice and all(not answer.is_choice for answer in answers)
    if is_only_wordtype and not known and not choice.control:
        return Unreadable("missing_label", "the region has no choice though others of the annotation have")
    values = known if len(known) == 1 else chosen.values
    kinds = (
        [answer for answer in answers if answer.control == choice.wordtype] if choice.wordtype else regions
    )
    wordtypes = [value for answer in kinds if answer is not chosen for value in answer.values or ()]
    wordtypes += [value for value in chosen.values or () if value not in (values or ())]
    if values is None or any(answer.values is None for answer in regions):
        return Unreadable("bad_row", "a label is not a list of strings")
    if len(values) > 1:
        return Unreadable("bad_row", f"{len(values)} labels on one region or task; expected one")
    if not values:
        return Unreadable("missing_label", "the region or task was given no label")
    place = (regions or answers)[0].item["value"]
    to_name = str(answers[0].item.get("to_name") or "")
    return ResultLabel(values[0], ", ".join(wordtypes), to_name, is_region, place)


def _chosen(answers: list[_Answer], choice: LabelChoice, *, is_region: bool) -> _Answer | Unreadable | None:
    """The answer that is the label."""
    may_be = answers
    if choice.control:
        may_be = [answer for answer in answers if answer.control == choice.control]
        if not may_be and not is_region:
            return None
        if not may_be:
            return _unanswered("region", answers, choice)
    elif len(answers) > 1:
        if choice.knows:
            may_be = [one for one in answers if any(map(choice.knows, one.values or ()))] or answers
        choices = [answer for answer in may_be if answer.is_choice]
        may_be = choices if len(choices) == 1 else may_be
    if len(may_be) == 1:
        return may_be[0]
    names = list(dict.fromkeys(answer.control for answer in may_be))
    if len(names) > 1:
        message = (
            f"several answers may be the label, those to {_controls(may_be)}; name one in the source, as "
            f'columns = {{ label = "{names[0]}" }}, or as --column label={names[0]}'
        )
    else:
        message = f"several answers to {_controls(may_be)} share one region; expected one"
    return Unreadable("bad_row", message)


def _unanswered(what: str, answers: Sequence[_Answer], choice: LabelChoice) -> Unreadable:
    message = f"the {what} has no answer to {choice.control!r}, which columns.label names, only to "
    return Unreadable("missing_label", message + _controls(answers))


def _controls(answers: Sequence[_Answer]) -> str:
    return ", ".join(dict.fromkeys(answer.control or "a control without a name" for answer in answers))


def _label_key(value: _Json) -> str:
    """Where a region keeps its labels: ``labels``, ``hypertextlabels`` and the like; "" for no region."""
    return next((key for key in value if key.endswith("labels")), "")


def _strings(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None

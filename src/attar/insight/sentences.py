"""Comparisons in words, and other texts that page, workbook and pictures share."""

from __future__ import annotations

from attar.insight.contrasts import Finding
from attar.insight.estimates import SMALL
from attar.insight.messages import message
from attar.insight.results import Insight
from attar.language.translator import Language

__all__ = ["correction_note", "foremost", "sentence", "shown_value", "small_note", "warnings_of"]


def shown_value(made: Insight, language: Language, place: int, name: str) -> str:
    """A value of a dimension for people: an empty one is said to be empty."""
    if name:
        return name
    return message(language, "no_date" if made.rows.dimensions[place].period else "missing")


def sentence(made: Insight, language: Language, found: Finding) -> str:
    """A comparison in words."""
    points = f"{abs(100 * found.value):.1f}"
    is_up = found.value > 0
    outcome = (
        message(language, "net").lower()
        if found.outcome == len(made.rows.labels)
        else made.rows.labels[found.outcome]
    )
    first, second = (
        shown_value(made, language, found.dimension, name) for name in (found.first, found.second)
    )
    shared = " · ".join(name for _, name in found.within)
    within = message(language, "within", value=shared) if shared else ""
    if found.kind == "difference":
        said = message(
            language, "say_difference", first=first, second=second, points=points, within=within,
            direction=message(language, "higher" if is_up else "lower"),
        )  # fmt: skip
    else:
        said = message(
            language, f"say_{found.kind}", first=first, second=second, points=points,
            subject=shared or message(language, "everything"),
            direction=message(language, "rose" if is_up else "fell"),
        )  # fmt: skip
    return message(language, "of_outcome", said=said, outcome=outcome)


def correction_note(made: Insight, language: Language) -> str:
    """What the head of every page says of the correction."""
    if made.source is None:
        return message(language, "uncorrected")
    return message(language, f"corrected_{made.source.kind}", num=made.source.num)


def warnings_of(made: Insight, language: Language) -> list[str]:
    """What a reader must know before the figures."""
    warned = [
        message(language, each.msgid, **each.values) for each in (made.source.warnings if made.source else ())
    ]
    if made.source is None:
        warned.insert(0, message(language, "uncorrected_note"))
    if made.num_undated:
        warned.append(message(language, "undated", num=made.num_undated))
    for reason, count in made.rows.left_out.items():
        msgid = "no_label" if reason == "no label" else "unreadable"
        warned.append(message(language, "left_out", what=message(language, msgid, num=count)))
    return warned


def small_note(language: Language) -> str:
    """What grey figures mean."""
    return message(language, "small_note", small=SMALL)


def foremost(made: Insight, limit: int = 10) -> list[Finding]:
    """The marked comparisons to show first: the surest of each kind of question in turn.

    Questions about everything come first, then those about the column that the user names first.
    """
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for each in made.findings:
        if each.is_marked:
            key = each.kind, each.dimension, *(place for place, _ in each.within)
            groups.setdefault(key, []).append(each)
    in_order = sorted(groups.values(), key=lambda found: _subject(found[0]))
    turns = [found[turn] for turn in range(3) for found in in_order if turn < len(found)]
    return turns[:limit]


def _subject(found: Finding) -> int:
    """The place of the dimension that a comparison is about; -1 of everything."""
    if found.kind == "difference":
        return found.dimension
    return min((place for place, _ in found.within), default=-1)

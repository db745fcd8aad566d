"""Which column of a table is which of ours: by its name, and where no name says so by its cells.

A name alone is not believed: a column called ``aspect`` whose words stand in no text is a category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attar.init.profiles import PLACEHOLDERS, ColumnProfile, TableProfile
from attar.io.tables.columns import OURS
from attar.io.tables.rows import as_offset, as_text
from attar.io.tables.term_cells import cell_parts, likely_separator
from attar.io.tables.usual_names import SECOND, named
from attar.suggest import did_you_mean
from attar.task import Task

__all__ = ["GIVEN", "ColumnGuess", "column_facts", "guess_columns"]

GIVEN = "given at the prompt"
"""Why a column is ours that the user names."""

_MOST_LABELS = 100
_FEW_LABELS = 20
_MOST_LABEL_CHARS = 20
_LEAST_TEXT_CHARS = 6  # of a column that only its cells tell, on average
_MUCH_LONGER = 1.5  # times the other sentence of a pair
_MOST = 0.5  # of the rows
_WORDS = (
    Task("sentiment", ("消极", "中性", "积极"), aliases={"-1": "消极", "0": "中性", "1": "积极"}),
    Task("yes or no", ("否", "是")),
)
_SCALES = ({0, 1}, {0, 1, 2}, {1, 2, 3}, {1, 2, 3, 4, 5}, {0, 1, 2, 3, 4})


@dataclass(slots=True)
class ColumnGuess:
    """Which columns of a table are ours.

    Attributes:
        columns: Our names to the table's; "" for what the user says is not there.
        why: What each was guessed from, by our name.
        is_pair: Whether the term is the second of two sentences.
        separator: What parts several terms in one cell, "" for nothing.
        placeholders: Cells of ours that mean nothing.
        lacking: What could not be told, text, label or what the user names, and why.
    """

    columns: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    is_pair: bool = False
    separator: str = ""
    placeholders: list[str] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)

    def take(self, ours: str, column: str, why: str) -> None:
        """Say that a column is one of ours."""
        self.columns[ours], self.why[ours] = column, why

    def is_free(self, column: str) -> bool:
        """Whether a column is none of ours yet, nor within one, nor around one."""
        return not any(
            column == taken or column.startswith(f"{taken}.") or taken.startswith(f"{column}.")
            for taken in self.columns.values()
            if taken
        )


def guess_columns(profile: TableProfile, chosen: Mapping[str, str]) -> ColumnGuess:
    """Find our columns in a table.

    Args:
        profile: What is known of the table.
        chosen: Ours to theirs, which the user names; those of them that the table has are taken.
    """
    found = ColumnGuess()
    for ours, theirs in chosen.items():
        if not theirs or theirs in profile.columns:
            found.take(ours, theirs, GIVEN)
        else:
            found.lacking[ours] = f"no column {theirs!r} is there{did_you_mean(theirs, profile.columns)}"
    _guess_text(profile, found)
    _guess_label(profile, found)
    _guess_term(profile, found)
    _guess_offsets(profile, found)
    for role in ("channel", "wordtype", "annotator"):
        if role not in found.columns and role not in found.lacking and (names := _free(profile, found, role)):
            found.take(role, names[0], "its name")
    taken = [found.columns[name] for name in ("term", "start", "end", "label") if found.columns.get(name)]
    found.placeholders = sorted({said for name in taken for said in profile.columns[name].placeholders})
    return found


def column_facts(profile: TableProfile) -> str:
    """Every column with what may be said of it in a message."""
    # Without a header line a name may be a review.
    return "; ".join(
        f"{column.name if len(column.name) <= _MOST_LABEL_CHARS else f'column {place}'} ({column.facts})"
        for place, column in enumerate(profile.columns.values(), 1)
    )


def _free(profile: TableProfile, found: ColumnGuess, role: str) -> list[str]:
    return [name for name in named(role, profile.columns) if found.is_free(name)]


def _guess_text(profile: TableProfile, found: ColumnGuess) -> None:
    if "text" in found.columns or "text" in found.lacking:
        return
    if names := [name for name in _free(profile, found, "text") if profile.columns[name].kind == "text"]:
        found.take("text", names[0], "its name")
        return
    texts = [
        column
        for column in profile.columns.values()
        if column.kind == "text" and column.is_various and found.is_free(column.name)
    ] or [
        column
        for column in profile.columns.values()
        if column.kind == "text"
        and found.is_free(column.name)
        and not set(named("label", [column.name]) + named("term", [column.name]))
        and column.is_mostly_different
    ]
    longest = max(texts, key=lambda column: column.mean_chars, default=None)
    if longest is None or longest.mean_chars < _LEAST_TEXT_CHARS:
        found.lacking["text"] = "no column holds texts of some length, most of them different"
        return
    found.take("text", longest.name, _by_length(longest))


def _by_length(column: ColumnProfile) -> str:
    return f"the longest texts, {column.mean_chars:.0f} characters on average"


def _guess_label(profile: TableProfile, found: ColumnGuess) -> None:
    if "label" in found.columns or "label" in found.lacking:
        return
    for name in _free(profile, found, "label"):
        column = profile.columns[name]
        if column.kind == "lists" or _few(column, _FEW_LABELS) or _few(column, _MOST_LABELS, is_half=True):
            spans = ", whose cells list spans" if column.kind == "lists" else ""
            found.take("label", name, f"its name{spans}")
            return
    free = [
        column
        for column in profile.columns.values()
        if found.is_free(column.name)
        and column.kind in ("text", "numbers", "codes")
        and _few(column, _FEW_LABELS, is_half=True)
        and len(column.values) > 1
        and 2 * column.num_filled > profile.num_rows
    ]
    for tests in ((_all_known,), (_is_scale,), (lambda column: column.kind != "numbers",)):
        fitting = [column for column in free if all(test(column) for test in tests)]
        if len(fitting) == 1:
            found.take("label", fitting[0].name, f"{len(fitting[0].values)} different values")
            return
        if fitting:
            names = ", ".join(repr(column.name) for column in fitting)
            found.lacking["label"] = f"several columns could be it ({names})"
            return
    found.lacking["label"] = f"no column has between 2 and {_FEW_LABELS} different values"


def _few(column: ColumnProfile, most: int, *, is_half: bool = False) -> bool:
    """Whether a column has few different cells, at most half of all, that are short enough for labels."""
    is_short = all(len(value) <= _MOST_LABEL_CHARS for value in column.values)
    most = min(most, max(2, column.num_filled // 2)) if is_half else most
    return 0 < len(column.values) <= most and is_short


def _all_known(column: ColumnProfile) -> bool:
    words = list(column.values)
    if column.kind == "numbers":
        return "-1" in words and set(words) <= {"-1", "0", "1"}
    return any(all(task.label_of(word) for word in words) for task in _WORDS)


def _is_scale(column: ColumnProfile) -> bool:
    try:
        numbers = {float(value) for value in column.values}
    except ValueError:
        return False
    return any(numbers <= scale for scale in _SCALES)


def _guess_term(profile: TableProfile, found: ColumnGuess) -> None:
    text = found.columns.get("text")
    label = found.columns.get("label")
    if (
        "term" in found.columns
        or "term" in found.lacking
        or not text
        or (label and profile.columns[label].kind == "lists")
    ):
        return
    if seconds := _free(profile, found, SECOND):
        found.take("term", seconds[0], "its name: the second sentence of a pair")
        found.is_pair = True
        return
    names = _free(profile, found, "term")
    for name in names:
        share, separator = _share_in_text(profile, text, name)
        if share > _MOST:
            found.take("term", name, f"its name; {share:.0%} of its cells stand in the text")
            found.separator = separator
            return
    others = [
        (share, separator, column.name)
        for column in profile.columns.values()
        if found.is_free(column.name)
        and column.name not in names
        and column.kind in ("text", "codes")
        and column.mean_chars < profile.columns[text].mean_chars
        and len(column.values) != 1
        for share, separator in [_share_in_text(profile, text, column.name)]
        if share > _MOST
    ]
    if others:
        share, found.separator, name = max(others, key=lambda one: one[0])
        found.take("term", name, f"{share:.0%} of its cells stand in the text")
    elif names and (theirs := profile.columns[names[0]]).name in OURS and theirs.kind == "text":
        # prepare would take it without a word; then at least its rejections say what is wrong with it.
        found.take("term", names[0], "its name alone: most of its cells do not stand in the text")
    else:
        _guess_pair(profile, found)


def _guess_pair(profile: TableProfile, found: ColumnGuess) -> None:
    """See whether another column, whose name says nothing either, is a second sentence."""
    text = profile.columns[found.columns["text"]]
    if found.why["text"] != _by_length(text) or "label" not in found.columns:
        return
    like_it = [
        column
        for column in profile.columns.values()
        if found.is_free(column.name)
        and column.kind == "text"
        and column.is_mostly_different
        and column.mean_chars >= _LEAST_TEXT_CHARS
        and text.mean_chars <= _MUCH_LONGER * column.mean_chars
        and not any(named(role, [column.name]) for role in OURS)
    ]
    if len(like_it) == 1:
        both = [column.name for column in profile.columns.values() if column is text or column is like_it[0]]
        found.take("text", both[0], "the first of two columns of texts of a like length")
        found.take("term", both[1], "the second of them: a pair of sentences")
        found.is_pair = True


def _share_in_text(profile: TableProfile, text: str, term: str) -> tuple[float, str]:
    """The share of a column's cells that stand in the text, and what parts several terms in one cell."""
    whole, parted, filled = 0, dict[str, int](), 0
    for row in profile.rows:
        cell, said = row.get(term), as_text(row.get(text))
        one = as_text(cell).strip()
        if not one or one.casefold() in PLACEHOLDERS:
            continue
        filled += 1
        if one in said:
            whole += 1
        elif (separator := likely_separator(cell)) and _all_in(cell, separator, said):
            parted[separator] = parted.get(separator, 0) + 1
    if not filled:
        return 0.0, ""
    separator = max(parted, key=lambda one: parted[one], default="")
    is_many = sum(parted.values()) > 0.1 * filled
    return (whole + sum(parted.values())) / filled, separator if is_many else ""


def _all_in(cell: object, separator: str, text: str) -> bool:
    try:
        return all(part in text for part in cell_parts(cell, separator))
    except ValueError:
        return False


def _guess_offsets(profile: TableProfile, found: ColumnGuess) -> None:
    text, term = found.columns.get("text"), found.columns.get("term")
    if {"start", "end"} & set(found.columns) or not text or found.is_pair or found.separator:
        return
    starts, ends = _free(profile, found, "start"), _free(profile, found, "end")
    by_name = [(start, end) for start in starts for end in ends]
    numbers = [
        column.name
        for column in profile.columns.values()
        if column.kind == "numbers" and found.is_free(column.name)
    ]
    by_cells = [(start, end) for place, start in enumerate(numbers) for end in numbers[place + 1 :]]
    for pairs, why in ((by_name, "its name"), (by_cells if term else [], "its numbers")):
        shares = [(_share_of_places(profile.rows, (text, term or "", *pair)), pair) for pair in pairs]
        share, pair = max(shares, default=(0.0, ("", "")), key=lambda one: one[0])
        if share > _MOST:
            found.take("start", pair[0], f"{why}; {share:.0%} of the rows have a place in the text there")
            found.take("end", pair[1], f"{why}; see start")
            return
    for ours in ("start", "end"):
        # Columns of our names that are no offsets: said, so that no reader takes them for some.
        if by_name and ours in profile.columns and found.is_free(ours):
            found.take(ours, "", "its numbers are no places in the text")


def _share_of_places(rows: Sequence[Mapping[str, Any]], columns: tuple[str, str, str, str]) -> float:
    """The share of rows with two numbers that are a place in the text, as long as the term."""
    fitting = num = 0
    for row in rows:
        text, term, first, last = map(row.get, columns)
        start, end = _number(first), _number(last)
        if start is None or end is None:
            continue
        num += 1
        said = as_text(term).strip()
        length = len(as_text(text))
        # One off is the other way to count: with the last character, which prepare mends.
        is_long = end - start in (len(said), len(said) - 1) if said else 0 < end - start <= _FEW_LABELS
        fitting += 0 <= start <= end <= length + 1 and is_long
    return fitting / num if num else 0.0


def _number(cell: object) -> int | None:
    try:
        return as_offset(cell)
    except ValueError:
        return None

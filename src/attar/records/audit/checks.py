"""One record at a time: can an example be made of it, and if not, why?

The first half of the audit; what several records say together is the other (``audit.py``).
"""

from __future__ import annotations

import re
from functools import lru_cache

from attar.io.tables.term_cells import likely_separator
from attar.recipe.load import DataRecipe
from attar.records.record import Accepted, Reason, Record, Rejection, reject
from attar.suggest import nearest
from attar.task import Example, Task
from attar.text.address import is_address
from attar.text.invisible import invisible_note, is_blank, without_invisible
from attar.text.normalise import is_unicode
from attar.text.repair import Repair, repair

__all__ = ["Checks"]

# C0 and C1 without tab, newline and carriage return. U+FFFD is no control character: a lost emoji
# does not change a label, so texts with one are kept and counted.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_MOST_SPELLINGS = 10_000


class Checks:
    """The checks that a record passes on its own.

    Args:
        task: Whose labels and style decide.
        data: ``repair`` and ``max_chars``.
    """

    def __init__(self, task: Task, data: DataRecipe) -> None:
        self._task = task
        self._data = data
        self._label_of = lru_cache(_MOST_SPELLINGS)(task.label_of)

    def accept(self, record: Record) -> Accepted | Rejection:
        """Make an example of a record, or say why none can be made."""
        spelling = record.label or ""
        label = self._label_of(spelling) or self._label_of(without_invisible(spelling).text)
        problem = self._text_problem(record) or (None if label else _label_problem(record, self._task))
        if problem:
            return reject(*problem, record)
        second, fix = "", None
        start = end = 0
        if self._task.has_term:
            place = self._place(record)
            if isinstance(place, Rejection):
                return place
            start, end, fix = place
        elif self._task.style == "sentence_pair":
            if not record.term.strip():
                message = "no second sentence; is it in a column that data.columns.term should name?"
                return reject("empty_term", message, record)
            second = record.term
        example = Example(record.text, start, end, label, record.meta, second, record.weight)
        return Accepted(example, record, fix)

    def _text_problem(self, record: Record) -> tuple[Reason, str] | None:
        text, most = record.text, self._data.max_chars
        if is_blank(text):
            return "empty_text", "the text is empty"
        if self._task.has_term and is_address(text):
            message = (
                "the text is not in the file, only its address is (a link or a path); put the text itself "
                "there, or export it with the text"
            )
            return "empty_text", message
        # Metadata too: it is written to the prepared files.
        whole = "".join((text, record.term, record.annotator, *record.meta.values()))
        # What can be printed has neither control characters nor surrogates, which is quicker to see.
        is_plain = whole.isprintable()
        if not is_plain and not is_unicode(whole):
            message = "half of a surrogate pair (a broken \\ud83d escape) is in the row; write it whole"
            return "bad_text", message
        if len(text) > most or len(record.term) > most:
            longest = max(len(text), len(record.term))
            message = f"{longest} characters, data.max_chars is {most}; cut the text or raise it"
            return "too_long", message
        control = None if is_plain else _CONTROL.search(text) or _CONTROL.search(record.term)
        if control:
            spot = "text" if control.string is text else "term"
            message = (
                f"the control character U+{ord(control[0]):04X} is at offset {control.start()} of the "
                f"{spot}; take it out, and count the offsets again"
            )
            return "control_characters", message
        return None

    def _place(self, record: Record) -> tuple[int, int, Repair | None] | Rejection:
        """The place of the term, and how it was found if the row has it wrong."""
        text, term, start, end = record.text, record.term, record.start, record.end
        if is_blank(term):
            message = "no term, and the task needs one; is it in a column that data.columns.term should name?"
            return reject("empty_term", message, record)
        if start is not None and end is not None:
            if 0 <= start < end <= len(text) and text[start:end] == term:
                return start, end, None
        elif start is None and end is None:
            at = text.find(term)
            if at >= 0 and text.find(term, at + 1) < 0:
                return at, at + len(term), None
            if at >= 0:
                more = "the term occurs more than once and no offsets say which is meant"
                return reject("term_ambiguous", f"{more}; give start and end", record)
        fix = repair(text, term, start, end, is_marked=record.is_marked) if self._data.repair else None
        if isinstance(fix, Repair):
            return fix.start, fix.end, fix
        return _misplaced(record, fix)


def _misplaced(record: Record, why: str | None) -> Rejection:
    """The rejection of a term without a place; ``why`` is what the repair says."""
    start, end = record.start, record.end
    more = f"; no reading repairs it: {why}" if why else ""
    if start is None and end is None:
        if why and "places" in why:
            message = f"{why} and no offsets say which; give start and end"
            return reject("term_ambiguous", message, record)
        message = "the term does not occur in the text as it is written"
        if several := likely_separator(record.term):
            message += f"; if the cell names several terms, set explode = {several!r} in its source"
        return reject("term_not_found", message + invisible_note(record.text, record.term), record)
    if start is None or end is None:
        message = f"only one of start and end is given; give both or neither{more}"
        return reject("bad_offsets", message, record)
    message = (
        f"text[{start}:{end}] is not the term; expected half-open offsets in Unicode code points "
        f"(not bytes, not UTF-16), or none{more}{invisible_note(record.text, record.term)}"
    )
    return reject("bad_offsets", message, record)


def _label_problem(record: Record, task: Task) -> tuple[Reason, str]:
    spelling = (record.label or "").strip()
    labels = ", ".join(task.labels)
    if not spelling:
        return "missing_label", f"no label; expected one of {labels}"
    known = {key.casefold(): key for key in (*reversed([*task.aliases]), *task.labels)}
    near = nearest(spelling.casefold(), known, cutoff=0.5)
    # Columns may have been swapped, and review text belongs in no message.
    shown = f" {spelling!r}" if near or len(spelling) <= 4 else ""
    hint = "; if it means one of them, map it in task.aliases"
    if near is not None:
        name = known[near]
        stands_for = f" ({task.aliases[name]})" if name in task.aliases else ""
        hint = f"; did you mean {name!r}{stands_for}?"
    return "unknown_label", f"label{shown} is none of {labels}{hint}"

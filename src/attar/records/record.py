"""The first stage of the flow: one raw row of a source, exactly as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Record"]


@dataclass(frozen=True, slots=True)
class Record:
    """One raw row of a source; nothing in it has been checked.

    Attributes:
        text: The review.
        term: The aspect term, "" where the source names none; in a task of sentence pairs the
            second sentence.
        start: Offset of the term's first Unicode code point, or None.
        end: Offset one past the term's last code point, or None.
        label: The label as the source spells it, or None.
        meta: What else came with it (channel, wordtype, ...).
        where: ``file:line`` (``file:row`` in Parquet and Excel) counted from 1, ``file[index]`` in a
            JSON list on one line, or ``source#id``.
        annotator: Who gave the label, "" where the source does not say.
        split: The split that its source is meant for, "" where the project decides.
        weight: How much it counts in training; below 1 where annotators disagreed.
    """

    text: str
    term: str
    start: int | None
    end: int | None
    label: str | None
    meta: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    annotator: str = ""
    split: str = ""
    weight: float = 1.0

    def as_row(self) -> list[object]:
        """The seven columns: text, term, start, end, label, channel, wordtype."""
        channel, wordtype = self.meta.get("channel", ""), self.meta.get("wordtype", "")
        return [self.text, self.term, self.start, self.end, self.label, channel, wordtype]

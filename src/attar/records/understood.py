"""What was understood of each file of labelled rows: said before anything is trained on a wrong guess.

A reader fills a ``FileFacts`` when it opens a file; ``Understood`` counts what the audit makes of the
rows. ``attar prepare --dry-run`` prints it, and it is the first lines of every ``prepare`` and ``run``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from attar.io.tables.columns import Columns, shown_columns
from attar.io.tables.rows import Table
from attar.language.translator import ENGLISH, N_, Translator
from attar.records.record import Accepted, Confirmed, Rejection
from attar.task import Task

__all__ = ["FileFacts", "FirstRow", "Understood", "UnderstoodFile", "long_lines", "short_lines"]

_NUM_FIRST = 3
_MOST_SPELLINGS = 1000
_MOST_LABELS = 12
_MOST_REASONS = 4
_MOST_FILES = 10
_MOST_CHARS = 40
_SURE_CHARS = 4  # a longer spelling that no task knows may be a review in a swapped column
_OTHER = "(other)"
_SAME = N_("the same as a row before")
_DETAILS = {
    "sheet": N_("sheet"),
    "sheets_left_out": N_("sheets left out"),
    "encoding": N_("encoding"),
    "delimiter": N_("delimiter"),
}


@dataclass(slots=True)
class FileFacts:
    """What a reader took a file for.

    Attributes:
        path: The file, or what was fetched from, without credentials.
        format: As a recipe names it.
        columns: Our columns to those of the table; empty for formats without columns.
        other_columns: Those of the table that are kept as metadata.
        details: What else a reader decided: the sheet, the encoding; by its name, as it is shown.
    """

    path: str
    format: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    other_columns: Sequence[str] = ()
    details: dict[str, str] = field(default_factory=dict)

    def of_table(self, table: Table, columns: Columns) -> None:
        """Take what is known of a table; of several in a file, such as sheets, the columns of the first."""
        if not self.columns:
            self.columns = {**columns.flat, **{ours: ".".join(keys) for ours, keys in columns.nested.items()}}
            self.columns = {ours: theirs for ours, theirs in self.columns.items() if _has(table, theirs)}
            self.other_columns = [name for name in table.columns if name not in columns.taken]
        for name in _DETAILS:
            value = getattr(table, name, None)
            said = value if isinstance(value, str) else ", ".join(value or ())
            before = self.details.get(name, "")
            if said and said not in before.split(", "):
                self.details[name] = f"{before}, {said}" if before else said


@dataclass(frozen=True, slots=True)
class FirstRow:
    """One of the first rows of a file, as it was understood.

    Attributes:
        text: The review.
        term: The term, "" where there is none.
        start: Offset of its first code point; equal to ``end`` where there is none.
        end: Offset one past its last.
        spelling: The label as the file has it.
        outcome: The label that it stands for, or the reason why the row is not used.
    """

    text: str
    term: str
    start: int
    end: int
    spelling: str
    outcome: str


@dataclass(slots=True)
class UnderstoodFile:
    """A file, and what became of its rows.

    Attributes:
        facts: What its reader took it for.
        num_read: Rows.
        num_accepted: Rows that are used.
        reasons: Rows that are not, by their reason.
        spellings: Rows by the label as the file has it, cut at 40 characters.
        first: The first three rows.
    """

    facts: FileFacts
    num_read: int = 0
    num_accepted: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    spellings: Counter[str] = field(default_factory=Counter)
    first: list[FirstRow] = field(default_factory=list)


class Understood:
    """What was understood of the files of some sources, as their rows come through the audit.

    Args:
        task: Says what a label stands for.

    Attributes:
        files: In the order in which they are read, by their paths.
    """

    def __init__(self, task: Task) -> None:
        self.files: dict[str, UnderstoodFile] = {}
        self._task = task
        self._file = UnderstoodFile(FileFacts(""))

    def opened(self, facts: FileFacts) -> None:
        """A reader begins a file: the outcomes that follow are of its rows. A file is read twice."""
        self._file = self.files.setdefault(facts.path, UnderstoodFile(facts))
        self._file.facts = facts

    def add(self, outcome: Accepted | Confirmed | Rejection) -> None:
        """Count an outcome of the audit: that of the row which was read last."""
        file = self._file
        file.num_read += 1
        match outcome:
            case Accepted(example, record):
                file.num_accepted += 1
                spelling = record.label
                place = (example.term or example.second, example.start, example.end)
                row = (example.text, *place, record.label or "", example.label or "")
            case Confirmed(record):
                file.num_accepted += 1
                spelling = record.label
                place = (record.term, record.start or 0, record.end or 0)
                row = (record.text, *place, record.label or "", _SAME)
            case Rejection(reason, _, _, cells):
                file.reasons[reason] += 1
                # Only the audit's own rejections have the columns in their places.
                whole = len(cells) == 7 and isinstance(cells[4], str | None)
                spelling = str(cells[4] or "") if whole else ""
                text = str(cells[0] if cells else "")
                row = (text, str(cells[1] or "") if whole else "", 0, 0, spelling, reason)
        if spelling:
            spelling = spelling[:_MOST_CHARS].encode("utf-8", "backslashreplace").decode()
            known = spelling in file.spellings or len(file.spellings) < _MOST_SPELLINGS
            file.spellings[spelling if known else _OTHER] += 1
        if len(file.first) < _NUM_FIRST:
            file.first.append(FirstRow(*row))

    def to_json(self) -> list[dict[str, Any]]:
        """What the manifest holds; of the rows themselves nothing."""
        return [
            {
                "path": file.facts.path,
                "format": file.facts.format,
                "details": file.facts.details,
                "columns": dict(file.facts.columns),
                "other_columns": list(file.facts.other_columns)[:_MOST_LABELS],
                "num_read": file.num_read,
                "num_accepted": file.num_accepted,
                "reasons": dict(file.reasons.most_common()),
                "labels": [
                    {"spelling": spelling, "label": self._task.label_of(spelling), "num": count}
                    for spelling, count in file.spellings.most_common(4 * _MOST_LABELS)
                ],
            }
            for file in self.files.values()
        ]


def short_lines(files: Sequence[Mapping[str, Any]], tr: Translator = ENGLISH) -> list[str]:
    """A line for each file, as a log may hold it: without any review text.

    Args:
        files: As ``Understood.to_json`` gives them.
        tr: Of the language to say it in.
    """
    lines = []
    for file in files[:_MOST_FILES]:
        parts = [_kind(file, tr)]
        if file["columns"]:
            parts.append(_columns(file))
        parts.append(_rows(file, tr))
        if labels := _labels(file, tr, private=True):
            parts.append(tr("labels {labels}", labels=labels))
        lines.append(f"{file['path']}: {'; '.join(parts)}")
    if more := len(files) - _MOST_FILES:
        lines += [tr.plural("and {num} more file", "and {num} more files", more)] if more > 0 else []
    return lines


def long_lines(file: Mapping[str, Any], first: Sequence[FirstRow], tr: Translator = ENGLISH) -> list[str]:
    """All that was understood of a file, with its first rows, as the console shows it when it is asked.

    Args:
        file: One of those that ``Understood.to_json`` gives.
        first: Its first rows.
        tr: Of the language to say it in.
    """
    lines = [f"{file['path']}: {_kind(file, tr)}"]
    if file["columns"]:
        others = file["other_columns"]
        kept = tr("; kept as metadata: {names}", names=shown_columns(others)) if others else ""
        lines.append(tr("  columns:  {columns}", columns=_columns(file) + kept))
    if not file["num_read"]:
        return [*lines, tr("  rows:     not counted, because of what stopped the reading")]
    lines.append(tr("  rows:     {rows}", rows=_rows(file, tr)))
    lines.append(tr("  labels:   {labels}", labels=_labels(file, tr, private=False) or tr("none")))
    for number, row in enumerate(first, 1):
        place = f" [{row.start}:{row.end}]" if row.start < row.end else ""
        text = _cut(row.text)
        if row.term:
            text = tr("{term} in {text}", term=_cut(row.term) + place, text=text)
        outcome = tr(row.outcome)
        said = outcome if row.spelling in ("", row.outcome) else f"{_cut(row.spelling)} -> {outcome}"
        lines.append(tr("  row {number}:    {said}: {text}", number=number, said=said, text=text))
    return lines


def _has(table: Table, theirs: str) -> bool:
    return theirs in table.columns or theirs.partition(".")[0] in table.columns


def _kind(file: Mapping[str, Any], tr: Translator) -> str:
    details = [f"{tr(_DETAILS.get(name, name))} {said}" for name, said in file["details"].items()]
    if "sheets_left_out" in file["details"]:
        details.append(tr("(FILE#SHEET reads one, FILE#* all that have the columns)"))
    return ", ".join([file["format"], *details]).replace(", (", " (")


def _columns(file: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{ours} = {theirs if len(theirs) <= _MOST_CHARS else theirs[:_SURE_CHARS] + '…'}"
        for ours, theirs in file["columns"].items()
    )


def _rows(file: Mapping[str, Any], tr: Translator) -> str:
    reasons = list(file["reasons"].items())
    said = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:_MOST_REASONS])
    more = ", …" if len(reasons) > _MOST_REASONS else ""
    num = sum(file["reasons"].values())
    rejected = tr(", {num} rejected ({reasons})", num=num, reasons=said + more) if reasons else ""
    accepted = tr("{num} accepted", num=file["num_accepted"])
    read = tr.plural("{num} row", "{num} rows", file["num_read"])
    return tr("{rows}, {accepted}{rejected}", rows=read, accepted=accepted, rejected=rejected)


def _labels(file: Mapping[str, Any], tr: Translator, *, private: bool) -> str:
    """Spellings, what they stand for and their counts; those that may be text are only counted."""
    shown, unsure = list[str](), 0
    for label in file["labels"]:
        spelling, meaning, count = label["spelling"], label["label"], label["num"]
        if len(shown) >= _MOST_LABELS or (private and meaning is None and len(spelling) > _SURE_CHARS):
            unsure += count
        elif spelling == meaning:
            shown.append(f"{spelling} {count:,}")
        else:
            shown.append(f"{_cut(spelling)} -> {meaning or '?'} {count:,}")
    return ", ".join([*shown, *([tr("others {num}", num=unsure)] if unsure else [])])


def _cut(text: str) -> str:
    """Text on one line, cut short."""
    line = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= _MOST_CHARS else f"{line[:_MOST_CHARS]}…"

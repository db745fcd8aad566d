"""What ``attar score`` is asked, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from attar.errors import DataError, GateError
from attar.io.files import content_hash
from attar.io.tables.rows import TableFormat
from attar.language.translator import Language
from attar.terms.term_list import TermList

__all__ = [
    "ENCODINGS",
    "STREAM",
    "Counts",
    "OutFormat",
    "ScoreOptions",
    "Sources",
    "StreamFormat",
    "check_share",
    "check_strict",
    "stream_format_of",
]

STREAM = "-"
"""Standard input or output in the place of a path."""

ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16")
"""What CSV and TSV can be written in: all of them hold every character."""

StreamFormat = Literal["jsonl", "csv", "tsv"]
"""What standard input and output can be."""

OutFormat = TableFormat | Literal["mongodb", "label_studio"]

Sources = str | Path | Sequence[str | Path]
"""What is scored: a place, or several whose rows follow each other."""


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How rows are read and written.

    Attributes:
        text: Name of the column with the text; in nested rows with dots.
        term: Name of the column with the term; None takes ``term`` or ``keyword``.
        first: Score only the first occurrence of a row that has no offsets.
        label: Excel: column with gold labels; None takes ``input_label`` or ``label`` if it holds some.
        query: MongoDB: which documents, as a filter.
        into_source: MongoDB: write into the collection that is read, under one field.
        progress: Show a bar on a terminal.
        quoted: CSV and TSV: a quote at the start of a cell begins a quoted one; else quotes are text.
        split_terms: What parts several terms in one cell; None takes a cell for one term.
        terms: A list of terms: each mention of one is scored, and no row needs a term of its own.
        offsets: Columns called start and end are offsets if they hold numbers; else they never are.
        in_encoding: Of files of text that are not UTF-8, as in ``attar.io.encodings``; None finds it.
        columns: Columns of the input that are kept; None keeps all.
        encoding: Of CSV and TSV files that are written, one of ``ENCODINGS``; None writes UTF-8, CSV
            with a byte order mark, by which Excel knows it.
        overwrite: Replace what stands in the place of the output, and the parts of another, unfinished job.
        rejected: File for the rows that cannot be used; None takes ``OUT.rejected.jsonl``.
        stream_format: Of standard input and output.
        accept_refused: Score with an artifact that its gate refused.
        source_name: What a workbook's summary calls that which is read; None takes its place.
        language: Of the titles and headings of a workbook.
    """

    text: str = "text"
    term: str | None = None
    first: bool = False
    label: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    into_source: bool = False
    progress: bool = True
    quoted: bool = True
    split_terms: str | None = None
    terms: TermList | None = None
    offsets: bool = True
    in_encoding: str | None = None
    columns: Sequence[str] | None = None
    encoding: str | None = None
    overwrite: bool = False
    rejected: Path | None = None
    stream_format: StreamFormat = "jsonl"
    accept_refused: bool = False
    source_name: str | None = None
    language: Language = "en"

    def fingerprint(self) -> dict[str, Any]:
        """All that decide what is predicted and where, as JSON; the list of terms by its hash."""
        names = ("text", "term", "first", "label", "into_source", "quoted", "split_terms", "offsets")
        more = ("in_encoding", "encoding", "stream_format", "accept_refused", "source_name")
        terms = None
        if self.terms is not None:
            terms = content_hash([list(self.terms.names.items()), list(self.terms.categories.items())])
        return {
            **{name: getattr(self, name) for name in (*names, *more)},
            "columns": None if self.columns is None else list(self.columns),
            "query": content_hash(self.query) if self.query else None,
            "terms": terms,
        }


@dataclass(slots=True)
class Counts:
    """What became of a source.

    Attributes:
        rows: Read.
        predictions: Written, one for each place of a row's term.
        rejected: Rows that could not be used, by reason code.
        rejected_path: Their file, with Spark their folder or table; None where there are none, or where
            they are counted alone.
        note_path: The file that says that the gate refused the artifact; None where it did not.
        notes: How files were read where one might have expected otherwise: sheets, encoding.
        without_term: Reviews that name no term of the list that was given, by file; none is written.
        damaged: Files of a folder or a pattern that could not be read, or not to their end, and why.
        reused: Predictions that an earlier, unfinished run of the same job had made.
    """

    rows: int = 0
    predictions: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_path: Path | str | None = None
    note_path: Path | None = None
    notes: list[str] = field(default_factory=list)
    without_term: Counter[str] = field(default_factory=Counter)
    damaged: dict[str, str] = field(default_factory=dict)
    reused: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.rows,
            "predictions": self.predictions,
            "rejected": dict(self.rejected),
            "rejected_path": None if self.rejected_path is None else str(self.rejected_path),
            "note_path": None if self.note_path is None else str(self.note_path),
            "notes": self.notes,
            "without_term": dict(self.without_term),
            "damaged": self.damaged,
            "reused": self.reused,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Counts:
        """The counts that ``to_json`` gave."""
        path, note = value["rejected_path"], value.get("note_path")
        return cls(
            **{
                **value,
                "rejected": Counter(value["rejected"]),
                "without_term": Counter(value["without_term"]),
                "rejected_path": None if path is None else Path(path),
                "note_path": None if note is None else Path(note),
            }
        )


def check_strict(counts: Counts, share: float) -> None:
    """Refuse a result of which more rows were rejected than somebody allows.

    Args:
        counts: Of a finished job.
        share: The largest share of the rows that may be rejected, from 0 to 1.

    Raises:
        DataError: ``share`` is no share.
        GateError: More were rejected.
    """
    check_share(share)
    num = counts.rejected.total()
    if num > share * counts.rows:
        raise GateError(
            f"{num:,} of {counts.rows:,} rows were rejected ({num / counts.rows:.2%}), more than --strict "
            f"{share:g} allows; the output is written all the same"
        )


def check_share(share: float) -> None:
    """Refuse what is no share.

    Raises:
        DataError: It is none.
    """
    if not 0 <= share <= 1:
        raise DataError(f"--strict {share:g}: expected a share from 0 to 1, such as 0.01")


def stream_format_of(name: str) -> StreamFormat:
    """The format of standard input and output that a name stands for.

    Raises:
        DataError: None that a stream can have.
    """
    for known in get_args(StreamFormat):
        if name == known:
            found: StreamFormat = known
            return found
    raise DataError(f"--format {name}: a stream is one of {', '.join(get_args(StreamFormat))}")

"""``attar score``: a file of rows in, the same rows with their labels out.

``open_rows -> accepted pairs -> Predictor -> row_writer``, a chunk at a time, so that a file of
any size fits. A row gets one scored row for each place where its term stands.
"""

from __future__ import annotations

import contextlib
import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from attar.errors import DataError
from attar.files import whole_file
from attar.progress import progress_bar
from attar.scoring.predictor import Predictor
from attar.scoring.reading import Form, Row, RowSource, form_of, open_rows
from attar.scoring.writing import column_types, row_writer
from attar.task import Example

__all__ = ["Counts", "score_file"]

_CHUNK = 4096
_TERM_COLUMNS = ("term", "keyword")


@dataclass(slots=True)
class Counts:
    """What became of a file.

    Attributes:
        rows: Read.
        predictions: Written, one for each place of a row's term.
        rejected: Rows that could not be used, by reason code.
    """

    rows: int = 0
    predictions: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def score_file(
    predictor: Predictor,
    source: Path,
    out: Path,
    *,
    text_column: str = "text",
    term_column: str | None = None,
    first: bool = False,
    progress: bool = True,
) -> Counts:
    """Score a file of rows.

    The extensions decide the forms: .jsonl, .csv, .tsv or .parquet. Input columns are kept; start,
    end, label, prob and a prob_<label> for each label are added. An input column that is called
    like one of the last three is kept as input_<name>, unless the file was scored before and has
    that already. Columns ``start`` and ``end`` (code points) say which occurrence is meant; a row
    without them is scored at every occurrence of its term. Rows that cannot be used go to
    ``<out>.rejected.jsonl``.

    Args:
        predictor: Of the artifact.
        source: The rows.
        out: Replaced only by a whole file.
        text_column: Name of the column with the text.
        term_column: Name of the column with the term; None takes ``term`` or ``keyword``.
        first: Score only the first occurrence of a row that has no offsets.
        progress: Show a bar on a terminal.

    Raises:
        DataError: The file is missing, empty or of an unknown form, a column is missing, or no
            row can be used.
    """
    form_of(out)
    if out.resolve() == source.resolve():
        raise DataError(f"{out} is the source itself; name another file to write")
    rows = open_rows(source)
    reader = _PairReader(_columns(rows, predictor, text_column, term_column), first)
    types = _out_types(rows, form_of(out), predictor.task.labels)
    counts = Counts()
    rejected = out.with_name(f"{out.name}.rejected.jsonl")
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(whole_file(out))
        rejections = _Rejections(rejected, stack)
        write = stack.enter_context(row_writer(draft, out, types))
        advance = stack.enter_context(progress_bar("score", rows.count())) if progress else None
        for chunk in _chunks(rows, reader, counts, rejections):
            probs = predictor.predict_probs([pair.example for pair in chunk])
            write(_scored(chunk, probs.tolist(), predictor.task.labels))
            counts.predictions += len(chunk)
            if advance is not None:
                advance(len({pair.row.line for pair in chunk}))
        if counts.predictions == 0:
            raise DataError(_nothing_usable(source, counts, rejections.first))
    if not counts.rejected:
        rejected.unlink(missing_ok=True)
    return counts


class _Columns(NamedTuple):
    """Names of the columns that are read; "" where there is none."""

    text: str
    term: str
    start: str
    end: str


class _Pair(NamedTuple):
    row: Row
    example: Example


@dataclass(frozen=True, slots=True)
class _PairReader:
    """Turns a row into the pairs to score, or into the reason why it has none."""

    columns: _Columns
    first: bool

    def pairs(self, row: Row) -> list[_Pair] | str:
        if row.problem:
            return row.problem
        text = row.values.get(self.columns.text)
        if not isinstance(text, str) or not text.strip():
            return "empty_text"
        if not _encodable(text):
            return "bad_text"
        spans = self._spans(row.values, text)
        return spans if isinstance(spans, str) else [_Pair(row, Example(text, *span)) for span in spans]

    def _spans(self, values: Mapping[str, Any], text: str) -> list[tuple[int, int]] | str:
        if not self.columns.term and not self.columns.start:
            return [(0, 0)]
        term = values.get(self.columns.term) if self.columns.term else None
        if term is not None and not isinstance(term, str):
            return "empty_term"
        try:
            start, end = _offset(values.get(self.columns.start)), _offset(values.get(self.columns.end))
        except ValueError:
            return "bad_offsets"
        if start is None and end is None:
            return _occurrences(text, term, self.first) if term else "empty_term"
        if start is None or end is None or not 0 <= start < end <= len(text):
            return "bad_offsets"
        return [(start, end)] if not term or text[start:end] == term else "offsets_not_at_term"


@dataclass(slots=True)
class _Rejections:
    """The rejected file, made at the first rejection."""

    path: Path
    stack: contextlib.ExitStack
    first: tuple[int, str] | None = None
    stream: TextIO | None = None

    def add(self, row: Row, reason: str) -> None:
        if self.stream is None:
            draft = self.stack.enter_context(whole_file(self.path))
            self.stream = self.stack.enter_context(
                draft.open("w", encoding="utf-8", errors="backslashreplace")
            )
            self.first = (row.line, reason)
        line = {"line": row.line, "reason": reason, "row": row.values}
        self.stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def _chunks(
    rows: RowSource, reader: _PairReader, counts: Counts, rejections: _Rejections
) -> Iterator[list[_Pair]]:
    chunk: list[_Pair] = []
    for row in rows.rows():
        counts.rows += 1
        pairs = reader.pairs(row)
        if isinstance(pairs, str):
            counts.rejected[pairs] += 1
            rejections.add(row, pairs)
            continue
        chunk += pairs
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _columns(rows: RowSource, predictor: Predictor, text: str, term: str | None) -> _Columns:
    has = rows.columns
    if text not in has:
        raise DataError(_missing(rows, text, "--text"))
    if not predictor.task.has_term:
        return _Columns(text, "", "", "")
    start, end = ("start", "end") if {"start", "end"} <= set(has) else ("", "")
    if term is None:
        term = next((name for name in _TERM_COLUMNS if name in has), "")
        if not term and not start:
            raise DataError(_missing(rows, "term", "--term"))
    elif term not in has:
        raise DataError(_missing(rows, term, "--term"))
    return _Columns(text, term, start, end)


def _missing(rows: RowSource, column: str, option: str) -> str:
    there = ", ".join(rows.columns[:12]) or "none that can be read"
    near = difflib.get_close_matches(column, rows.columns, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{rows.path} has no column {column!r}; its columns: {there}{hint}; {option} names another"


def _added(labels: Sequence[str]) -> list[str]:
    return ["label", "prob", *(f"prob_{label}" for label in labels)]


def _kept(columns: Mapping[str, Any], added: Sequence[str]) -> dict[str, Any]:
    """The input's columns, those that we add moved to ``input_<name>``."""
    kept = {name: value for name, value in columns.items() if name not in added}
    for name in added:
        if name in columns:
            kept.setdefault(f"input_{name}", columns[name])
    return kept


def _out_types(rows: RowSource, form: Form, labels: Sequence[str]) -> dict[str, Any]:
    if form == "jsonl":
        return {}
    added = _added(labels)
    places = {"start": "int64", "end": "int64"}
    ours = {name: "string" if name == "label" else "double" for name in added}
    return _kept(column_types(rows), added) | places | ours


def _scored(
    chunk: Sequence[_Pair], probs: Sequence[Sequence[float]], labels: Sequence[str]
) -> list[dict[str, Any]]:
    added = _added(labels)
    scored = []
    for pair, row in zip(chunk, probs, strict=True):
        best = max(range(len(row)), key=row.__getitem__)
        rounded = [round(prob, 6) for prob in row]
        place = {"start": pair.example.start, "end": pair.example.end}
        ours = dict(zip(added, [labels[best], rounded[best], *rounded], strict=True))
        scored.append(_kept(pair.row.values, added) | place | ours)
    return scored


def _occurrences(text: str, term: str, first: bool) -> list[tuple[int, int]] | str:
    spans = []
    start = text.find(term)
    while start >= 0:
        spans.append((start, start + len(term)))
        start = -1 if first else text.find(term, start + len(term))
    return spans or "term_not_found"


def _offset(value: object) -> int | None:
    """A code-point offset in whatever type the source gave it; None where there is none."""
    if value is None or value == "" or value != value:  # noqa: PLR0124 - NaN is how some tables say nothing
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _nothing_usable(source: Path, counts: Counts, first: tuple[int, str] | None) -> str:
    if first is None:
        return f"{source} has no rows; expected rows with a text column"
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.rejected.most_common())
    line, reason = first
    return (
        f"{source}: none of its {counts.rows} rows can be used ({reasons}); the first: line {line}, {reason}"
    )

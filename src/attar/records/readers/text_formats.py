"""Formats of plain text, a reader each: lines, marks in place, three lines an example, triplets, BIO.

Each takes a file and its encoding (None finds it) and yields a Record for each labelled term and a
Rejection for what cannot be read. ``where`` is ``file:line``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

from attar.io.encodings import Encoding
from attar.io.lines import numbered_lines
from attar.records.record import Record, Rejection, reject

__all__ = [
    "BEFORE_TRIPLETS",
    "MARK",
    "METADATA",
    "PLACE",
    "TAGGED",
    "read_bio",
    "read_lines",
    "read_markup",
    "read_target",
    "read_triplets",
]

MARK = re.compile(r"\[([^\[\]|]*)\|([^\[\]|]*)(?:\|([^\[\]|]*))?\]")
# A key is ASCII, so a review that starts with a hashtag is still a review.
METADATA = re.compile(r"#\s*([A-Za-z_][\w-]*):\s*(.*)", re.ASCII)
PLACE = "$T$"
BEFORE_TRIPLETS = "####["
# A blank may part character and tag too, and may be the character.
TAGGED = re.compile(r"(\t|[^\t]*?)[\t ](O|[BIMESLUW]-\S+)\s*")
_CONTINUE, _END, _SINGLE = "IMEL", "ELSUW", "SUW"
_TRIPLETS = "expected tokens####[((first, last), (first, last), 'POS'), ...] with token numbers from 0"
# What the sets write for an aspect that is not named in the text.
_NOT_NAMED = (-1, -1)

_Lines = list[tuple[int, str]]


class _Span(NamedTuple):
    """A span of the BIO format, as far as it has been read."""

    start: int
    end: int
    label: str
    line: int
    slip: str = ""  # the letter that it starts with, where that begins no span


def read_lines(path: Path, encoding: Encoding | None = None) -> Iterator[Record]:
    """Read one text a line, without a term and a label; those are the source's ``constants``.

    Yields:
        One Record a line that is not empty, spaces and all.

    Raises:
        DataError: The file cannot be read or is not of its encoding.
    """
    for number, line in numbered_lines(path, encoding):
        text = line.rstrip("\r\n")
        if text:
            yield Record(text, "", None, None, None, where=f"{path}:{number}")


def read_markup(path: Path, encoding: Encoding | None = None) -> Iterator[Record | Rejection]:
    """Read reviews with their terms marked in place, one a line: the format of the embedded corpus.

    A term is ``[term|label]`` or ``[term|label|wordtype]``; any other brackets are text. A line
    ``# key: value`` sets metadata for all the lines after it. A line with a broken mark (a ``|``
    outside every mark, a mark inside a mark) is rejected as a whole, because its text cannot be
    known; so is a line without any mark. Empty terms and unknown labels are left to the audit.

    Yields:
        One Record a mark, in the order of the text, or one Rejection for a line.

    Raises:
        DataError: The file cannot be read or is not of its encoding.
    """
    meta: dict[str, str] = {}
    for number, raw in numbered_lines(path, encoding):
        line = raw.strip()
        setting = METADATA.fullmatch(line)
        if setting and not MARK.search(line):
            meta = meta | {setting[1]: setting[2].strip()}
        elif line:
            yield from _marked(line, meta, f"{path}:{number}")


def _marked(line: str, meta: dict[str, str], where: str) -> Iterator[Record | Rejection]:
    pieces: list[str] = []
    spans: list[tuple[int, re.Match[str]]] = []
    length = last = 0
    for mark in MARK.finditer(line):
        before = line[last : mark.start()]
        spans.append((length + len(before), mark))
        pieces += (before, mark[1])
        length += len(before) + len(mark[1])
        last = mark.end()
    text = "".join((*pieces, line[last:]))
    if "|" in text:
        message = (
            "a | is outside every mark (or a mark inside a mark); "
            "write a mark as [term|label] or [term|label|wordtype] and no other |"
        )
        yield Rejection("bad_mark", message, where, [line])
    elif not spans:
        message = "the review has no mark; write a term as [term|label] or [term|label|wordtype]"
        yield Rejection("no_mark", message, where, [line])
    else:
        for start, mark in spans:
            term, label, wordtype = mark.groups()
            own = meta if not wordtype else meta | {"wordtype": wordtype}
            yield Record(text, term, start, start + len(term), label or None, own, where)


def read_target(
    path: Path, encoding: Encoding | None = None, *, fill_all: bool = True
) -> Iterator[Record | Rejection]:
    """Read examples of three lines: a text with ``$T$`` for its term, the term, the label.

    The usual format of aspect-sentiment sets, and one of the original system's. Blank lines may stand
    between examples. Where ``$T$`` occurs more than once in a text, the first one is meant and all of
    them are filled. An example without any, or that the next one or the end of the file cuts short,
    is rejected.

    Args:
        path: A file.
        encoding: Its encoding; None finds it.
        fill_all: False fills the first ``$T$`` alone, as the original system did.

    Yields:
        One Record or Rejection an example; ``where`` is the line of its text.

    Raises:
        DataError: The file cannot be read or is not of its encoding.
    """
    group: _Lines = []
    for number, raw in numbered_lines(path, encoding):
        line = raw.strip()
        if group and (len(group) == 3 or PLACE in line):
            yield _of_three(path, group, fill_all=fill_all)
            group = []
        if line or group:
            group.append((number, line))
    if group:
        yield _of_three(path, group, fill_all=fill_all)


def _of_three(path: Path, group: _Lines, *, fill_all: bool) -> Record | Rejection:
    where, lines = f"{path}:{group[0][0]}", [line for _, line in group]
    if PLACE not in lines[0]:
        return Rejection("no_mark", f"expected a text with {PLACE} where its term is", where, [*lines])
    if len(lines) < 3:
        message = f"{len(lines)} of three lines; expected a text with {PLACE}, its term and its label"
        return Rejection("bad_row", message, where, [*lines])
    marked, term, label = lines
    start = marked.index(PLACE)
    text = marked.replace(PLACE, term, -1 if fill_all else 1)
    return Record(text, term, start, start + len(term), label or None, where=where)


def read_triplets(path: Path, encoding: Encoding | None = None) -> Iterator[Record | Rejection]:
    """Read ``tokens####[((first, last), (first, last), 'POS'), ...]``, one review a line.

    The format of aspect sentiment triplet extraction: tokens between spaces, then for each triplet
    the tokens of the aspect, those of the opinion, and the polarity. A span of tokens is its ends,
    both inclusive, or, as in ASTE-Data-V2 (Xu et al., Position-Aware Tagging for Aspect Sentiment
    Triplet Extraction, 2020), all of its tokens. The text is the tokens without the spaces between
    them. Opinions are not read: an aspect with two of them gives two Records.

    Yields:
        One Record a triplet, in their order, or one Rejection for a line.

    Raises:
        DataError: The file cannot be read or is not of its encoding.
    """
    for number, raw in numbered_lines(path, encoding):
        line = raw.strip()
        if not line:
            continue
        where = f"{path}:{number}"
        found = _triplets(line, where)
        if isinstance(found, str):
            yield Rejection("bad_row", f"{found}; {_TRIPLETS}", where, [line])
        elif not found:
            yield Rejection("missing_label", f"the list of triplets is empty; {_TRIPLETS}", where, [line])
        else:
            yield from found


def _triplets(line: str, where: str) -> list[Record] | str:
    """The records of a line, or what is wrong with it."""
    sentence, found, triplets = line.rpartition(BEFORE_TRIPLETS)
    if not found:
        return "no list of triplets"
    try:
        value = ast.literal_eval("[" + triplets)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return "the triplets are not a list"
    tokens = sentence.split()
    text = "".join(tokens)
    starts = list(accumulate(map(len, tokens), initial=0))
    records = []
    for triplet in value:
        match triplet:
            case ([int() as first, *more], _, str() | int() as said) if all(isinstance(n, int) for n in more):
                last, label = more[-1] if more else first, str(said)
            case _:
                return "a triplet in another format"
        if (first, last) == _NOT_NAMED:
            records.append(Record(text, "", None, None, label, where=where))
        elif 0 <= first <= last < len(tokens):
            start, end = starts[first], starts[last + 1]
            records.append(Record(text, text[start:end], start, end, label, where=where))
        else:
            return f"tokens {first} to {last} of {len(tokens)}"
    return records


def read_bio(path: Path, encoding: Encoding | None = None) -> Iterator[Record | Rejection]:
    """Read the BIO format of named entities: ``character<TAB>tag`` a line, a blank line between texts.

    Words may stand for the characters, they are joined without spaces; a blank may stand for the tab. A
    span's type (``COM`` of ``B-COM``) is its label. ``B-`` begins a span and ``I-`` continues it; so do
    the letters of BMES, BIOES and BILOU: ``M-`` continues, ``E-`` and ``L-`` continue and end, ``S-``,
    ``U-`` and ``W-`` are a span of one. A span that begins otherwise is likely a slip in the middle of
    another, and is rejected. A text without spans gives no Record: nothing in it has a label.

    Yields:
        One Record a span, in the order of the text (``where`` is its first line), a Rejection for
        each that is not begun and for each text with a line that is not tagged.

    Raises:
        DataError: The file cannot be read or is not of its encoding.
    """
    lines: _Lines = []
    for number, raw in chain(numbered_lines(path, encoding), [(0, "")]):
        line = raw.rstrip("\r\n")
        if line.strip():
            lines.append((number, line))
        elif lines:
            yield from _tagged(path, lines)
            lines = []


def _tagged(path: Path, lines: Sequence[tuple[int, str]]) -> Iterator[Record | Rejection]:
    text = before = ""
    spans: list[_Span] = []
    for number, line in lines:
        tagged = TAGGED.fullmatch(line)
        if not tagged:
            message = f"line {number} is not a character, a tab and a tag (O, B-TYPE, I-TYPE, E-TYPE, S-TYPE)"
            yield Rejection("bad_row", message, f"{path}:{lines[0][0]}", [line for _, line in lines])
            return
        written = tagged[1].strip() or tagged[1]
        start, end = len(text), len(text) + len(written)
        place, _, label = tagged[2].partition("-")
        if place in _CONTINUE and label == before:
            spans[-1] = spans[-1]._replace(end=end)
        elif label:
            spans.append(_Span(start, end, label, number, place if place in _CONTINUE else ""))
        text += written
        before = "" if place in _END else label
    for span in spans:
        term = text[span.start : span.end]
        record = Record(text, term, span.start, span.end, span.label, where=f"{path}:{span.line}")
        if span.slip:
            message = f"the span starts with {span.slip}-{span.label}; expected B-{span.label} before it"
            yield reject("bad_mark", message, record)
        else:
            yield record

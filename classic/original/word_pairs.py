"""The word pairs of advertising text: ``text###word###id`` a line, 0 components, 1 effect, 2 other.

The original segmented each text into words with a large network and labelled every word without a marked
one in it "other". Here the "other" words are the runs of letters that remain when the marked words are
removed, which needs no network and is deterministic. A line whose word is ``None`` is about the whole
text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from attar.io.lines import numbered_lines
from attar.records.record import Record, Rejection

__all__ = ["read_word_pairs"]

_SEPARATOR = "###"
_NONE = "None"
_OTHER = "2"
_RUN = re.compile(r"[^\W_]+")


def read_word_pairs(path: Path) -> Iterator[Record | Rejection]:
    """Read a file of word pairs.

    Args:
        path: A UTF-8 file.

    Yields:
        A Record for each line, the word as its term; after the lines one for each other word of a
        text, at the line where the text first occurs. A Rejection for a malformed line.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    marked: defaultdict[str, list[str]] = defaultdict(list)
    first: dict[str, str] = {}
    for number, line in numbered_lines(path):
        parts = [part.strip() for part in line.split(_SEPARATOR)]
        where = f"{path}:{number}"
        if parts == [""]:
            continue
        if len(parts) != 3 or not parts[0] or not parts[1]:
            yield Rejection("bad_row", "expected text###word###id", where, list(parts))
            continue
        text, word, label = parts
        word = text if word == _NONE else word
        marked[text].append(word)
        first.setdefault(text, where)
        yield Record(text, word, None, None, label, where=where)
    for text, words in marked.items():
        longest_first = sorted(words, key=len, reverse=True)
        rest = re.sub("|".join(map(re.escape, longest_first)), " ", text)
        for other in dict.fromkeys(_RUN.findall(rest)):
            yield Record(text, other, None, None, _OTHER, where=first[text])

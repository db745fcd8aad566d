"""The texts of ``[pretrain]``: any source, of which only the text is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from attar.recipe.load import SourceRecipe
from attar.records.readers.formats import plain_text
from attar.records.record import Rejection
from attar.records.remote.fetch import LocalRecords, fetched
from attar.records.split.near_duplicates import normal_form

__all__ = ["distinct", "read_texts", "text_key"]


def read_texts(
    sources: Sequence[SourceRecipe], columns: Mapping[str, str], download_dir: Path
) -> Iterator[str]:
    """The texts of some sources, as they were written, one after the other.

    A ``.txt`` file without a format holds one text a line; ``columns`` are for sources without columns of
    their own. A row that is no record, or has no text, is passed over: there is nothing to learn from it.

    Raises:
        DataError: A source cannot be read.
    """
    for number, source in enumerate(sources, 1):
        local = fetched(plain_text(source), download_dir / str(number)).with_constants(label="", annotator="")
        for record in LocalRecords([local], columns):
            if not isinstance(record, Rejection) and record.text.strip():
                yield record.text


def distinct(texts: Iterator[str], left_out: Collection[bytes]) -> Iterator[str]:
    """The first of all texts with one key, without those whose key is among ``left_out``."""
    seen = set(left_out)
    for text in texts:
        key = text_key(text)
        if key not in seen:
            seen.add(key)
            yield text


def text_key(text: str) -> bytes:
    """Eight bytes that texts share only if they are equal but for case, width and punctuation."""
    return blake2b(normal_form(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()

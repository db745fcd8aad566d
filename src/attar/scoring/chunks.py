"""Rows -> chunks of examples -> scored rows: the middle of ``attar score``.

A chunk has a fixed number of examples, so that what is written depends on the rows alone; it ends within a
row that has more. While the threads of the predictor compute one chunk, the next is read and the one
before is written.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from attar.io.tables.columns import Columns
from attar.io.tables.rows import Row
from attar.scoring.cached_probs import CachedProbs, Probs
from attar.scoring.options import Counts
from attar.scoring.row_limit import TOO_MANY, RowLimit
from attar.scoring.scored import Scored
from attar.scoring.spans import ExampleReader
from attar.task import Example

__all__ = ["CHUNK_CHARS", "Chunk", "chunks_of", "scored_chunks", "scored_rows"]

CHUNK_EXAMPLES = 4096
CHUNK_CHARS = 1 << 24


class Chunk(NamedTuple):
    """Some examples in a row.

    Attributes:
        rows: N rows, each as often as it has examples here.
        examples: N examples.
        num_read: N numbers of rows that had been read when the example was made.
    """

    rows: list[Row]
    examples: list[Example]
    num_read: list[int]


def chunks_of(
    rows: Iterable[tuple[Row, Columns]],
    reader: ExampleReader,
    counts: Counts,
    reject: Callable[[Row, str, object], None],
    max_chars: int | None = None,
    limit: RowLimit | None = None,
) -> Iterator[Chunk]:
    """Cut a stream of rows into chunks.

    Args:
        rows: With what their columns mean.
        reader: Makes their examples.
        counts: Gets the numbers of rows and of rejections.
        reject: Gets the rows without examples, with a reason code and the cell of the term.
        max_chars: Of the texts of a chunk, where it is copied as a whole: each as often as it has mentions.
        limit: On what is written of one row; None takes that of a row with all of its columns.
    """
    limit = limit or RowLimit()
    chunk, num_chars = Chunk([], [], []), 0
    before = ("", 0)
    counts.without_term.clear()  # the rows may have been read before, for their columns
    for row, columns in rows:
        if (row.source, row.line) != before:
            counts.rows += 1
            before = row.source, row.line
            limit.begin(row.values)
        elif limit.is_over:
            continue
        cells = columns.cells(row.values)
        examples = row.problem.reason if row.problem else reader.each(cells)
        if isinstance(examples, str):
            if not limit.takes_rejection(row.values):
                examples, limit.is_over = TOO_MANY, True
            counts.rejected[examples] += 1
            reject(row, examples, cells.get("term"))
            continue
        num_read = counts.rows + counts.without_term.total()
        for example in examples:
            if not limit.takes_mention():
                limit.is_over = True
                counts.rejected[TOO_MANY] += 1
                reject(row, TOO_MANY, None)
                break
            chunk.rows.append(row)
            chunk.examples.append(example)
            chunk.num_read.append(num_read)
            num_chars += len(example.text)
            if len(chunk.rows) >= CHUNK_EXAMPLES or (max_chars is not None and num_chars >= max_chars):
                yield chunk
                chunk, num_chars = Chunk([], [], []), 0
    counts.rows += counts.without_term.total()
    if chunk.rows:
        yield chunk


def scored_chunks(
    chunks: Iterable[Chunk], probs: CachedProbs, labels: Sequence[str], advance: Callable[[int], None]
) -> Generator[list[Scored], None, None]:
    """Score chunks in their order, one while another is read or written.

    Args:
        chunks: From ``chunks_of``.
        probs: Their probs; it is stopped when this ends, however it does.
        labels: C labels.
        advance: Told the number of rows whose examples are done.
    """

    def ask(chunk: Chunk) -> Probs:
        return probs.probs(chunk.examples, lambda done: advance(chunk.num_read[done - 1]))

    waiting: tuple[Chunk, Future[Probs]] | None = None
    pool = ThreadPoolExecutor(1, thread_name_prefix="attar-ask")
    try:
        for chunk in chunks:
            asked = chunk, pool.submit(ask, chunk)
            if waiting is not None:
                yield scored_rows(waiting[0], waiting[1].result(), labels)
            waiting = asked
        if waiting is not None:
            yield scored_rows(waiting[0], waiting[1].result(), labels)
    finally:
        probs.stopped = True
        pool.shutdown(cancel_futures=True)


def scored_rows(chunk: Chunk, probs: Probs, labels: Sequence[str]) -> list[Scored]:
    """The rows of a chunk with the likeliest label and all probs [N, C], rounded."""
    scored = []
    for row, example, each in zip(chunk.rows, chunk.examples, probs.tolist(), strict=True):
        best = labels[max(range(len(each)), key=each.__getitem__)]
        rounded = {label: round(prob, 6) for label, prob in zip(labels, each, strict=True)}
        scored.append(Scored(row, example, best, rounded))
    return scored

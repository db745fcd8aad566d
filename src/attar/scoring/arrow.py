"""Scoring of a stream of Arrow record batches: what a cluster calls in each of its workers.

The same rows, reasons and columns as ``attar score`` over a Parquet file of the same schema, as a function
from batches to batches: ``mapInArrow`` of Spark takes ``ArrowScorer.score`` as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from attar.errors import require
from attar.io.tables.columns import Columns
from attar.io.tables.parquet import arrow_columns, arrow_rows, arrow_schema
from attar.io.tables.rows import Row, Table
from attar.scoring.chunks import CHUNK_CHARS, Chunk, chunks_of, scored_rows
from attar.scoring.inputs import shape_for
from attar.scoring.options import Counts, ScoreOptions
from attar.scoring.outputs import kept_names
from attar.scoring.predictor import Predictor
from attar.scoring.row_limit import RowLimit
from attar.scoring.scored import added_columns, chosen, kept_columns, scored_types, table_row
from attar.scoring.spans import ExampleReader

__all__ = ["REJECTED", "ArrowScorer"]

REJECTED = "rejected"
"""The last column of the output: why a row could not be used, null in a scored one."""

_SOURCE = "batch"


class ArrowScorer:
    """Scores record batches of one schema.

    A row with ``N`` mentions becomes N rows, as in ``attar score``. One that cannot be used is one row with
    its own columns and its reason in the column ``rejected``; with a list of terms, a review without any is
    left out and counted. No state is kept between two calls of ``score``, so that a partition that is
    scored twice gives the same rows twice.

    Args:
        predictor: Of the artifact, loaded once per process.
        schema: Arrow schema of the batches.
        options: Columns, list of terms and such; what concerns files, and ``label``, is not read. Columns
            called start and end are offsets if they are whole numbers.

    Attributes:
        schema: Arrow schema of what ``score`` yields.

    Raises:
        DataError: A column is missing.
    """

    def __init__(
        self,
        predictor: Predictor,
        schema: Any,  # noqa: ANN401 - Arrow's
        options: ScoreOptions | None = None,
    ) -> None:
        given = options or ScoreOptions()
        self._predictor, self._input = predictor, schema
        self._options = replace(given, offsets=given.offsets and _has_numeric_offsets(schema))
        tables = [self._shaped(Counts(), [])]
        self._keep = kept_names(tables, self._options)
        types = scored_types([table for table, _ in tables], predictor.task.labels, self._keep)
        self.schema = arrow_schema({**types, REJECTED: "string"})

    def score(self, batches: Iterable[Any], done: Callable[[Counts], None] | None = None) -> Iterator[Any]:
        """Score batches.

        Args:
            batches: Record batches of the schema.
            done: Told at the end what became of the rows.

        Yields:
            Record batches of ``self.schema``, of a few thousand rows.
        """
        total = Counts()
        for batch in batches:
            counts, refused, held = Counts(), list[dict[str, Any]](), list[Any]()
            table, columns = self._shaped(counts, held)
            held.append(batch)  # not before: its columns are found without reading a row
            reader = ExampleReader(self._predictor.task, self._options.first)
            rows = ((row, columns) for row in table.rows())
            refuse, limit = partial(self._refuse, refused), RowLimit(self._keep)
            for chunk in chunks_of(rows, reader, counts, refuse, CHUNK_CHARS, limit):
                counts.predictions += len(chunk.examples)
                yield self._batch(self._scored(chunk))
            if refused:
                yield self._batch(refused)
            total.rows += counts.rows
            total.predictions += counts.predictions
            total.rejected += counts.rejected
            total.without_term += counts.without_term
        if done is not None:
            done(total)

    def _shaped(self, counts: Counts, batches: list[Any]) -> tuple[Table, Columns]:
        """Batches, held from now on, as a table; with a row for each mention where terms are looked for."""
        names = tuple(self._input.names)
        rows = partial(arrow_rows, _SOURCE, batches)
        table = Table(_SOURCE, "parquet", names, rows, lambda: None, self._input)
        return shape_for(self._predictor.task, self._options, counts.without_term)(table)

    def _scored(self, chunk: Chunk) -> list[Mapping[str, Any]]:
        labels = self._predictor.task.labels
        probs = self._predictor.predict_probs(chunk.examples)
        return [table_row(scored, self._keep) for scored in scored_rows(chunk, probs, labels)]

    def _refuse(self, refused: list[dict[str, Any]], row: Row, reason: str, _: object) -> None:
        added = added_columns(self._predictor.task.labels)
        refused.append(kept_columns(chosen(row.values, self._keep), added) | {REJECTED: reason})

    def _batch(self, rows: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - Arrow's
        pa = require("pyarrow", "parquet")
        return pa.RecordBatch.from_arrays(arrow_columns(rows, self.schema), schema=self.schema)


def _has_numeric_offsets(schema: Any) -> bool:  # noqa: ANN401 - Arrow's
    """Whether the columns start and end are there and both are of whole numbers."""
    types = require("pyarrow.types", "parquet")
    return all(
        name in schema.names and types.is_integer(schema.field(name).type) for name in ("start", "end")
    )

"""What runs in a Python worker of Spark: the rows of a partition, scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from attar.errors import require
from attar.scoring.options import Counts
from attar.scoring.spark.shipment import Shipment, scorer_of

__all__ = ["CountsByPartition", "PartitionScorer"]


class CountsByPartition:
    """Adds up what became of partitions, as an accumulator of Spark does (``pyspark.AccumulatorParam``).

    Retries and speculative execution may report a partition twice. Its counts are the same each time, so
    that under the number of the partition they are kept once.
    """

    def zero(self, value: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:  # noqa: ARG002 - Spark's
        """What a worker begins with."""
        return {}

    def addInPlace(  # noqa: N802 - Spark's name
        self, ours: dict[int, dict[str, Any]], more: dict[int, dict[str, Any]]
    ) -> dict[int, dict[str, Any]]:
        """Take in what another worker counted."""
        ours.update(more)
        return ours


@dataclass(frozen=True, slots=True)
class PartitionScorer:
    """The function that ``mapInArrow`` calls in every task.

    Attributes:
        shipment: What the worker was sent.
        counts: Accumulator with ``CountsByPartition``.
    """

    shipment: Shipment
    counts: Any

    def score(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Score a partition.

        Args:
            batches: Its record batches.

        Yields:
            Record batches as ``ArrowScorer.score`` does.
        """
        pyspark = require("pyspark", "spark")
        batches = iter(batches)
        first = next(batches, None)
        if first is None:
            return
        scorer = scorer_of(pyspark.SparkFiles.getRootDirectory(), self.shipment, first.schema)
        partition = pyspark.TaskContext.get().partitionId()

        def done(counts: Counts) -> None:
            self.counts.add({partition: counts.to_json()})

        yield from scorer.score(_chained(first, batches), done)


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:  # noqa: ANN401 - Arrow's
    yield first
    yield from rest

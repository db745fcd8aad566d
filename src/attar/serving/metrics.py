"""``GET /metrics``: what a service counts, in Prometheus's text format.

Labels are routes, statuses, reasons and names of models, never what a client sent.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from attar import __version__
from attar.serving.work import Reply

__all__ = ["METRICS_TYPE", "Metrics"]

METRICS_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        self._registry = to = CollectorRegistry()
        ProcessCollector(registry=to)
        Gauge("attar_info", "Version of attar.", ("version",), registry=to).labels(__version__).set(1)
        self._requests = Counter("attar_requests", "Requests.", ("route", "status"), registry=to)
        head = "From a request's head to its reply."
        self._latency = Histogram("attar_request_seconds", head, ("route",), buckets=_SECONDS, registry=to)
        self._rows = Counter("attar_rows", "Rows of answered requests.", ("model",), registry=to)
        without = "Rows without an answer."
        self._rejected = Counter("attar_rows_rejected", without, ("model", "reason"), registry=to)
        size = "Examples of a batch."
        self._batches = Histogram("attar_batch_examples", size, ("model",), buckets=_EXAMPLES, registry=to)
        took = "Encoding and computing a batch."
        self._inference = Histogram(
            "attar_inference_seconds", took, ("model",), buckets=_SECONDS, registry=to
        )
        self._queue = Gauge("attar_queue_requests", "Requests that wait or are computed.", registry=to)
        self._files = Counter("attar_files", "Uploaded files that were scored.", ("result",), registry=to)
        self._held = Gauge("attar_files_held", "Uploaded files that are held.", registry=to)
        self._models = Gauge("attar_model_info", "The served models.", ("model", "version"), registry=to)
        self._reloads = Counter("attar_reloads", "Reloads of the models.", ("result",), registry=to)

    def observe_request(self, route: str, status: int, seconds: float, reply: Reply | None) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)
        if reply is not None and reply.num_rows:
            self._rows.labels(reply.model).inc(reply.num_rows)
            for reason, count in Tally(reply.rejected).items():
                self._rejected.labels(reply.model, reason).inc(count)

    def observe_batch(self, model: str, num_examples: int, seconds: float) -> None:
        """Count a batch."""
        self._batches.labels(model).observe(num_examples)
        self._inference.labels(model).observe(seconds)

    def observe_reload(self, *, succeeded: bool) -> None:
        """Count a reload."""
        self._reloads.labels("done" if succeeded else "failed").inc()

    def observe_file(self, result: str) -> None:
        """Count an uploaded file: done, failed or cancelled."""
        self._files.labels(result).inc()

    def watch_files(self, held: Callable[[], int]) -> None:
        """Ask for the number of uploaded files whenever the metrics are read."""
        self._held.set_function(held)

    def watch(self, queue: Callable[[], int]) -> None:
        """Ask for the number of requests in the queue whenever the metrics are read."""
        self._queue.set_function(queue)

    def set_models(self, versions: Iterable[tuple[str, str]]) -> None:
        """Say which models are served: pairs of a name and a version."""
        self._models.clear()
        for name, version in versions:
            self._models.labels(name, version).set(1)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)

"""The HTTP routes of the original system, for its clients: ABSA on port 5000, components on 5010.

All are ``POST {"data": [row, ...]}``; rows and replies are described in
``attar.classic.rows``.

================================ =========================== =================================
route                            rows                        reply
================================ =========================== =================================
/api/predict                     2                           plain, one a row
/api/predict_truncate            2, 4, 5, 7                  truncated, one an occurrence
/api/predict_truncate_model      2, 4, 5, 7                  the same by the newest checkpoint
/api/predict_macbert, _albert    3, 5, 7 (with labels)       plain for 3, truncated for 5 and 7
/api/train                       3                           "Done" when it is trained
/api/train_truncate              5, 7                        "Done" when it is trained
================================ =========================== =================================

An invalid row keeps its place in the reply, with a reason instead of a label (the original answered
500, or read the whole text instead of a window); training skips it. 400 means that the body is not JSON
or that data is not a list. A request for the newest checkpoint does not change the served model.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from numpy.typing import NDArray
from starlette.responses import Response

from attar.classic.rows import ClassicModel, Query, RowReader, replies
from attar.errors import RecipeError
from attar.scoring.predictor import Predictor
from attar.serving.keys import Keys
from attar.serving.limits import Limits, Problem
from attar.serving.models import Models
from attar.serving.service import Service, base_app
from attar.serving.work import Reply, Work, make_reply
from attar.task import Example, Task

__all__ = [
    "ClassicModels",
    "Trainer",
    "artifact_routes",
    "check_artifact",
    "classic_router",
    "create_classic_app",
    "model_of",
]

_LOG = logging.getLogger(__name__)
_TRAIN_SHARE = 0.9


Trainer = Callable[[Sequence[Example], Sequence[Example]], None]
"""Trains on the first examples, evaluates on the others; both are labelled and not empty.

It leaves a checkpoint where ``ClassicModels.newest`` finds it, or raises a DataError, whose message the
client gets, with 400.
"""


@dataclass(frozen=True, slots=True)
class ClassicModels:
    """The models behind the routes, called from several threads if the app has several workers.

    Attributes:
        task: Its labels are those of all models.
        served: The model of /api/predict and /api/predict_truncate.
        newest: The newest checkpoint that /api/train made, None where there is none yet.
        named: ``macbert`` and ``albert``: each returns its model, loaded at the first request, or None.
        train: The training of /api/train; None in a service that only predicts.
    """

    task: Task
    served: ClassicModel
    newest: Callable[[], ClassicModel | None] = lambda: None
    named: Mapping[str, Callable[[], ClassicModel | None]] = field(default_factory=dict)
    train: Trainer | None = None

    def __post_init__(self) -> None:
        if not self.task.has_term:
            raise RecipeError(
                f"the classic routes need a keyword; task {self.task.name!r} has none: use /v1/score"
            )


def artifact_routes(models: Models, service: Service) -> APIRouter:
    """The /api routes over the default artifact of a service.

    Raises:
        RecipeError: Its task has no term.
    """

    def current() -> ClassicModels:
        served = models.default
        model = model_of(served.predictor)._replace(name=served.name)
        return ClassicModels(served.predictor.task, model)

    current()
    return classic_router(current, service)


def check_artifact(predictor: Predictor) -> None:
    """Refuse an artifact that the /api routes have no use for.

    Raises:
        RecipeError: Its task has no term.
    """
    ClassicModels(predictor.task, model_of(predictor))


def model_of(predictor: Predictor) -> ClassicModel:
    """An artifact as a model of the classic routes."""
    marks = predictor.task.style == "marked_pair"
    return ClassicModel(predictor.predict_probs, predictor.window, predictor.artifact.version, marks)


def create_classic_app(
    models: ClassicModels, *, limits: Limits, api_key: str | None = None, workers: int = 1
) -> FastAPI:
    """An app with the routes of the original system alone, for models that are not artifacts.

    ``api_key`` is what clients must send as ``Authorization: Bearer KEY``; None serves anyone, as the
    original did. ``workers`` is 1 unless the models are thread-safe.
    """
    service = Service(
        limits=limits, keys=Keys.of(api_key), workers=workers, version=lambda: models.served.version
    )
    app = base_app(service, lambda: models.served.probs([Example("好", 0, 1)]))
    app.include_router(classic_router(models, service))
    return app


def classic_router(models: ClassicModels | Callable[[], ClassicModels], service: Service) -> APIRouter:
    """The /api routes; the service checks keys and limits, and holds the queue.

    ``models`` may be a function that gives those of the moment, as they are after a reload.
    """
    current = models if callable(models) else lambda: models
    router = APIRouter(prefix="/api", tags=["classic"])
    training = _Training(lambda: current().train)

    def route(path: str, reply: Callable[[Request], Any]) -> None:
        async def endpoint(request: Request) -> Response:
            return await service.answer(request, lambda: reply(request))

        router.add_api_route(path, endpoint, methods=["POST"], name=path.strip("/"))

    def predict(name: str, find: _Find, read: _Read) -> None:
        def work(value: Any) -> Work:  # noqa: ANN401 - JSON is any
            now = current()
            queries = read(RowReader(now.task, service.limits), value)
            return _work(find(now), now.task, queries, name)

        route(f"/{name}", lambda request: service.score_body(request, work, any_text=True))

    def train(name: str, sizes: tuple[int, ...]) -> None:
        async def reply(request: Request) -> Reply:
            queries = await service.process_body(
                request,
                lambda value: RowReader(current().task, service.limits).labelled(value, sizes),
                any_text=True,
            )
            await training.run(queries, name)
            return make_reply("Done", num_rows=len(queries))

        route(f"/{name}", reply)

    predict("predict", lambda now: now.served, RowReader.plain)
    predict("predict_truncate", lambda now: now.served, RowReader.located)
    predict("predict_truncate_model", _newest, RowReader.located)
    for name in ("macbert", "albert"):
        predict(f"predict_{name}", functools.partial(_named, name), _labelled)
    train("train", (3,))
    train("train_truncate", (5, 7))
    return router


_Find = Callable[[ClassicModels], ClassicModel]
_Read = Callable[[RowReader, Any], list[Query]]


def _newest(models: ClassicModels) -> ClassicModel:
    return _found(models.newest(), "/api/train has trained no model yet")


def _named(name: str, models: ClassicModels) -> ClassicModel:
    return _found(models.named.get(name, lambda: None)(), f"this service has no {name} model")


def _labelled(reader: RowReader, value: Any) -> list[Query]:  # noqa: ANN401 - JSON is any
    return reader.labelled(value, (3, 5, 7))


class _Training:
    """One training at a time, in a daemon thread: a process that ends does not wait for it."""

    def __init__(self, find: Callable[[], Trainer | None]) -> None:
        self._find, self._lock = find, threading.Lock()

    async def run(self, queries: Sequence[Query], name: str) -> None:
        train = self._find()
        if train is None:
            raise Problem(404, "no_training", "this service only predicts; it was started without training")
        examples = [one.example for one in queries if one.problem is None]
        problems = [(index, one.problem) for index, one in enumerate(queries) if one.problem is not None]
        for reason, count in Counter(reason for _, reason in problems).most_common():
            _LOG.warning("%s: %d of %d rows are not used: %s", name, count, len(queries), reason)
        # In the order of the request, as the original split them.
        num_train = int(len(examples) * _TRAIN_SHARE)
        if num_train == 0:
            first = f"; data[{problems[0][0]}]: {problems[0][1]}" if problems else ""
            message = f"{len(examples)} of {len(queries)} rows can be used, training needs at least 2{first}"
            raise Problem(400, "too_few_rows", message)
        if not self._lock.acquire(blocking=False):
            raise Problem(409, "training_busy", "a training is running; wait for its reply", retry_after_s=60)
        finished: Future[None] = Future()

        def work() -> None:
            failure: Exception | None = None
            try:
                train(examples[:num_train], examples[num_train:])
            except BaseException as error:  # noqa: BLE001 - raised again in the request
                # A SystemExit raised there would end the service.
                failure = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            self._lock.release()
            if failure is None:
                finished.set_result(None)
            else:
                finished.set_exception(failure)

        threading.Thread(target=work, name="attar-training", daemon=True).start()
        await asyncio.wrap_future(finished)


def _work(model: ClassicModel, task: Task, queries: Sequence[Query], name: str) -> Work:
    examples = [one.example_for(model) for one in queries if one.problem is None]
    model_name = model.name or model.version

    def reply(probs: NDArray[Any]) -> Reply:
        rows, num_correct = replies(model, task, queries, examples, probs.tolist())
        num_rows = len(queries)
        if num_labelled := sum(one.label is not None for one in queries):
            _LOG.info("%s: accuracy %.4f of %d rows", name, num_correct / num_labelled, num_labelled)
        if bad := ["bad_row" for one in queries if one.problem is not None]:
            _LOG.warning("%s: %d of %d rows cannot be used; the reply says why", name, len(bad), num_rows)
        return make_reply(rows, num_rows=num_rows, version=model.version, model=model_name, rejected=bad)

    return Work(model.probs, examples, len(task.labels), model_name, reply)


def _found(model: ClassicModel | None, missing: str) -> ClassicModel:
    if model is None:
        raise Problem(404, "no_such_model", missing)
    return model

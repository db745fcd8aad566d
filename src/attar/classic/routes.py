"""The original's HTTP routes, for clients that exist: ABSA on port 5000, components on 5010.

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

A wrong row has its place in the reply, with a reason instead of a label (the original gave a 500, or
read the whole text instead of a window); training leaves it out. 400 is for a body that is no JSON, or
whose data is no list. A request for the newest checkpoint leaves the served model as it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from attar.classic.rows import Asked, ClassicModel, RowReader, replies
from attar.errors import RecipeError
from attar.scoring.predictor import Predictor
from attar.serving.limits import Limits
from attar.serving.problem import Problem
from attar.serving.service import Reply, Service, bare_app, reply_of
from attar.task import Example, Task

__all__ = ["ClassicModels", "Trainer", "artifact_routes", "classic_router", "create_classic_app", "model_of"]

_LOG = logging.getLogger(__name__)
_TRAIN_SHARE = 0.9


class Trainer(Protocol):
    """Trains a model and keeps its checkpoint where ``ClassicModels.newest`` finds it."""

    def __call__(self, train: Sequence[Example], dev: Sequence[Example]) -> None:
        """Train on ``train``, evaluate on ``dev``; both are labelled and not empty.

        Raises:
            DataError: These rows cannot be trained on; the client is told why (400).
        """


@dataclass(frozen=True, slots=True)
class ClassicModels:
    """What the routes ask. They are called from several threads if the app has several workers.

    Attributes:
        task: Whose labels the models give.
        served: Answers /api/predict and /api/predict_truncate.
        newest: The newest checkpoint that /api/train made, None where there is none yet.
        named: ``macbert`` and ``albert``: each gives its model, loaded when it is first asked for,
            or None.
        train: Does the work of /api/train; None where the service only scores.
    """

    task: Task
    served: ClassicModel
    newest: Callable[[], ClassicModel | None] = lambda: None
    named: Mapping[str, Callable[[], ClassicModel | None]] = field(default_factory=dict)
    train: Trainer | None = None

    def __post_init__(self) -> None:
        if not self.task.has_term:
            raise RecipeError(
                f"the classic routes ask about a keyword; task {self.task.name!r} has none: use /v1/score"
            )


def artifact_routes(predictor: Predictor, service: Service) -> APIRouter:
    """The /api routes, answered by an artifact.

    Raises:
        RecipeError: Its task has no term to ask about.
    """
    return classic_router(ClassicModels(predictor.task, model_of(predictor)), service)


def model_of(predictor: Predictor) -> ClassicModel:
    """An artifact as a model of the classic routes."""
    marks = predictor.task.style == "marked_pair"
    return ClassicModel(predictor.predict_probs, predictor.window, predictor.artifact.version, marks)


def create_classic_app(
    models: ClassicModels, *, limits: Limits, api_key: str | None = None, workers: int = 1
) -> FastAPI:
    """An app with the routes of the original system alone, for models that are no artifact.

    Args:
        models: What answers.
        limits: Such as ``attar.serving.limits.CLASSIC_LIMITS``.
        api_key: What clients must send as ``Authorization: Bearer KEY``; None lets anyone in, as
            the original did.
        workers: Requests that are computed at once; 1 unless the models can take more.
    """
    service = Service(limits=limits, api_key=api_key, workers=workers, version=models.served.version)
    app = bare_app(service, lambda: models.served.probs([Example("好", 0, 1)]))
    app.include_router(classic_router(models, service))
    return app


def classic_router(models: ClassicModels, service: Service) -> APIRouter:
    """The /api routes.

    Args:
        models: What answers.
        service: Key, limits and queue.
    """
    router = APIRouter(prefix="/api", tags=["classic"])
    reader = RowReader(models.task, service.limits)
    training = _Training(models.train)

    def route(path: str, reply: Callable[[Request], Any]) -> None:
        async def endpoint(request: Request) -> Response:
            return await service.answer(request, lambda: reply(request))

        router.add_api_route(path, endpoint, methods=["POST"], name=path.strip("/"))

    def predict(find: Callable[[], ClassicModel], read: Callable[[Any], list[Asked]], name: str) -> None:
        def work(value: Any) -> Reply:  # noqa: ANN401 - JSON is any
            asked = read(value)
            return _reply(find(), models.task, asked, name)

        route(f"/{name}", lambda request: service.on_body(request, work, any_text=True))

    def named(name: str) -> Callable[[], ClassicModel]:
        find = models.named.get(name, lambda: None)
        return lambda: _there(find(), f"this service has no {name} model")

    def train(sizes: tuple[int, ...], name: str) -> None:
        async def reply(request: Request) -> Reply:
            asked = await service.on_body(request, lambda value: reader.labelled(value, sizes), any_text=True)
            await training.run(asked, name)
            return reply_of("Done", num_rows=len(asked))

        route(f"/{name}", reply)

    predict(lambda: models.served, lambda value: reader.plain(value, 2), "predict")
    predict(lambda: models.served, reader.located, "predict_truncate")
    predict(
        lambda: _there(models.newest(), "/api/train has trained no model yet"),
        reader.located,
        "predict_truncate_model",
    )
    predict(named("macbert"), lambda value: reader.labelled(value, (3, 5, 7)), "predict_macbert")
    predict(named("albert"), lambda value: reader.labelled(value, (3, 5, 7)), "predict_albert")
    train((3,), "train")
    train((5, 7), "train_truncate")
    return router


class _Training:
    """One training at a time, in a thread of its own, which an ending process does not wait for."""

    def __init__(self, train: Trainer | None) -> None:
        self._train = train
        self._lock = threading.Lock()

    async def run(self, asked: Sequence[Asked], name: str) -> None:
        train = self._train
        if train is None:
            raise Problem(404, "no_training", "this service only scores; it was started without a trainer")
        examples = [one.example for one in asked if one.problem is None]
        problems = [(index, one.problem) for index, one in enumerate(asked) if one.problem is not None]
        for reason, count in Counter(reason for _, reason in problems).most_common():
            _LOG.warning("%s: %d of %d rows are not used: %s", name, count, len(asked), reason)
        # In the order that they came in, as the original cut them.
        num_train = int(len(examples) * _TRAIN_SHARE)
        if num_train == 0:
            first = f"; data[{problems[0][0]}]: {problems[0][1]}" if problems else ""
            message = f"{len(examples)} of {len(asked)} rows can be used, training needs at least 2{first}"
            raise Problem(400, "too_few_rows", message)
        if not self._lock.acquire(blocking=False):
            raise Problem(
                409, "training_busy", "a training is running; wait for its answer", retry_after_s=60
            )
        done: Future[None] = Future()

        def work() -> None:
            failure: Exception | None
            try:
                train(examples[:num_train], examples[num_train:])
            except BaseException as error:  # noqa: BLE001 - raised again in the request
                # A SystemExit raised there would end the service.
                failure = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            else:
                failure = None
            finally:
                self._lock.release()
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

        threading.Thread(target=work, name="attar-training", daemon=True).start()
        await asyncio.wrap_future(done)


def _reply(model: ClassicModel, task: Task, asked: Sequence[Asked], name: str) -> Reply:
    made, num_right = replies(model, task, asked)
    num_labelled = sum(one.label is not None for one in asked)
    if num_labelled:
        _LOG.info("%s: accuracy %.4f of %d rows", name, num_right / num_labelled, num_labelled)
    num_unusable = sum(one.problem is not None for one in asked)
    if num_unusable:
        _LOG.warning("%s: %d of %d rows cannot be used; the reply says why", name, num_unusable, len(asked))
    return reply_of(made, num_rows=len(asked), version=model.version)


def _there(model: ClassicModel | None, missing: str) -> ClassicModel:
    if model is None:
        raise Problem(404, "no_such_model", missing)
    return model

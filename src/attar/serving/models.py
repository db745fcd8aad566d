"""The served models, by name, and how they are exchanged while requests are answered.

A new artifact is loaded, verified and warmed up beside the old one, and takes its place in one step. A
request keeps the model that it began with, and its reply says that model's version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from attar.artifact import load_artifact
from attar.cores import num_workers
from attar.errors import ArtifactError, AttarError, RecipeError
from attar.scoring.predictor import Predictor
from attar.serving.limits import Problem
from attar.task import Example

__all__ = ["Models", "ServedModel", "load_models", "named_folders", "warm_up"]

_LOG = logging.getLogger(__name__)
_DULL_NAMES = ("artifact", "")


class ServedModel(NamedTuple):
    """A model and its name."""

    name: str
    predictor: Predictor

    @property
    def version(self) -> str:
        """Of its artifact."""
        return self.predictor.artifact.version


class Models:
    """The served models; the first is the default one.

    Args:
        predictors: By name; warmed up by whoever serves them.
        load: Loads the newest artifact of a name; None where there is nothing to reload from.
        check: Refuses an artifact that the service has no use for, with an AttarError.
        workers: Batches that shall be computed at once; None takes the threads of the first one.
    """

    def __init__(
        self,
        predictors: Mapping[str, Predictor],
        load: Callable[[str], Predictor] | None = None,
        check: Callable[[Predictor], object] = lambda _: None,
        workers: int | None = None,
    ) -> None:
        self._served = {name: ServedModel(name, one) for name, one in predictors.items()}
        self._load, self._check, self._workers = load, check, workers
        self._reloading = threading.Lock()
        for one in predictors.values():
            check(one)

    @property
    def all(self) -> Sequence[ServedModel]:
        """All of them."""
        return tuple(self._served.values())

    @property
    def workers(self) -> int:
        """Batches that shall be computed at once."""
        return self._workers or self.default.predictor.workers

    @property
    def default(self) -> ServedModel:
        """The model of requests that name none."""
        return next(iter(self._served.values()))

    def get(self, name: str | None) -> ServedModel:
        """A model by its name or its version; None is the default one.

        Raises:
            Problem: 404, there is none.
        """
        served = self._served
        if name is None:
            return next(iter(served.values()))
        by_version = (one for one in served.values() if one.version == name)
        found = served.get(name) or next(by_version, None)
        if found is None:
            raise Problem(404, "no_such_model", f"no such model; served are {', '.join(served)}")
        return found

    def reload(self) -> list[str]:
        """Load every artifact again, and serve those that have changed: all of them or none.

        Returns:
            The names of those that have.

        Raises:
            AttarError: One cannot be served; what was served still is.
        """
        load = self._load
        if load is None:
            raise RecipeError("this service has no folders to reload its models from")
        with self._reloading:
            changed = {}
            for name, old in self._served.items():
                new = load(name)
                if new.artifact == old.predictor.artifact:
                    continue
                self._check(new)
                changed[name] = ServedModel(name, new)
            # One step: a request sees the old ones or the new ones. The old ones end with their requests.
            self._served = {**self._served, **changed}
        for name, one in changed.items():
            _LOG.info("model %s: now serving version %s", name, one.version)
        return list(changed)

    def close(self) -> None:
        """End their threads."""
        for one in self.all:
            one.predictor.close()


def named_folders(arguments: Sequence[str]) -> dict[str, Path]:
    """Artifact folders by name: ``NAME=FOLDER``, or the folder's own name, its parent's for ``artifact``.

    Raises:
        RecipeError: Two have the same name.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        name, equals, folder = argument.partition("=")
        if not equals or "/" in name or not name:
            name, folder = "", argument
        path = Path(folder)
        inner = path.absolute().name
        name = name or (path.absolute().parent.name if inner in _DULL_NAMES else inner) or "artifact"
        if name in found:
            raise RecipeError(f"two artifacts are called {name!r}; name them: NAME=FOLDER")
        found[name] = path
    return found


def load_models(
    folders: Mapping[str, Path], workers: int | None, check: Callable[[Predictor], object] = lambda _: None
) -> Models:
    """Load artifacts; each computes in the thread that asks, for a service computes several batches at once.

    Args:
        folders: By name.
        workers: Batches computed at once; None takes ``attar.cores.num_workers()``.
        check: Refuses an artifact that the service has no use for.

    Raises:
        ArtifactError: One is incomplete or damaged.
        RecipeError: ``workers`` is no number of threads.
    """

    def reload(name: str) -> Predictor:
        return _verified(folders[name])

    count = num_workers(workers)
    predictors = {name: Predictor(load_artifact(folder), 1) for name, folder in folders.items()}
    return Models(predictors, reload, check, count)


def warm_up(predictor: Predictor) -> None:
    """Predict one example: the graph is opened, and checked, before the first request."""
    end = 1 if predictor.task.has_term else 0
    second = "好" if predictor.task.style == "sentence_pair" else ""
    predictor.predict_probs([Example("好", 0, end, second=second)])


def _verified(folder: Path) -> Predictor:
    predictor = Predictor(load_artifact(folder), 1)
    try:
        warm_up(predictor)
        # The graph was opened after its hash was taken: it may be another one by now.
        if load_artifact(folder) != predictor.artifact:
            raise ArtifactError(f"{folder}: was changed while it was loaded; reload it when it is complete")
    except AttarError:
        predictor.close()
        raise
    return predictor

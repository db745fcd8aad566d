"""The models of the services: artifacts, checkpoint folders, and gs*.pkl with config and vocab.

``paths -> Checkpoint or Predictor -> ClassicModel``, the interface of ``attar.classic.routes``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attar.artifact import load_artifact
from attar.classic.checkpoint import load_classic
from attar.classic.files import DEFAULT_MAX_TOKENS, ClassicFiles, card_path, read_card
from attar.classic.routes import model_of
from attar.classic.rows import ClassicModel
from attar.errors import CheckpointError, RecipeError
from attar.io.files import content_hash, file_hash
from attar.models.checkpoint import Checkpoint, load_checkpoint, predict_logits
from attar.scoring.predictor import Predictor, softmax
from attar.task import Example, Task

__all__ = ["ModelReader", "Newest", "first_use"]

_LOG = logging.getLogger(__name__)
_BATCH_SIZE = 64  # the original's


@dataclass(frozen=True, slots=True)
class ModelReader:
    """Loads models for one service.

    Attributes:
        task: Of all its models.
        max_tokens: Longest input of a gs*.pkl, special tokens included; None takes that of its gs*.json,
            and without one 70.
        labels: In the order of a gs*.pkl's logits; empty for the original's order.
        lower_case: Whether a gs*.pkl was trained with ``--do_lower_case``; None takes the setting of its
            gs*.json, and without one lower-cases.
        marks: Whether it was trained with marks around the keyword; None takes the setting of its gs*.json,
            and without one marks rows with offsets alone, as the original's service did.
    """

    task: Task
    max_tokens: int | None = None
    labels: tuple[str, ...] = ()
    lower_case: bool | None = None
    marks: bool | None = None

    def load(self, paths: Sequence[Path]) -> tuple[ClassicModel, Task]:
        """A model, and its task.

        Args:
            paths: An artifact or a checkpoint folder of attar; or weights, config.json and vocab.txt.

        Raises:
            ArtifactError: The artifact is damaged.
            CheckpointError: A file is missing or cannot be used.
            RecipeError: Its task is another one.
        """
        if len(paths) == 1 and (paths[0] / "model.onnx").is_file():
            predictor = Predictor(load_artifact(paths[0]))
            model, task = model_of(predictor), predictor.task
        else:
            model, task = self._checkpoint(paths)
        if task.labels != self.task.labels or not task.has_term:
            raise RecipeError(
                f"{paths[0]}: a model of the task {task.name!r} with {', '.join(task.labels)}; this service "
                f"has the task {self.task.name!r} with {', '.join(self.task.labels)}: see --task_name"
            )
        _LOG.info("%s: loaded as version %s", paths[0], model.version)
        return model, task

    def _checkpoint(self, paths: Sequence[Path]) -> tuple[ClassicModel, Task]:
        if len(paths) == 1:
            checkpoint = load_checkpoint(paths[0])
            return _model(checkpoint, paths, finds_keyword=True), checkpoint.task
        if len(paths) != 3:
            raise CheckpointError(
                f"{paths[0]}: a model is one folder, or weights, config.json and vocab.txt; "
                f"got {len(paths)} paths"
            )
        weights, config, vocab = paths
        card = read_card(weights)
        marks = card["marks"] if card and self.marks is None else self.marks
        if marks is None and self.task.name == "newcos":
            marks = False  # its rows never had offsets
        if marks is None:
            _LOG.warning(
                "%s: no %s beside it says how it was trained; rows of two and three columns are read without "
                "marks, rows with offsets with marks, as in the original's service. --marks on or off "
                "overrides this",
                weights, card_path(weights).name,
            )  # fmt: skip
        else:
            reason = f"{card_path(weights).name} says so" if card else "as all of newcos were trained"
            reason = "--marks says so" if self.marks is not None else reason
            _LOG.info("%s: read %s, %s", weights, "with marks" if marks else "without marks", reason)
        max_tokens = self.max_tokens or int((card or {}).get("max_seq_length", DEFAULT_MAX_TOKENS))
        files = ClassicFiles(
            config, vocab, weights, lower_case=self.lower_case, labels=self.labels, marks=marks is not False
        )
        checkpoint = load_classic(files, self.task, max_tokens)
        # Rows without offsets are marked only for a model that is known to be trained with marks.
        return _model(checkpoint, paths, finds_keyword=marks is True), checkpoint.task


def _model(checkpoint: Checkpoint, paths: Sequence[Path], *, finds_keyword: bool) -> ClassicModel:
    checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")

    def probs(examples: Sequence[Example]) -> NDArray[np.float32]:
        return softmax(predict_logits(checkpoint, examples, _BATCH_SIZE), 1.0)

    files = [path / "model.safetensors" if path.is_dir() else path for path in paths]
    version = content_hash([file_hash(path) for path in files])[:12]
    marks = checkpoint.encoder.spec.style == "marked_pair"
    return ClassicModel(probs, checkpoint.encoder.window, version, marks, finds_keyword)


def first_use(load: Callable[[], ClassicModel]) -> Callable[[], ClassicModel]:
    """A function that loads a model at its first call and keeps it."""
    lock = threading.Lock()
    found: list[ClassicModel] = []

    def get() -> ClassicModel:
        with lock:
            if not found:
                found.append(load())
            return found[0]

    return get


class Newest:
    """The newest checkpoint of a training service, loaded at the first request for it.

    Args:
        find: Returns the paths of the newest checkpoint, None if there is none yet.
        reader: Loads it.
    """

    def __init__(self, find: Callable[[], tuple[Path, ...] | None], reader: ModelReader) -> None:
        self._find, self._reader = find, reader
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[Path, ...], ClassicModel] | None = None

    def __call__(self) -> ClassicModel | None:
        """The model, or None."""
        with self._lock:
            paths = self._find()
            if paths is None:
                return None
            if self._loaded is None or self._loaded[0] != paths:
                self._loaded = None  # memory may not hold two models
                self._loaded = (paths, self._reader.load(paths)[0])
            return self._loaded[1]

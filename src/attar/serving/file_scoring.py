"""The work on an uploaded file: read, checked, scored and written by the code of ``attar score``.

Its examples are computed in the batches of the service, in turn with those of requests: a long file holds
no request up for longer than a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from attar.errors import AttarError, DataError
from attar.io.tables.jsonl import json_rows, write_jsonl
from attar.io.tables.table_files import open_tables
from attar.progress import progress_to
from attar.scoring.predictor import Predictor
from attar.scoring.spans import needed_columns
from attar.scoring.stage import Counts, ScoreOptions, score_file
from attar.serving.batching import Batcher
from attar.serving.models import ServedModel
from attar.serving.uploads import FileLimits, HeldFile
from attar.serving.work import Reply, Work
from attar.task import Example

__all__ = ["FileWork", "columns_of_file", "score_held"]

_LOG = logging.getLogger(__name__)
_LOOK_S = 0.2  # how often a file that is being scored is asked whether it is still wanted


class _CancelledError(Exception):
    """Nobody wants the file any more."""


@dataclass(frozen=True, slots=True)
class FileWork:
    """What is done with a file.

    Attributes:
        model: Scores it.
        options: How its rows are read.
        ending: Of what is written, ``.xlsx``.
        batcher: Computes.
        loop: Of the service.
    """

    model: ServedModel
    options: ScoreOptions
    ending: str
    batcher: Batcher
    loop: asyncio.AbstractEventLoop


def columns_of_file(held: HeldFile) -> tuple[str, ...]:
    """The names of the columns of a file, of the first visible sheet of a workbook.

    Raises:
        DataError: It cannot be read; the message calls it by the client's name.
    """
    try:
        return open_tables(held.path)[0].columns
    except AttarError as error:
        raise DataError(_shown(held, str(error))) from None


def score_held(held: HeldFile, work: FileWork, limits: FileLimits, observe: Callable[[str], object]) -> None:
    """Score a file; what becomes of it stands in the file, and nothing is raised.

    Args:
        held: The file; its upload is removed when it is scored.
        work: How.
        limits: On its rows and on what is written.
        observe: Told ``done``, ``failed`` or ``cancelled``.
    """
    out = held.folder / "scored" / f"scored{work.ending}"
    try:
        counts = _scored(held, work, limits, out)
    except _CancelledError:
        observe("cancelled")
    except (AttarError, OSError) as error:
        held.problem = _shown(held, str(error) if isinstance(error, AttarError) else _said(error))
        held.state = "failed"
        observe("failed")
    except Exception as error:  # noqa: BLE001 - a traceback could quote a review
        _LOG.error("a file could not be scored: %s", type(error).__name__)
        held.problem, held.state = "an internal error; the log of the service says which", "failed"
        observe("failed")
    else:
        held.facts = _facts(held, counts, work.model)
        rejected = None if counts.rejected_path is None else Path(counts.rejected_path)
        held.result, held.rejected = out, _with_shown_places(held, rejected)
        held.path.unlink(missing_ok=True)
        held.num_done = held.num_rows = counts.rows
        held.state = "done"
        observe("done")


def _scored(held: HeldFile, work: FileWork, limits: FileLimits, out: Path) -> Counts:
    held.num_rows = _num_rows(held, work, limits)

    def listen(num_done: int, _: int | None) -> None:
        if held.is_cancelled:
            raise _CancelledError
        held.num_done = num_done

    shutil.rmtree(out.parent, ignore_errors=True)  # of a first try
    out.parent.mkdir()
    # Delegates all but the predictions, which is what the code that scores files asks for.
    predictor = cast("Predictor", _InTurns(held, work, limits))
    with progress_to(listen):
        return score_file(predictor, held.path, out, work.options)


def _num_rows(held: HeldFile, work: FileWork, limits: FileLimits) -> int:
    """How many rows a file has, all within the limits: known before anything is computed.

    Raises:
        DataError: A limit is exceeded.
    """
    num_rows, before = 0, ("", 0)
    asked = needed_columns(work.model.predictor.task, work.options.text, work.options.term)
    needed = asked[:1] if work.options.terms is not None else asked
    for row in (row for table in open_tables(held.path, needed=needed) for row in table.rows()):
        if held.is_cancelled:
            raise _CancelledError
        num_rows += (row.source, row.line) != before
        before = row.source, row.line
        if num_rows > limits.max_file_rows:
            raise DataError(
                f"{held.path}: more than {limits.max_file_rows:,} rows; send several, or use attar score"
            )
        if _num_chars(row.values) > limits.max_row_chars:
            raise DataError(
                f"{row.where}: a row of more than {limits.max_row_chars:,} characters; take columns out that "
                "are not needed, or use attar score"
            )
    return num_rows


def _num_chars(value: object) -> int:
    if isinstance(value, Mapping):
        return sum(map(_num_chars, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_num_chars, value))
    return len(value) if isinstance(value, str) else 1


class _InTurns:
    """A predictor whose examples are computed in turn with those of requests."""

    def __init__(self, held: HeldFile, work: FileWork, limits: FileLimits) -> None:
        self._held, self._work, self._limits = held, work, limits
        self._predictor = work.model.predictor
        self._num_examples = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a predictor has
        return getattr(self._predictor, name)

    def predict_probs(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        """Probs [N, C] of examples."""
        self._check_limits(len(examples))
        model = self._work.model
        asked = Work(
            self._predictor.predict_probs, examples, len(model.predictor.task.labels), model.name, _none
        )
        future = asyncio.run_coroutine_threadsafe(self._work.batcher.probs(asked), self._work.loop)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    return future.result(_LOOK_S)
                if future.done():
                    return future.result()
                if self._held.is_cancelled:
                    raise _CancelledError
        finally:
            future.cancel()

    def _check_limits(self, num_new: int) -> None:
        self._num_examples += num_new
        if self._num_examples > self._limits.max_file_mentions:
            raise DataError(
                f"{self._held.path}: its terms occur more than {self._limits.max_file_mentions:,} times; "
                "send several files, or use attar score"
            )
        written = sum(
            path.stat().st_size for path in (self._held.folder / "scored").rglob("*") if path.is_file()
        )
        if written > self._limits.max_result_bytes:
            raise DataError(
                f"{self._held.path}: the scored rows exceed {self._limits.max_result_bytes:,} bytes; "
                "send several, or use attar score"
            )


def _none(_: NDArray[np.float32]) -> Reply:
    raise AssertionError("the probs of a file are written, not replied")


def _facts(held: HeldFile, counts: Counts, model: ServedModel) -> dict[str, object]:
    return {
        "model": model.name,
        "version": model.version,
        "rows": counts.rows,
        "mentions": counts.predictions,
        "without_term": counts.without_term.total(),
        "rejected": dict(counts.rejected),
        "notes": [_shown(held, note) for note in counts.notes],
    }


def _with_shown_places(held: HeldFile, rejected: Path | None) -> Path | None:
    """The rejected rows, in whose places the file is called as the client calls it."""
    if rejected is None:
        return None
    shown = rejected.with_name("rejected.jsonl")
    with write_jsonl(shown) as write:
        for row in json_rows(rejected):
            write({**row.values, "where": _shown(held, str(row.values.get("where", "")))})
    rejected.unlink()
    return shown


def _shown(held: HeldFile, message: str) -> str:
    """A message in which the file is called as the client calls it."""
    return message.replace(f"{held.folder}/", "")


def _said(error: OSError) -> str:
    return f"the service cannot write it ({error.strerror or type(error).__name__}); ask who runs it"

"""/api/train: main.trainer.py turns the rows of each request into a checkpoint, in a process of its own.

The service keeps serving meanwhile, with its own random state and log, and the memory of a training is
freed with its process. Every training starts from the same weights and writes a numbered folder with all
files of its checkpoint; an unfinished one ends in .part.

    output_root_dir/train_api/TASK/0007/  gs12.pkl config.json vocab.txt data/ eval_results-TASK.txt log.txt
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attar.classic.files import DEFAULT_MAX_TOKENS, Marks, marks_from
from attar.errors import CheckpointError, DataError
from attar.io.locks import locked
from attar.task import Example
from original.data import load_examples, source_of, write_short_or_whole
from original.tasks import TASKS

__all__ = ["StartFiles", "TrainSettings", "TrainingService"]

_LOG = logging.getLogger(__name__)
_TRAINER = Path(__file__).resolve().parents[1] / "main.trainer.py"
_CONFIG, _VOCAB = "config.json", "vocab.txt"
_MESSAGE_AFTER = " -  "  # in a log line


@dataclass(frozen=True, slots=True)
class StartFiles:
    """The initial model of every training.

    Attributes:
        weights: Of a pretrained encoder or a whole model.
        config: config.json.
        vocab: vocab.txt.
        architecture: bert, electra or albert.
        is_whole: Whether the classifier is taken from ``weights`` too.
    """

    weights: Path
    config: Path
    vocab: Path
    architecture: str
    is_whole: bool

    def flags(self) -> list[str]:
        """As flags of main.trainer.py."""
        start = ("all", "--tuned_checkpoint_S") if self.is_whole else ("bert", "--init_checkpoint_S")
        return [
            "--vocab_file", str(self.vocab), "--bert_config_file_T", "none",
            "--bert_config_file_S", str(self.config), "--model_architecture", self.architecture,
            "--load_model_type", start[0], start[1], str(self.weights),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of a training; the defaults are those of the original's service.

    Attributes:
        task_name: Of main.trainer.py.
        max_tokens: Longest input.
        lower_case: Whether the text is lower-cased.
        epochs: Passes over the rows.
        batch_size: Lowered to the number of rows if they are fewer.
        learning_rate: Peak of the schedule.
        seed: Order of the rows and dropout.
        marks: ``--marks``: auto marks the keyword in rows with offsets alone.
    """

    task_name: str
    max_tokens: int = DEFAULT_MAX_TOKENS
    lower_case: bool = True
    epochs: float = 1.0
    batch_size: int = 8
    learning_rate: float = 2e-5
    seed: int = 9580
    marks: Marks = "auto"

    def flags(self, num_rows: int) -> list[str]:
        """As flags of main.trainer.py."""
        return [
            "--task_name", self.task_name, "--max_seq_length", str(self.max_tokens),
            *(["--do_lower_case"] if self.lower_case else []),
            "--num_train_epochs", f"{self.epochs:g}", "--learning_rate", f"{self.learning_rate:g}",
            "--train_batch_size", str(min(self.batch_size, num_rows)), "--random_seed", str(self.seed),
            "--schedule", "slanted_triangular", "--s_opt1", "30", "--ckpt_frequency", "1",
            "--marks", self.marks, "--do_train", "--do_predict",
        ]  # fmt: skip


class TrainingService:
    """Trains on request, and finds the newest checkpoint.

    Args:
        start: The initial model of every training.
        settings: Of every training.
        folder: Gets a numbered folder for each training.
        trainer: The script that trains.
    """

    def __init__(
        self, start: StartFiles, settings: TrainSettings, folder: Path, trainer: Path = _TRAINER
    ) -> None:
        self._start, self._settings, self._folder, self._trainer = start, settings, folder, trainer
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_closed = False

    def __call__(self, train: Sequence[Example], dev: Sequence[Example]) -> None:
        """Train on ``train``, evaluate on ``dev``.

        Raises:
            DataError: None of these rows can be trained on, or evaluated.
            CheckpointError: The trainer failed; its last line says why.
            RunError: Another service trains in the same folder.
        """
        with locked(self._folder):
            for draft in self._folder.glob("*.part"):
                shutil.rmtree(draft, ignore_errors=True)
            number = max(self._numbers(), default=0) + 1
            draft, final = self._folder / f"{number:04}.part", self._folder / f"{number:04}"
            num_rows = self._write_data(draft / "data", train, dev)
            flags = [*self._start.flags(), *self._settings.flags(num_rows)]
            self._run([*flags, "--data_dir", str(draft / "data"), "--output_dir", str(draft)])
            if not list(draft.glob("gs*.pkl")):
                raise CheckpointError(f"{draft}: the training wrote no gs*.pkl; see log.txt there")
            shutil.copyfile(self._start.config, draft / _CONFIG)
            shutil.copyfile(self._start.vocab, draft / _VOCAB)
            draft.rename(final)
        _LOG.info("trained on %d rows -> %s", num_rows, final)

    def newest(self) -> tuple[Path, Path, Path] | None:
        """Weights, config and vocab of the newest checkpoint; None before the first training."""
        number = max(self._numbers(), default=None)
        if number is None:
            return None
        folder = self._folder / f"{number:04}"
        weights = max(folder.glob("gs*.pkl"), key=lambda path: int(path.stem.removeprefix("gs")))
        return weights, folder / _CONFIG, folder / _VOCAB

    def close(self) -> None:
        """End a running training; its rows are lost."""
        with self._lock:
            self._is_closed = True
            process = self._process
        if process is not None:
            process.terminate()
            process.wait()

    def _numbers(self) -> list[int]:
        return [int(path.name) for path in self._folder.glob("[0-9]*") if path.name.isdecimal()]

    def _write_data(self, folder: Path, train: Sequence[Example], dev: Sequence[Example]) -> int:
        """Write the rows as the trainer's data folder; returns how many of them it will train on."""
        folder.mkdir(parents=True)
        used = {}
        task = TASKS[self._settings.task_name]
        # All rows of a route have offsets, or none has.
        marks = marks_from(self._settings.marks)
        marks = not any(example.second for example in train) if marks is None else marks
        for stem, examples in (("train", train), ("dev", dev)):
            write_short_or_whole(folder / f"{stem}.json", examples)
            source = source_of(folder, task, stem, "train" if stem == "train" else "dev")
            try:
                used[stem] = len(load_examples(source, task, marks=marks).examples)
            except DataError as error:
                # The folder means nothing to a client.
                raise DataError(str(error).replace(f"{folder}/", "")) from error
        return used["train"]

    def _run(self, flags: Sequence[str]) -> None:
        command = [sys.executable, str(self._trainer), *flags]
        with self._lock:
            if self._is_closed:
                raise CheckpointError("the service is ending; try again when it is back")
            self._process = subprocess.Popen(  # noqa: S603 - our own script with the operator's flags
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8",
                errors="replace",
            )  # fmt: skip
        _, log = self._process.communicate()
        code, self._process = self._process.returncode, None
        if code:
            last = next((line for line in reversed(log.splitlines()) if line.strip()), "nothing in its log")
            raise CheckpointError(f"main.trainer.py ended with {code}: {last.split(_MESSAGE_AFTER, 1)[-1]}")

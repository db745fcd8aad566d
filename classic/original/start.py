"""Checks the flags, files and rows of a command line of the original before torch is imported.

    flags -> files of the models -> data folder -> original.run

Errors in any of them are reported within a second; importing torch and transformers takes several.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

from attar.errors import AttarError, DataError, RecipeError, system_error
from attar.recipe.load import SourceRecipe
from attar.stage_cache import is_first_process
from original.arguments import Script, parse_arguments
from original.data import Examples, load_examples, overlap, source_of, write_rejected
from original.log import MAIN, logged
from original.marks import RowFormat, check_teachers, detect_row_format
from original.model_files import check_model_files
from original.tasks import TASKS, ClassicTask, Split

__all__ = ["Job", "main"]

_INTERRUPTED = 130  # a shell's exit code for a program that Ctrl-C ended
_SPLITS: tuple[Split, ...] = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Job:
    """A command line with its files and rows, checked.

    Attributes:
        task: Of the command line.
        sources: The files of the data folder.
        row_format: How rows are encoded.
        train: The train sets of the task and the aux task; empty without --do_train.
        dev: Name of an evaluation -> its examples.
    """

    task: ClassicTask
    sources: list[SourceRecipe]
    row_format: RowFormat
    train: list[Examples]
    dev: dict[str, Examples]


def main(script: Script, argv: Sequence[str] | None = None) -> int:
    """Run a command line of the original.

    Args:
        script: Which one.
        argv: Its flags; None takes those of this process.

    Returns:
        The exit code: 0, 2 for an error, or 130 for Ctrl-C (each logged in one line).
    """
    args = parse_arguments(script, argv)
    with logged(args.output_dir):
        try:
            for name, value in vars(args).items():
                MAIN.info("%s:%s", name, value)
            job = check(args)
            from original.run import run

            run(args, job)
        except KeyboardInterrupt:
            MAIN.error("stopped; the same command resumes the training")
            return _INTERRUPTED
        except Exception as error:
            known = error if isinstance(error, AttarError) else system_error(error)
            if known is None or os.environ.get("ATTAR_DEBUG"):
                raise
            MAIN.error("%s", known)
            return known.exit_code
    return 0


def check(args: argparse.Namespace) -> Job:
    """Read and check everything but the weights themselves.

    Raises:
        AttarError: Something is missing, damaged, or does not fit the rest.
    """
    check_model_files(args)
    task = TASKS[args.task_name]
    sources = _sources(args, task)
    aux = _aux_source(args, task)
    row_format = detect_row_format(args, [*sources, *_unread_sources(args, task, sources)], aux)
    if args.do_train:
        check_teachers(args, row_format)
    train, dev = _load(args, task, sources, aux, row_format)
    num_train = sum(len(one.examples) for one in train)
    if args.do_train and num_train < args.train_batch_size:
        raise RecipeError(
            f"{num_train} training examples do not fill one batch, and the last, smaller one is left out; "
            f"lower --train_batch_size {args.train_batch_size}"
        )
    return Job(task, sources, row_format, train, dev)


def _sources(args: argparse.Namespace, task: ClassicTask) -> list[SourceRecipe]:
    """The files of the data folder: train and dev, and test if it exists."""
    folder = args.data_dir
    sources = [source_of(folder, task, "train", "train")] if args.do_train else []
    try:
        sources += [source_of(folder, task, stem, "dev") for stem in task.dev_files.values()]
    except DataError as error:
        if not args.do_train:
            raise
        raise DataError(
            f"{error}. --do_train evaluates every checkpoint on dev and keeps the best one; split dev off "
            "train (attar prepare does)"
        ) from error
    if any((folder / f"test{ending}").is_file() for ending in (".json", ".txt")) and task.format == "rows":
        sources.append(source_of(folder, task, "test", "test"))
    return sources


def _unread_sources(
    args: argparse.Namespace, task: ClassicTask, sources: Sequence[SourceRecipe]
) -> list[SourceRecipe]:
    """Files of the folder that this command does not read, but whose shape tells its row format."""
    if task.format != "rows":
        return []
    for stem in _SPLITS:
        if all((args.data_dir / f"{stem}{ending}").is_file() for ending in (".json", ".txt")):
            MAIN.warning("%s: ignoring %s.txt, because %s.json exists", args.data_dir, stem, stem)
    exists = (args.data_dir / "train.json").is_file() or (args.data_dir / "train.txt").is_file()
    has_train = any(source.split == "train" for source in sources)
    return [source_of(args.data_dir, task, "train", "train")] if exists and not has_train else []


def _aux_source(args: argparse.Namespace, task: ClassicTask) -> SourceRecipe | None:
    if not args.do_train or not args.aux_task_name:
        return None
    aux = TASKS[args.aux_task_name]
    if _kind(aux) != _kind(task):
        raise RecipeError(
            f"--aux_task_name {aux.name}: its labels or its input are not those of {task.name}; "
            "only a task with the same ones can be added"
        )
    return source_of(args.aux_data_dir, aux, "train", "train")


def _kind(task: ClassicTask) -> tuple[tuple[str, ...], str]:
    """Its labels and its kind of input."""
    return task.task.labels, "term" if task.task.has_term else task.task.style


def _load(
    args: argparse.Namespace,
    task: ClassicTask,
    sources: Sequence[SourceRecipe],
    aux: SourceRecipe | None,
    row_format: RowFormat,
) -> tuple[list[Examples], dict[str, Examples]]:
    """The train sets of the task and the aux task, and the dev files by name."""

    def load(source: SourceRecipe, of: ClassicTask = task) -> Examples:
        return load_examples(source, of, marks=row_format.marks, verbose=args.verbose_logging)

    train = [load(source) for source in sources if source.split == "train"]
    if aux is not None:
        train.append(load(aux, TASKS[args.aux_task_name]))
    if train and args.script == "trainer":
        MAIN.info("训练数据集已加载")
    found = [load(source) for source in sources if source.split == "dev"]
    dev = dict(zip(task.dev_files, found, strict=True))
    messages = {"trainer": "预测数据集已加载", "distill": "数据集加载成功", "multiteacher": "Data loaded"}
    MAIN.info(messages[args.script])
    if is_first_process():
        write_rejected(args.output_dir / "rejected.jsonl", [*train, *found])
    shared = overlap(*([e for one in side for e in one.examples] for side in (train, found)))
    if shared:
        MAIN.warning(
            "%d reviews are in train and in dev: the figures are too high; attar prepare keeps them apart",
            shared,
        )
    return train, dev

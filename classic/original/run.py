"""A command line of the original, from its flags to its files: the main path of ``classic/``.

    flags -> data folder -> recipe -> models -> attar's training -> gs{step}.pkl, eval_results-*

Training is attar's loop, in ``output_dir/attar``, which ends as a checkpoint folder of attar's. One
that was killed goes on when the same command is given again; one that is finished and whole is kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from attar.distillation.stage import teach
from attar.distillation.teachers import teacher_device
from attar.errors import AttarError, RecipeError
from attar.files import content_hash, file_hash
from attar.models.checkpoint import Checkpoint
from attar.models.classic_checkpoint import save_classic
from attar.recipe import Recipe, SourceRecipe
from attar.run import is_first_process, run_stage
from attar.task import Example
from attar.training.fit import DevScore
from attar.training.objectives import HardLabels
from attar.training.plan import StepPlan
from attar.training.stage import fit_and_save
from original.arguments import Script, parse_arguments
from original.cache import with_kept_encodings
from original.data import Examples, load_examples, overlap, source_of, write_rejected
from original.evaluate import Evaluation
from original.log import MAIN, logged
from original.models import load_student, load_teachers, model_files
from original.tasks import TASKS, ClassicTask
from original.translate import show_recipe, to_recipe

__all__ = ["main"]

_FOLDER = "attar"


def main(script: Script, argv: Sequence[str] | None = None) -> int:
    """Run a command line of the original.

    Args:
        script: Which one.
        argv: Its flags; None takes those of this process.

    Returns:
        The exit code: 0, or 2 where something is wrong that the user can mend (said in one line).
    """
    args = parse_arguments(script, argv)
    with logged(args.output_dir):
        try:
            _run(args)
        except AttarError as error:
            if os.environ.get("ATTAR_DEBUG"):
                raise
            MAIN.error("%s", error)
            return 2
    return 0


def _run(args: argparse.Namespace) -> None:
    for name, value in vars(args).items():
        MAIN.info("%s:%s", name, value)
    ranked = int(os.environ.get("WORLD_SIZE", "1")) > 1
    MAIN.info(
        "device %s n_gpu %d distributed training %r", teacher_device(), torch.cuda.device_count(), ranked
    )
    if args.do_train and list(args.output_dir.glob("gs*.pkl")):
        MAIN.warning("Output directory (%s) already exists and is not empty.", args.output_dir)
    task = TASKS[args.task_name]
    sources = _sources(args, task)
    recipe = to_recipe(args, sources)
    if is_first_process():
        show_recipe(recipe, args)
    train, dev = _load(args, task, sources)
    checkpoint = load_student(args)
    checkpoint, encoder = with_kept_encodings(checkpoint, args.vocab_file, lower_case=args.do_lower_case)
    trained = zip((args.task_name, args.aux_task_name), train, strict=False)
    for kind, named in (("train", trained), ("dev", dev.items())):
        for name, one in named:
            encoder.keep(one.examples, one.path.parent / f"cached_{kind}_{args.max_seq_length}_{name}")
    evaluation = Evaluation(args, checkpoint, {name: one.examples for name, one in dev.items()})
    if args.do_train:
        _train(args, recipe, checkpoint, [e for one in train for e in one.examples], evaluation)
    else:
        checkpoint.model.to(teacher_device())
        evaluation.score()
        evaluation.write(0)
        result = {key: value for found in evaluation.results.values() for key, value in found.items()}
        if is_first_process():
            sys.stdout.write(f"{result}\n")


def _sources(args: argparse.Namespace, task: ClassicTask) -> list[SourceRecipe]:
    """The files of the data folder: what is trained and scored on, and test where it is there."""
    folder = args.data_dir
    sources = [source_of(folder, task, "train", "train")] if args.do_train else []
    sources += [source_of(folder, task, stem, "dev") for stem in task.dev_files.values()]
    if any((folder / f"test{ending}").is_file() for ending in (".json", ".txt")) and task.form == "rows":
        sources.append(source_of(folder, task, "test", "test"))
    return sources


def _load(
    args: argparse.Namespace, task: ClassicTask, sources: Sequence[SourceRecipe]
) -> tuple[list[Examples], dict[str, Examples]]:
    """The train sets (the task's, and the aux task's) and the files of dev by name."""
    verbose = args.verbose_logging
    train = [load_examples(s, task, verbose=verbose) for s in sources if s.split == "train"]
    if train and args.aux_task_name:
        aux = TASKS[args.aux_task_name]
        if _kind(aux) != _kind(task):
            raise RecipeError(
                f"--aux_task_name {aux.name}: its labels or its input are not those of {task.name}; "
                "only a task of the same kind can be added"
            )
        train.append(load_examples(source_of(args.aux_data_dir, aux, "train", "train"), aux, verbose=verbose))
    if train and args.script == "trainer":
        MAIN.info("训练数据集已加载")
    found = [load_examples(s, task, verbose=verbose) for s in sources if s.split == "dev"]
    dev = dict(zip(task.dev_files, found, strict=True))
    said = {"trainer": "预测数据集已加载", "distill": "数据集加载成功", "multiteacher": "Data loaded"}
    MAIN.info(said[args.script])
    if is_first_process():
        write_rejected(args.output_dir / "rejected.jsonl", [*train, *found])
    shared = overlap(*([e for one in side for e in one.examples] for side in (train, found)))
    if shared:
        MAIN.warning(
            "%d reviews of dev stand in train too: the figures are too good; attar prepare keeps them apart",
            shared,
        )
    return train, dev


def _kind(task: ClassicTask) -> tuple[tuple[str, ...], str]:
    """Its labels and what an example of it is; marks are put around a term or not by the main task."""
    return task.task.labels, "term" if task.task.has_term else task.task.style


def _train(
    args: argparse.Namespace,
    recipe: Recipe,
    checkpoint: Checkpoint,
    train: list[Example],
    evaluation: Evaluation,
) -> None:
    """Train, or go on, or keep what is there; every checkpoint is written and scored."""
    folder = args.output_dir / _FOLDER
    settings = recipe.train if args.script == "trainer" else recipe.distill
    dev = next(iter(evaluation.dev.values()))
    if len(train) < args.train_batch_size:
        raise RecipeError(
            f"{len(train)} training examples do not fill one batch, and the last, smaller one is left out; "
            f"lower --train_batch_size {args.train_batch_size}"
        )
    forward = args.train_batch_size // args.gradient_accumulation_steps
    plan = StepPlan([len(e.ids) for e in checkpoint.encoder.encode(train)], settings, recipe.seed)
    last = args.output_dir / f"gs{plan.total_steps}.pkl"
    _say_plan(args, len(train), forward, plan.total_steps)

    def write(step: int, _score: DevScore) -> None:
        MAIN.info("Saving at global step %d", step)
        save_classic(checkpoint, args.output_dir / f"gs{step}.pkl")
        evaluation.write(step)

    def work() -> None:
        if args.script == "trainer":
            objective = HardLabels(checkpoint.task, train, recipe.train)
            fit_and_save(
                checkpoint, train, objective, recipe.train, dev, folder,
                seed=recipe.seed, notes={"role": "teacher"},
                evaluate=evaluation.score, after_evaluation=write,
            )  # fmt: skip
            return
        teachers = load_teachers(args)
        teach(
            checkpoint, teachers, train, dev, recipe.distill, folder,
            seed=recipe.seed, notes={"role": "student"}, evaluate=evaluation.score, after_evaluation=write,
        )  # fmt: skip

    # Finished, but what it left is gone: once more.
    if is_first_process() and (folder / "attar.json").is_file() and not last.is_file():
        shutil.rmtree(folder)
    inputs = _inputs(args, recipe, train, evaluation)
    if not run_stage(folder, "train" if args.script == "trainer" else "distill", inputs, work, shared=True):
        MAIN.info("trained before, with the same files and flags; remove %s to train anew", folder)
    MAIN.info(
        "Training finished: gs*.pkl in %s, attar's checkpoint (best on dev) in %s", args.output_dir, folder
    )


def _say_plan(args: argparse.Namespace, num_examples: int, forward: int, steps: int) -> None:
    chinese = args.script == "trainer"
    MAIN.info("***** 开始训练 *****" if chinese else "***** Running training *****")
    MAIN.info("  样本数是 = %d" if chinese else "  Num examples = %d", num_examples)
    MAIN.info("  前向 batch size = %d" if chinese else "  Forward batch size = %d", forward)
    MAIN.info("  训练的steps = %d" if chinese else "  Num backward steps = %d", steps)


def _inputs(
    args: argparse.Namespace, recipe: Recipe, train: Sequence[Example], evaluation: Evaluation
) -> dict[str, object]:
    """Everything that a training depends on."""
    sides: dict[str, Sequence[Example]] = {"train": train, **evaluation.dev}
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"data", "name"}),
        "files": [file_hash(Path(path)) for path in model_files(args)],
        "start": [args.load_model_type, args.only_load_embedding, args.model_architecture],
        "predict": args.do_predict,
        "lower_case": args.do_lower_case,
        "data": content_hash({name: [[*e.question, e.label] for e in side] for name, side in sides.items()}),
    }

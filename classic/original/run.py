"""Trains and evaluates what a command line of the original asks for.

    examples -> recipe -> models -> attar's training -> gs{step}.pkl and .json, eval_results-*

Training is attar's loop in ``output_dir/attar``, which becomes a checkpoint folder of attar. The same
command resumes an interrupted training and leaves a finished, complete one as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from attar.classic.checkpoint import save_classic
from attar.distillation.stage import teach
from attar.distillation.teachers import teacher_device
from attar.io.files import content_hash, file_hash
from attar.models.checkpoint import Checkpoint
from attar.recipe.load import Recipe
from attar.recipe.renamed import with_old_names
from attar.stage_cache import is_first_process, run_stage
from attar.task import Example
from attar.training.fit import DevScore
from attar.training.objectives import HardLabels
from attar.training.plan import StepPlan
from attar.training.stage import fit_and_save
from original.cache import with_cached_encodings
from original.evaluate import Evaluation
from original.log import MAIN
from original.marks import write_row_format
from original.model_files import model_files
from original.models import load_student, load_teachers
from original.start import Job
from original.translate import show_recipe, to_recipe

__all__ = ["run"]

_FOLDER = "attar"


def run(args: argparse.Namespace, job: Job) -> None:
    """Train and evaluate.

    Args:
        args: The command line.
        job: From ``original.start.check``.

    Raises:
        AttarError: A model or a setting cannot be used.
    """
    ranked = int(os.environ.get("WORLD_SIZE", "1")) > 1
    MAIN.info(
        "device %s n_gpu %d distributed training %r", teacher_device(), torch.cuda.device_count(), ranked
    )
    if args.do_train and list(args.output_dir.glob("gs*.pkl")):
        MAIN.warning("Output directory (%s) already exists and is not empty.", args.output_dir)
    recipe = to_recipe(args, job.sources, marks=job.row_format.marks)
    if is_first_process():
        show_recipe(recipe, args)
    checkpoint = load_student(args, job.row_format)
    checkpoint, encoder = with_cached_encodings(
        checkpoint, args.vocab_file, lower_case=job.row_format.lower_case
    )
    trained = zip((args.task_name, args.aux_task_name), job.train, strict=False)
    for kind, named in (("train", trained), ("dev", job.dev.items())):
        for name, one in named:
            encoder.cache(one.examples, one.path.parent / f"cached_{kind}_{args.max_seq_length}_{name}")
    evaluation = Evaluation(args, checkpoint, {name: one.examples for name, one in job.dev.items()})
    if args.do_train:
        _train(args, recipe, checkpoint, job, evaluation)
    else:
        checkpoint.model.to(teacher_device())
        evaluation.score()
        evaluation.write(0)
        result = {key: value for found in evaluation.results.values() for key, value in found.items()}
        if is_first_process():
            sys.stdout.write(f"{result}\n")


def _train(
    args: argparse.Namespace, recipe: Recipe, checkpoint: Checkpoint, job: Job, evaluation: Evaluation
) -> None:
    """Train, resume, or leave a finished training; every checkpoint is written and evaluated."""
    folder = args.output_dir / _FOLDER
    settings = recipe.train if args.script == "trainer" else recipe.distill
    dev = next(iter(evaluation.dev.values()))
    train = [example for one in job.train for example in one.examples]
    forward = args.train_batch_size // args.gradient_accumulation_steps
    plan = StepPlan([len(e.ids) for e in checkpoint.encoder.encode(train)], settings, recipe.seed)
    last = args.output_dir / f"gs{plan.total_steps}.pkl"
    _log_plan(args, len(train), forward, plan.total_steps)

    def write(step: int, _score: DevScore) -> None:
        MAIN.info("Saving at global step %d", step)
        weights = args.output_dir / f"gs{step}.pkl"
        save_classic(checkpoint, weights)
        write_row_format(weights, args, job.row_format, job.task)
        evaluation.write(step)

    def work(draft: Path) -> None:
        if args.script == "trainer":
            objective = HardLabels(checkpoint.task, train, recipe.train)
            fit_and_save(
                checkpoint, train, objective, recipe.train, dev, draft,
                seed=recipe.seed, notes={"role": "teacher"},
                evaluate=evaluation.score, after_evaluation=write,
            )  # fmt: skip
            return
        teachers = load_teachers(args, job.row_format)
        teach(
            checkpoint, teachers, train, dev, recipe.distill, draft,
            seed=recipe.seed, notes={"role": "student"}, evaluate=evaluation.score, after_evaluation=write,
        )  # fmt: skip

    # Finished, but its last checkpoint is gone: train again.
    if is_first_process() and (folder / "attar.json").is_file() and not last.is_file():
        shutil.rmtree(folder)
    inputs = _inputs(args, recipe, train, evaluation) | {
        "lower_case": job.row_format.lower_case,
        "marks": job.row_format.marks,
    }
    stage = "train" if args.script == "trainer" else "distill"
    if not run_stage(folder, stage, inputs, work, earlier=with_old_names(inputs), shared=True):
        MAIN.info(
            "up to date: trained before with the same files and flags; remove %s to train again", folder
        )
    MAIN.info(
        "Training finished: gs*.pkl in %s, attar's checkpoint (best on dev) in %s", args.output_dir, folder
    )


def _log_plan(args: argparse.Namespace, num_examples: int, forward: int, steps: int) -> None:
    chinese = args.script == "trainer"
    MAIN.info("***** 开始训练 *****" if chinese else "***** Running training *****")
    MAIN.info("  样本数是 = %d" if chinese else "  Num examples = %d", num_examples)
    MAIN.info("  前向 batch size = %d" if chinese else "  Forward batch size = %d", forward)
    MAIN.info("  训练的steps = %d" if chinese else "  Num backward steps = %d", steps)


def _inputs(
    args: argparse.Namespace, recipe: Recipe, train: Sequence[Example], evaluation: Evaluation
) -> dict[str, object]:
    """All inputs of a training."""
    sides: dict[str, Sequence[Example]] = {"train": train, **evaluation.dev}
    return {
        "recipe": recipe.model_dump(mode="json", exclude={"data", "name"}),
        "files": [file_hash(Path(path)) for path in model_files(args)],
        "start": [args.load_model_type, args.only_load_embedding, args.model_architecture],
        "predict": args.do_predict,
        "data": content_hash({name: [[*e.question, e.label] for e in side] for name, side in sides.items()}),
    }

"""The models of a command line: the trained one (the student) and its teachers."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from attar.classic.checkpoint import build_classic, load_classic, start_encoder
from attar.classic.files import ClassicFiles
from attar.distillation.teachers import Teacher, checkpoint_teacher
from attar.io.files import content_hash, file_hash
from attar.models.checkpoint import Checkpoint
from original.log import MAIN
from original.marks import RowFormat
from original.model_files import weights_at
from original.tasks import TASKS

__all__ = ["load_student", "load_teachers"]


def load_student(args: argparse.Namespace, row_format: RowFormat) -> Checkpoint:
    """The model that is trained or evaluated, initialised as ``load_model_type`` says.

    Args:
        args: The command line.
        row_format: How rows are encoded.

    Raises:
        CheckpointError: A file cannot be used.
        RecipeError: The model has fewer positions than ``max_seq_length``.
    """
    task = TASKS[args.task_name].task
    weights = weights_at(args.tuned_checkpoint_S) if args.load_model_type == "all" else None
    files = ClassicFiles(
        args.bert_config_file_S, args.vocab_file, weights, args.model_architecture, row_format.lower_case,
        marks=row_format.marks,
    )  # fmt: skip
    torch.manual_seed(args.random_seed)
    if weights is not None:
        checkpoint = load_classic(files, task, args.max_seq_length)
        MAIN.info("Model loaded")
        return checkpoint
    checkpoint = build_classic(files, task, args.max_seq_length)
    if args.load_model_type == "bert":
        start = weights_at(args.init_checkpoint_S)
        start_encoder(checkpoint, start, embeddings_only=args.only_load_embedding)
        MAIN.info("Model loaded")
    else:
        MAIN.info("Model is randomly initialized.")
    return checkpoint


def load_teachers(args: argparse.Namespace, row_format: RowFormat) -> list[Teacher]:
    """The teachers; the architecture of each is told by the names of its weights.

    Args:
        args: The command line.
        row_format: How rows are encoded.

    Raises:
        CheckpointError: A file cannot be used.
        RecipeError: A teacher has fewer positions than ``max_seq_length``.
    """
    return [_teacher(args, number, row_format) for number in range(len(args.teachers))]


def _teacher(args: argparse.Namespace, number: int, row_format: RowFormat) -> Teacher:
    configs, vocabs = args.bert_config_file_T, args.vocab_file_T or [args.vocab_file]
    files = ClassicFiles(
        Path(configs[min(number, len(configs) - 1)]),
        vocabs[min(number, len(vocabs) - 1)],
        weights_at(args.teachers[number]),
        lower_case=row_format.lower_case,
        marks=row_format.marks,
    )
    assert files.weights is not None
    MAIN.info("Load state dict %s", files.weights)
    checkpoint = load_classic(files, TASKS[args.task_name].task, args.max_seq_length)
    MAIN.info("Teacher %d: %s", number + 1, checkpoint.model.config.model_type)
    parts = [file_hash(path) for path in (files.weights, files.config, files.vocab)]
    identity = content_hash(
        [*parts, checkpoint.encoder.spec.to_json(), files.lower_case, checkpoint.task.to_json()]
    )
    return checkpoint_teacher(checkpoint, str(files.weights), identity)

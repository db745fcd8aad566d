"""The models of a command line: the student (or the one that is trained) and its teachers."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from attar.distillation.teachers import Teacher, checkpoint_teacher
from attar.errors import CheckpointError
from attar.files import content_hash, file_hash
from attar.models.checkpoint import Checkpoint
from attar.models.classic_checkpoint import build_classic, load_classic, start_encoder
from attar.models.classic_files import ClassicFiles
from original.log import MAIN
from original.tasks import TASKS

__all__ = ["load_student", "load_teachers", "model_files"]


def load_student(args: argparse.Namespace) -> Checkpoint:
    """The model that is trained or evaluated, as ``load_model_type`` starts it.

    Raises:
        CheckpointError: A file cannot be used.
        RecipeError: The model is too short for ``max_seq_length``.
    """
    task = TASKS[args.task_name].task
    weights = _weights(args.tuned_checkpoint_S) if args.load_model_type == "all" else None
    files = ClassicFiles(
        args.bert_config_file_S, args.vocab_file, weights, args.model_architecture, args.do_lower_case
    )
    torch.manual_seed(args.random_seed)
    if weights is not None:
        checkpoint = load_classic(files, task, args.max_seq_length)
        MAIN.info("Model loaded")
        return checkpoint
    checkpoint = build_classic(files, task, args.max_seq_length)
    if args.load_model_type == "bert":
        start = _weights(args.init_checkpoint_S)
        start_encoder(checkpoint, start, embeddings_only=args.only_load_embedding)
        MAIN.info("Model loaded")
    else:
        MAIN.info("Model is randomly initialized.")
    return checkpoint


def load_teachers(args: argparse.Namespace) -> list[Teacher]:
    """The teachers, of any architectures: each one's is told by the names of its weights.

    Raises:
        CheckpointError: A file cannot be used.
        RecipeError: A teacher is too short for ``max_seq_length``.
    """
    return [_teacher(args, number) for number in range(len(args.teachers))]


def _teacher(args: argparse.Namespace, number: int) -> Teacher:
    configs, vocabs = args.bert_config_file_T, args.vocab_file_T or [args.vocab_file]
    files = ClassicFiles(
        Path(configs[min(number, len(configs) - 1)]),
        vocabs[min(number, len(vocabs) - 1)],
        _weights(args.teachers[number]),
        lower_case=args.do_lower_case,
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


def model_files(args: argparse.Namespace) -> list[Path]:
    """Every file that the models of a training are made of.

    Raises:
        CheckpointError: One is not there.
    """
    start = {"bert": args.init_checkpoint_S, "all": args.tuned_checkpoint_S, "none": None}[
        args.load_model_type
    ]
    weights = [_weights(path) for path in (start, *args.teachers) if path is not None]
    taught = [*map(Path, args.bert_config_file_T), *(args.vocab_file_T or ())] if args.teachers else []
    files = [args.vocab_file, args.bert_config_file_S, *taught, *weights]
    for path in files:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; check the paths of the command line")
    return files


def _weights(path: Path) -> Path:
    """The file of weights; where only its safe form is there, as hubs give it out today, that one."""
    safe = path.with_name("model.safetensors")
    if path.is_file() or path.name != "pytorch_model.bin" or not safe.is_file():
        return path
    MAIN.info("%s is not there, %s is taken", path, safe)
    return safe

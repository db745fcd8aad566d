"""Checks the model files of a command line before anything slow is imported."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from attar.classic.files import read_config, read_vocab
from attar.errors import CheckpointError, RecipeError
from original.log import MAIN

__all__ = ["check_model_files", "model_files", "weights_at"]

# A zip, as torch.save writes it today, or a pickle, as before 1.6.
_MAGIC = (b"PK\x03\x04", b"\x80")


def model_files(args: argparse.Namespace) -> list[Path]:
    """All files of the models of a command line.

    Raises:
        CheckpointError: One does not exist.
    """
    found = _files(args)
    files = [*found.vocabs, *found.configs, *found.weights]
    for path in files:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; check the paths of the command line")
    return files


def check_model_files(args: argparse.Namespace) -> None:
    """Check that the files exist and look like what they should be.

    Raises:
        CheckpointError: One is missing, or is something else.
        RecipeError: A model has fewer positions than ``--max_seq_length``.
    """
    model_files(args)
    found = _files(args)
    for path in found.weights:
        if path.suffix != ".safetensors":
            with path.open("rb") as stream:
                start = stream.read(4)
            if not start.startswith(_MAGIC):
                raise CheckpointError(f"{path}: no file of torch.save; get it again, or name another one")
    for path in found.vocabs:
        read_vocab(path)
    for path in found.configs:
        positions = read_config(path).get("max_position_embeddings", 512)
        if args.max_seq_length > positions:
            raise RecipeError(
                f"--max_seq_length {args.max_seq_length}: {path} has {positions} positions; lower it"
            )


class _Files(NamedTuple):
    vocabs: list[Path]
    configs: list[Path]
    weights: list[Path]


def _files(args: argparse.Namespace) -> _Files:
    """The student's files, and those of its teachers if it is trained."""
    start = {"bert": args.init_checkpoint_S, "all": args.tuned_checkpoint_S, "none": None}[
        args.load_model_type
    ]
    teachers = args.teachers if args.do_train else []
    of_teachers = (args.vocab_file_T or [], map(Path, args.bert_config_file_T)) if teachers else ([], [])
    weights = [weights_at(path) for path in (start, *teachers) if path is not None]
    return _Files([args.vocab_file, *of_teachers[0]], [args.bert_config_file_S, *of_teachers[1]], weights)


def weights_at(path: Path) -> Path:
    """The file of weights; if hubs gave it out as model.safetensors alone, that one."""
    safe = path.with_name("model.safetensors")
    if path.is_file() or path.name != "pytorch_model.bin" or not safe.is_file():
        return path
    MAIN.info("%s does not exist; reading %s", path, safe)
    return safe

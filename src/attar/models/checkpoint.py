"""Checkpoint: a trainable folder.

``config.json`` and ``model.safetensors`` as ``transformers`` writes them, ``tokenizer.json``, and
``attar.json`` with the task and the input's specification. Safetensors hold numbers only: loading one
runs no code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.errors import CheckpointError, RecipeError
from attar.io.files import folder_hashes, write_json
from attar.io.folders import replacing_files
from attar.io.sealed import SEAL, check_seal, read_card_file, sealed
from attar.models.forward import map_batches
from attar.models.precision import bf16_inference
from attar.task import Example, Task
from attar.text.buckets import sorted_batches
from attar.text.encoding import Encoding, InputSpec, TextEncoder, model_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "CHECKPOINT_FILES",
    "Checkpoint",
    "batch_to",
    "finite_logits",
    "first_position",
    "load_checkpoint",
    "predict_logits",
    "save_checkpoint",
]

CHECKPOINT_FILES = ("config.json", "model.safetensors", "tokenizer.json", "attar.json")
_FORMAT = "attar-checkpoint-1"
_KEYS = frozenset({"format", "task", "input", "notes", "files", SEAL})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, its input and its task.

    Attributes:
        model: A ``transformers`` sequence classifier.
        encoder: Makes its input.
        task: Its labels, in the order of the logits.
        notes: Provenance, and its score on dev.
        inputs: Makes the model's keyword arguments from encodings, a device and a length; None pads
            the ids (``attar.training.frozen`` replaces it).
    """

    model: PreTrainedModel
    encoder: TextEncoder
    task: Task
    notes: dict[str, Any] = field(default_factory=dict)
    inputs: Callable[..., dict[str, torch.Tensor]] | None = None


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint; an earlier one in the folder is replaced only once the new one is whole."""
    with replacing_files(folder, CHECKPOINT_FILES, seal="attar.json") as draft:
        checkpoint.model.save_pretrained(draft)
        checkpoint.encoder.tokenizer.save(str(draft / "tokenizer.json"))
        card = {
            "format": _FORMAT,
            "task": checkpoint.task.to_json(),
            "input": checkpoint.encoder.spec.to_json(),
            "notes": checkpoint.notes,
            "files": folder_hashes(draft, CHECKPOINT_FILES[:3]),
        }
        write_json(draft / "attar.json", sealed(card))


def load_checkpoint(folder: Path) -> Checkpoint:
    """Load a checkpoint onto the CPU, in evaluation mode.

    Raises:
        CheckpointError: A file is missing or was changed, or the folder is something else; the
            message says what is there.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    missing = [name for name in CHECKPOINT_FILES if not (folder / name).is_file()]
    if missing:
        there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else "no such folder"
        raise CheckpointError(f"{folder} is no checkpoint: {', '.join(missing)} missing; there: {there}")
    spec, task, notes = _read_card(folder)
    try:
        config = AutoConfig.from_pretrained(folder, num_labels=len(task.labels), trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, dtype=torch.float32, trust_remote_code=False
        )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        encoder = TextEncoder(tokenizer, spec)
    except Exception as error:  # its files are as they were written, so whatever is wrong was wrong then
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{folder}: its model or tokenizer cannot be loaded ({first_line[:200]}); {_AGAIN}"
        ) from error
    return Checkpoint(model.eval(), encoder, task, notes)


_AGAIN = "copy the folder again, or run its stage again"


def _read_card(folder: Path) -> tuple[InputSpec, Task, dict[str, Any]]:
    try:
        card = read_card_file(folder / "attar.json")
        if card.get("format") != _FORMAT:
            raise CheckpointError(
                f"{folder}: attar.json says format {str(card.get('format'))[:60]!r}, expected {_FORMAT!r}"
            )
        if unknown := sorted(card.keys() - _KEYS):
            raise ValueError(f"unknown key {unknown[0][:60]!r}")
        check_seal(card)
        damaged = [n for n, h in folder_hashes(folder, CHECKPOINT_FILES[:3]).items() if card["files"][n] != h]
        if damaged:
            raise CheckpointError(
                f"{folder}: {', '.join(damaged)} changed or damaged since it was written; {_AGAIN}"
            )
        return InputSpec.from_json(card["input"]), Task.from_json(card["task"]), dict(card["notes"])
    except KeyError as error:
        raise CheckpointError(f"{folder}/attar.json cannot be read: {error} is missing; {_AGAIN}") from error
    except (OSError, ValueError, TypeError, RecipeError) as error:
        raise CheckpointError(f"{folder}/attar.json cannot be read: {error}; {_AGAIN}") from error


def batch_to(
    checkpoint: Checkpoint,
    encodings: Sequence[Encoding],
    device: torch.device | str = "cpu",
    length: int | None = None,
) -> dict[str, torch.Tensor]:
    """Pad encodings into the keyword arguments of a model's forward, on a device."""
    if checkpoint.inputs is not None:
        return checkpoint.inputs(encodings, device, length)
    encoder = checkpoint.encoder
    inputs = model_inputs(encodings, encoder.pad, encoder.spec, length)
    if "position_ids" in inputs:
        inputs["position_ids"] += first_position(checkpoint.model)
    return {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}


def first_position(model: PreTrainedModel) -> int:
    """Row of the first token in a model's position table: 0, but padding_idx + 1 in a RoBERTa."""
    roberta = model.config.model_type in ("roberta", "xlm-roberta", "camembert")
    return int(model.config.pad_token_id) + 1 if roberta else 0


def predict_logits(
    checkpoint: Checkpoint, examples: Sequence[Example], batch_size: int = 32, *, bf16: bool = False
) -> NDArray[np.float32]:
    """Logits [N, C] of a checkpoint's model, in the examples' order, dropout off.

    In fp32, or with ``bf16`` in that where it is native, which is enough to choose a checkpoint or to
    distil from.

    Raises:
        CheckpointError: Some are not finite.
    """
    model = checkpoint.model
    device = next(model.parameters()).device
    encodings = checkpoint.encoder.encode(examples)
    out = np.zeros((len(examples), len(checkpoint.task.labels)), np.float32)
    was_training = model.training
    model.eval()

    def logits(rows: list[int]) -> NDArray[np.float32]:
        inputs = batch_to(checkpoint, [encodings[i] for i in rows], device)
        with bf16_inference(device) if bf16 else contextlib.nullcontext():
            found: NDArray[np.float32] = model(**inputs).logits.float().cpu().numpy()
        return found

    batches = sorted_batches([len(e.ids) for e in encodings], batch_size)
    for rows, found in zip(batches, map_batches(logits, batches, device), strict=True):
        out[rows] = found
    model.train(was_training)
    role = checkpoint.notes.get("role", "model")
    return finite_logits(out, f"the {role} of task {checkpoint.task.name!r}")


def finite_logits(logits: NDArray[np.float32], whose: str) -> NDArray[np.float32]:
    """The same logits, if all are finite; nobody can learn from the others, or be judged by them.

    Raises:
        CheckpointError: Some are not; ``whose`` says whose they are.
    """
    if not np.isfinite(logits).all():
        num_bad = int((~np.isfinite(logits)).any(-1).sum())
        raise CheckpointError(
            f"{whose} gives logits that are not finite for {num_bad} of {len(logits)} examples: its weights "
            "are damaged, or its training went astray; train it again, with a lower learning_rate or "
            "precision = 'fp32'"
        )
    return logits

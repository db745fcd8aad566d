"""Weights in the original's format: read without running code, written as it writes them.

A ``gs*.pkl`` is a state_dict that ``torch.save`` wrote: pickled, so it is only ever read with
``weights_only=True``, which runs no code, in the zip format of today and in the one before it. Its names
are those of ``transformers`` (``bert.*``, ``electra.*``, ``albert.*``, ``classifier.*``), except for
LayerNorm's gamma and beta, which date from TensorFlow, and for buffers that no longer exist.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch
from safetensors.torch import load_file

from attar.classic.files import Architecture
from attar.classic.pickles import check_bounds
from attar.errors import CheckpointError
from attar.io.files import atomic_write
from attar.models.weight_names import without_wrappers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["architecture_of", "fill_model", "read_weights", "reorder_logits", "write_weights"]

_BUFFERS = (".position_ids", ".token_type_ids")
_MAX_NAMED = 5  # weights in a message


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state_dict, in the zip format or the older one, or a ``.safetensors`` file; runs no code.

    Returns:
        The weights by their names in today's ``transformers``, on the CPU.

    Raises:
        CheckpointError: It does not exist, is damaged, holds anything but weights, or is larger than
            ``attar.classic.pickles`` allows.
    """
    writer = "safetensors" if path.suffix == ".safetensors" else "torch.save"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch guesses at odd files; the errors below say more
            if writer == "safetensors":
                loaded = load_file(path)
            else:
                check_bounds(path)
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read the weights ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"the Python object {found[1]}" if found else "something other than weights"
        raise CheckpointError(
            f"{path}: holds {what}, or is damaged; nothing in it was run. Expected a state_dict alone, as "
            "torch.save(model.state_dict(), path) writes it"
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise CheckpointError(
            f"{path}: damaged or no file of {writer} ({type(error).__name__}); get it again"
        ) from error
    named = isinstance(loaded, Mapping) and loaded
    if not named or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        there = f", with {', '.join(map(str, list(loaded)[:_MAX_NAMED]))}" if named else ""
        raise CheckpointError(
            f"{path}: holds a {type(loaded).__name__}{there}; expected a state_dict: tensors by name"
        )
    return {_modern(name): value for name, value in loaded.items() if not name.endswith(_BUFFERS)}


def write_weights(weights: Mapping[str, torch.Tensor], path: Path, *, zipped: bool = True) -> None:
    """Write a state_dict atomically, unless ``zipped`` in the format of PyTorch before 1.6.

    The same weights give the same bytes: a stream has no name that goes into the zip.
    """
    with atomic_write(path) as draft, draft.open("wb") as stream:
        torch.save(dict(weights), stream, _use_new_zipfile_serialization=zipped)


def _modern(name: str) -> str:
    name = without_wrappers(name)
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def architecture_of(weights: Iterable[str], path: Path) -> Architecture:
    """The architecture, by the names of the weights; ``path`` is for the message.

    Raises:
        CheckpointError: It is none of the original's.
    """
    first_parts = {name.split(".")[0] for name in weights}
    found: Architecture | None = next((name for name in get_args(Architecture) if name in first_parts), None)
    if found is not None:
        return found
    raise CheckpointError(
        f"{path}: its weights are named {', '.join(sorted(first_parts)[:_MAX_NAMED])}; "
        "expected bert.*, electra.* or albert.*"
    )


def fill_model(
    model: PreTrainedModel, weights: Mapping[str, torch.Tensor], source: Path, wanted: str
) -> None:
    """Load all weights of a model, in place; ``source`` and ``wanted`` are for the message.

    Raises:
        CheckpointError: Some are missing, unexpected or of another shape; the message names them.
    """
    expected = model.state_dict()
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [
            f"{name} {list(value.shape)} for {list(expected[name].shape)}"
            for name, value in weights.items()
            if name in expected and value.shape != expected[name].shape
        ],
    }
    parts = [f"{len(names)} {kind} ({_first(names)})" for kind, names in problems.items() if names]
    if parts:
        raise CheckpointError(
            f"{source}: these are not the weights of {wanted}: {'; '.join(parts)}. "
            "Give the config.json, the architecture and the task that they were trained with"
        )
    model.load_state_dict(weights)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMED]) + (", ..." if len(names) > _MAX_NAMED else "")


def reorder_logits(weights: Mapping[str, torch.Tensor], old: Sequence[str], new: Sequence[str]) -> None:
    """Reorder the rows of the last layer from the labels ``old`` to the labels ``new``, in place."""
    rows = [old.index(label) for label in new]
    last = "classifier.out_proj" if "classifier.out_proj.weight" in weights else "classifier"
    for name in (f"{last}.weight", f"{last}.bias"):
        weights[name].copy_(weights[name][rows])

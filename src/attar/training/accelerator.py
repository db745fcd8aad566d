"""Device, precision and processes of a training, through accelerate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from attar.cores import num_workers
from attar.errors import RecipeError
from attar.models.precision import computes_in_bf16

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["make_accelerator", "seed_per_rank"]


def make_accelerator(precision: Literal["auto", "fp32", "bf16", "fp16"]) -> Accelerator:
    """The accelerator of one training: a GPU if there is one, else the CPU.

    On the CPU torch computes on no more threads than ``attar.cores.num_workers()``. "auto" takes bf16
    where the processor computes in it.

    Raises:
        RecipeError: fp16 without a GPU, or ATTAR_WORKERS is no number of threads.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    gpu = torch.cuda.is_available()
    match precision:
        case "auto":
            mixed = "bf16" if computes_in_bf16() else "no"
        case "fp32":
            mixed = "no"
        case "fp16" if not gpu:
            raise RecipeError("precision = 'fp16' needs a GPU; 'auto' and 'bf16' work on a CPU")
        case other:
            mixed = other
    # torch counts the host's cores, whatever the container's quota is.
    torch.set_num_threads(min(torch.get_num_threads(), num_workers()))
    # accelerate keeps a process's first precision; the next stage may ask for another.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=mixed, cpu=not gpu)


def seed_per_rank(rank: int, seed: int, step: int) -> None:
    """Give each process but the first a random stream of its own for one step.

    The first keeps the stream of a single process, which is part of the saved state; the others' depend
    on nothing but their rank, the seed and the steps done, so that a resumed training draws the same.
    """
    if rank:
        torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))

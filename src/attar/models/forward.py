"""Forward passes of many batches, without gradients.

On a CPU each core computes a batch of its own. Where all cores share one batch they wait for each other at
every operation, and for the slowest of them where the machine has other work as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from attar.threads import map_in_threads

__all__ = ["map_batches"]

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")


def map_batches(
    forward: Callable[[_Batch], _Result], batches: Sequence[_Batch], device: torch.device
) -> Iterator[_Result]:
    """What a forward pass gives for each batch, in the batches' order.

    Args:
        forward: Called without gradients; on a CPU by several threads at once.
        batches: What it is called with.
        device: Where the model is.
    """

    def without_gradients(batch: _Batch) -> _Result:
        with torch.inference_mode():  # is a thread's own
            return forward(batch)

    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or len(batches) == 1:
        yield from map(without_gradients, batches)
        return
    torch.set_num_threads(1)  # of the threads that begin from now on, too
    try:
        yield from map_in_threads(without_gradients, batches, threads)
    finally:
        torch.set_num_threads(threads)

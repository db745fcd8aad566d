"""A checkpoint run as the original system runs one: torch fp32, all padded, batches of 8.

The only module of this package that needs torch; imported where a checkpoint is named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from attar.bench.timing import Side
from attar.models.checkpoint import Checkpoint, batch_to
from attar.task import Example

__all__ = ["original_side", "run_as_original"]


@torch.inference_mode()
def run_as_original(
    checkpoint: Checkpoint, examples: Sequence[Example], batch_size: int = 8
) -> NDArray[np.float32]:
    """Logits [N, C], every input padded to the most tokens that the checkpoint reads."""
    out = []
    for i in range(0, len(examples), batch_size):
        encodings = checkpoint.encoder.encode(examples[i : i + batch_size])
        inputs = batch_to(checkpoint, encodings, length=checkpoint.encoder.spec.max_tokens)
        out.append(checkpoint.model(**inputs).logits.numpy())
    return np.concatenate(out)


def original_side(checkpoint: Checkpoint, threads: int) -> Side:
    """``run_as_original`` on so many threads; torch's own setting is put back after every call."""

    def run(examples: Sequence[Example]) -> NDArray[np.float32]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return run_as_original(checkpoint, examples)
        finally:
            torch.set_num_threads(before)

    return run

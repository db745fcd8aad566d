"""A teacher's hidden states, queries, keys and values on disk, so that it need not run in each step.

Exactly the layers that matches want, of real tokens only, in half precision, in files of 256
examples that are mapped into memory. The size is logged before the work, and bounded. Attentions are
never cached: they grow with the square of the length.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from attar.distillation.cache import read_array, write_array
from attar.distillation.matches import Feature
from attar.distillation.teacher_outputs import OnlineTeacher, TeacherOutput
from attar.distillation.teachers import Teacher, teacher_device
from attar.errors import RecipeError
from attar.io.files import content_hash
from attar.progress import progress_bar
from attar.task import Example
from attar.text.buckets import sorted_batches

__all__ = ["CachedFeatures", "cached_features"]

_LOG = logging.getLogger(__name__)
_CHUNK = 256
_BATCH = 32
_GB = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class CachedFeatures:
    """Features from the cache.

    Attributes:
        chunks: [tokens, layers, D] of each run of examples.
        offsets: [N] the first token of each example in its chunk.
        lengths: [N] its tokens.
        layers: Feature -> numbers of the layers, in the order of the chunks.
        logits: Row of an example -> the teacher's logits [C], computed along with its features;
            nothing of the examples whose features were on disk.
    """

    chunks: Sequence[NDArray[np.float16]]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    layers: Mapping[Feature, Sequence[int]]
    logits: Mapping[int, NDArray[np.float32]]

    def __call__(self, rows: torch.Tensor) -> TeacherOutput:
        """Features [B, T, D] of [B] rows, 0 at padding, in single precision; no logits."""
        index = rows.cpu().numpy()
        shape = (len(index), int(self.lengths[index].max()), *self.chunks[0].shape[1:])
        states = np.zeros(shape, np.float16)
        for i, row in enumerate(index):
            start, count = self.offsets[row], self.lengths[row]
            states[i, :count] = self.chunks[row // _CHUNK][start : start + count]
        cached = iter(torch.from_numpy(states).to(rows.device).float().unbind(2))
        found = {feature: {n: next(cached) for n in numbers} for feature, numbers in self.layers.items()}
        return TeacherOutput(None, found)


def cached_features(
    teacher: Teacher, online: OnlineTeacher, examples: Sequence[Example], folder: Path, limit_gb: float
) -> CachedFeatures:
    """The features that ``online`` captures of the examples, from the cache where they are already there.

    Args:
        teacher: Its fingerprint is part of the key.
        online: The same teacher; no attentions among its layers.
        examples: The N training examples.
        folder: The cache.
        limit_gb: The most that it may take, in 10^9 bytes.

    Raises:
        RecipeError: It would take more than that or than the disk has, or the states do not fit
            half precision.
    """
    assert "attention" not in online.layers, "attentions are never cached"
    config = online.checkpoint.model.config
    lengths = np.array([len(encoding.ids) for encoding in online.encodings], np.int64)
    num_layers = sum(len(numbers) for numbers in online.layers.values())
    _check_size(int(lengths.sum()), int(config.hidden_size), num_layers, folder, limit_gb)
    chunks, offsets = [], np.zeros(len(examples), np.int64)
    logits: dict[int, NDArray[np.float32]] = {}
    with progress_bar("teacher features", len(examples), unit="examples") as advance:
        for start in range(0, len(examples), _CHUNK):
            rows = slice(start, start + _CHUNK)
            offsets[rows] = np.cumsum(lengths[rows]) - lengths[rows]
            shape = (int(lengths[rows].sum()), num_layers, int(config.hidden_size))
            questions = [example.question for example in examples[rows]]
            key = content_hash(
                [teacher.fingerprint, {k: list(v) for k, v in online.layers.items()}, questions]
            )
            path = folder / f"features-{key[:32]}.npy"
            chunk = read_array(path, key, shape, np.float16)
            if chunk is None:
                computed, chunk_logits = _computed(online, start, lengths[rows], shape)
                write_array(path, key, computed)
                logits |= dict(enumerate(chunk_logits, start))
                chunk = read_array(path, key, shape, np.float16)
                assert chunk is not None, f"{path} changed while it was read"
            chunks.append(chunk)
            advance(len(questions))
    return CachedFeatures(chunks, offsets, lengths, online.layers, logits)


def _check_size(tokens: int, width: int, num_layers: int, folder: Path, limit_gb: float) -> None:
    size_gb = tokens * width * num_layers * 2 / _GB
    size = f"{tokens:,} tokens x {width} x {num_layers} layers x 2 bytes = {size_gb:.3g} GB"
    folder.mkdir(parents=True, exist_ok=True)
    cached_gb = sum(path.stat().st_size for path in folder.glob("features-*.npy")) / _GB
    free_gb = shutil.disk_usage(folder).free / _GB
    for most, why in ((limit_gb, "distill.cache_limit_gb"), (free_gb + cached_gb, "what the disk has free")):
        if size_gb > most:
            raise RecipeError(
                f"distill.cache = 'features' would take {size}, more than {why} ({most:.3g}); "
                "set cache = 'logits': the teacher then runs in each step of the student"
            )
    _LOG.info("the teacher's features: %s in %s", size, folder)


def _computed(
    online: OnlineTeacher, start: int, lengths: NDArray[np.int64], shape: tuple[int, int, int]
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """[tokens, layers, D] of the examples from ``start`` on, and their logits [N, C]."""
    out, ends = np.zeros(shape, np.float16), np.cumsum(lengths)
    logits = np.zeros((len(lengths), len(online.checkpoint.task.labels)), np.float32)
    for batch in sorted_batches(lengths.tolist(), _BATCH):
        rows = torch.tensor([start + i for i in batch], device=teacher_device())
        output = online(rows)
        assert output.features is not None
        assert output.logits is not None
        logits[batch] = output.logits.cpu().numpy()
        layers = [output.features[feature][n] for feature, numbers in online.layers.items() for n in numbers]
        half = torch.stack(layers, 2).half().cpu().numpy()
        for i, example in zip(batch, half, strict=True):
            out[ends[i] - lengths[i] : ends[i]] = example[: lengths[i]]
    if not np.isfinite(out).all():
        raise RecipeError(
            "distill.cache = 'features': the teacher's states do not fit half precision; set cache = 'logits'"
        )
    return out, logits

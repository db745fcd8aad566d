"""Pieces of text as token ids on disk: written once, mapped into memory, never all in it.

The texts are read in chunks, encoded, cut into pieces and written in shards of some million tokens,
each a NumPy array of ids beside one of lengths. Held-out pieces are drawn by text, so that no
text is on both sides, and stand last. ``pieces.json`` is written when all shards are whole, with their
hashes; without it, or where a file is not what it says, the folder is written again.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from attar.errors import DataError
from attar.io.files import atomic_write, folder_hashes, write_json
from attar.io.sealed import SEAL, check_seal, read_card_file, sealed
from attar.pretraining.texts import text_key
from attar.progress import progress_bar
from attar.stage_cache import is_first_process
from attar.text.encoding import Encoding, TextEncoder

__all__ = ["Pieces", "prepare_pieces"]

_LOG = logging.getLogger(__name__)
_CHUNK = 512
_SHARD_TOKENS = 1 << 24
_MANIFEST = "pieces.json"
_POLL_SECONDS = 0.5


class Pieces(Sequence[Encoding]):
    """Encodings, read from shards on access.

    Args:
        shards: Token ids of each shard, one piece after the other.
        lengths: [N] tokens of each piece.
        num_train: How many of the N are trained on; the others are held out.
        new_ids: [V] what each id becomes for a model of another vocabulary; None leaves them.
    """

    def __init__(
        self,
        shards: Sequence[NDArray[np.integer]],
        lengths: NDArray[np.int32],
        num_train: int,
        new_ids: NDArray[np.int32] | None = None,
    ) -> None:
        self._shards, self.lengths, self.num_train, self._new_ids = shards, lengths, num_train, new_ids
        self._ends = np.cumsum(lengths, dtype=np.int64)
        self._shard_ends = np.cumsum([len(shard) for shard in shards], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Encoding]: ...
    def __getitem__(self, index: int | slice) -> Encoding | list[Encoding]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        end, length = int(self._ends[index]), int(self.lengths[index])
        shard = int(np.searchsorted(self._shard_ends, end))
        end -= int(self._shard_ends[shard]) - len(self._shards[shard])
        ids = np.array(self._shards[shard][end - length : end], np.int32)
        return Encoding(ids if self._new_ids is None else self._new_ids[ids], length)

    @property
    def train(self) -> Pieces:
        """Those that are trained on; the same number means the same piece."""
        return Pieces(self._shards, self.lengths[: self.num_train], self.num_train, self._new_ids)

    def in_vocabulary(self, new_ids: NDArray[np.int32]) -> Pieces:
        """The same pieces in the ids of another vocabulary."""
        return Pieces(self._shards, self.lengths, self.num_train, new_ids)

    def used_ids(self) -> NDArray[np.int64]:
        """Every id that occurs, ascending."""
        return np.unique(np.concatenate([np.unique(shard) for shard in self._shards])).astype(np.int64)


class _Manifest(NamedTuple):
    num_texts: int
    num_shards: int
    num_train: int
    num_held_out: int
    num_tokens: int
    files: Mapping[str, str] = MappingProxyType({})  # SHA-256 by name; an older attar noted none


def prepare_pieces(texts: Iterator[str], encoder: TextEncoder, held_out: float, folder: Path) -> Pieces:
    """The pieces of some texts, from the folder if they are already there.

    Under torchrun the first process writes and the others wait.

    Args:
        texts: Distinct texts; not read where the pieces are there.
        encoder: For single texts.
        held_out: Share of the texts whose pieces are held out.
        folder: Gets the shards.

    Raises:
        DataError: Fewer than two pieces, or none on one of the two sides.
    """
    if is_first_process() and _whole(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
        _write(texts, encoder, held_out, folder)
    while (found := _read_manifest(folder)) is None:
        time.sleep(_POLL_SECONDS)
    shards = [np.load(folder / f"ids-{i:05d}.npy", mmap_mode="r") for i in range(found.num_shards)]
    lengths = [np.load(folder / f"lengths-{i:05d}.npy") for i in range(found.num_shards)]
    _LOG.info(
        "pretrain: %s texts in %s pieces (%s held out), %s tokens, %.3g MB in %s",
        f"{found.num_texts:,}", f"{found.num_train + found.num_held_out:,}", f"{found.num_held_out:,}",
        f"{found.num_tokens:,}", sum(shard.nbytes for shard in shards) / 1e6, folder,
    )  # fmt: skip
    return Pieces(shards, np.concatenate(lengths), found.num_train)


def _read_manifest(folder: Path) -> _Manifest | None:
    """What the folder holds; None where that is not known."""
    try:
        card = read_card_file(folder / _MANIFEST)
        check_seal(card)
        return _Manifest(**{key: value for key, value in card.items() if key != SEAL})
    except (OSError, TypeError, ValueError):
        return None


def _whole(folder: Path) -> _Manifest | None:
    """What the folder holds; None where it is to be written again."""
    found = _read_manifest(folder)
    if found is not None and folder_hashes(folder, tuple(found.files)) == found.files:
        return found
    if (folder / _MANIFEST).exists():
        _LOG.warning("%s is damaged; its pieces are made again", folder)
    return None


def _write(texts: Iterator[str], encoder: TextEncoder, held_out: float, folder: Path) -> None:
    folder.mkdir(parents=True)
    width = np.min_scalar_type(encoder.tokenizer.get_vocab_size()).type
    shards = _Shards(folder, width)
    num_texts, held = 0, list[NDArray[np.int32]]()
    seen: set[int] = set()
    limit = int(held_out * 2**64)
    with progress_bar("texts", None) as advance:
        while chunk := list(itertools.islice(texts, _CHUNK)):
            for text, pieces in zip(chunk, encoder.pieces(chunk), strict=True):
                is_held_out = int.from_bytes(text_key(text), "big") < limit
                for piece in pieces:
                    key = hash(piece.ids.tobytes())
                    if key in seen:
                        continue
                    seen.add(key)
                    if is_held_out:
                        held.append(piece.ids)
                    else:
                        shards.add(piece.ids)
            num_texts += len(chunk)
            advance(len(chunk))
    num_train = shards.num_pieces
    for ids in held:
        shards.add(ids)
    shards.flush()
    if not num_train or not held:
        raise DataError(
            f"pretrain.texts: {num_texts} distinct texts give {num_train} pieces to train on and "
            f"{len(held)} held out; expected some of both: name more texts or raise pretrain.held_out"
        )
    names = tuple(sorted(path.name for path in folder.glob("*.npy")))
    counts = (num_texts, shards.num_shards, num_train, len(held), shards.num_tokens)
    manifest = _Manifest(*counts, folder_hashes(folder, names))
    write_json(folder / _MANIFEST, sealed(manifest._asdict()))


class _Shards:
    """Writes pieces into shards as they come."""

    def __init__(self, folder: Path, kind: type[np.integer]) -> None:
        self.folder, self.kind = folder, kind
        self.num_shards = self.num_pieces = self.num_tokens = 0
        self._open: list[NDArray[np.int32]] = []
        self._open_tokens = 0

    def add(self, ids: NDArray[np.int32]) -> None:
        """One more piece."""
        self._open.append(ids)
        self._open_tokens += len(ids)
        self.num_pieces += 1
        if self._open_tokens >= _SHARD_TOKENS:
            self.flush()

    def flush(self) -> None:
        """Write what is not yet on disk."""
        if not self._open:
            return
        ids = np.concatenate(self._open).astype(self.kind)
        lengths = np.array([len(piece) for piece in self._open], np.int32)
        for name, array in (("ids", ids), ("lengths", lengths)):
            with atomic_write(self.folder / f"{name}-{self.num_shards:05d}.npy") as draft:
                np.save(draft, array)
        self.num_shards, self.num_tokens = self.num_shards + 1, self.num_tokens + len(ids)
        self._open, self._open_tokens = [], 0

"""Cells of scored rows as numbers: each distinct value is looked at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.io.tables.rows import as_text
from attar.workbook.cells import cell_text

__all__ = ["Once", "identity", "mapped", "numbers", "text_hash"]


def text_hash(text: str) -> int:
    """64 bits of a text as an Excel cell keeps it, so that a text that went through one is the same."""
    data = cell_text(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") or 1


class Once(dict[Any, int]):
    """The number of each value, which is made of it the first time."""

    def __init__(self, make: Callable[[Any], int]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, value: Any) -> int:  # noqa: ANN401 - a cell
        made = self[value] = self.make(value)
        return made


def mapped(known: Once, cells: Sequence[Any], kind: type[np.generic]) -> NDArray[Any]:
    """[n] the numbers of cells."""
    try:
        return np.fromiter(map(known.__getitem__, cells), kind, len(cells))
    except TypeError:  # a list is no key
        return np.fromiter(map(known.make, cells), kind, len(cells))


def identity(value: object) -> int:
    """What tells a text, or a review's id, from others; 0 where there is none."""
    text = as_text(value)
    return text_hash(text) if text else 0


def numbers(cells: Sequence[Any]) -> NDArray[np.float32]:
    """[n] cells as numbers; NaN where one is none."""
    try:
        return np.array(cells, np.float32)
    except (TypeError, ValueError):
        return np.fromiter(map(_number, cells), np.float32, len(cells))


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")

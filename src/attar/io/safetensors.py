"""Arrays in one file, in the safetensors format: a JSON header and raw little-endian bytes, no code.

The package ``safetensors`` is not installed where an artifact scores, and would take what attar does not
write. https://huggingface.co/docs/safetensors has the format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attar.io.json_text import parse_json

__all__ = ["arrays_from_bytes", "arrays_to_bytes"]

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_MAX_HEADER = 1 << 20
_MAX_ARRAYS = 1_000
_MAX_DIMS = 8
_ALIGNMENT = 8


def arrays_to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of some arrays of float32, float64 or int64, the largest elements first."""
    names = {dtype: name for name, dtype in _DTYPES.items()}
    header: dict[str, Any] = {}
    parts, at = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        dtype = names[array.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def arrays_from_bytes(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file; they are views of ``content`` and cannot be written to.

    Raises:
        ValueError: It is cut short, or no file that ``arrays_to_bytes`` writes; the message says what is
            wrong.
    """
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(_MAX_HEADER, len(content) - 8):
        raise ValueError("cut short, or no safetensors file")
    try:
        header = parse_json(content[8 : 8 + size].decode(), strict=True)
    except UnicodeDecodeError as error:
        raise ValueError("its header is no UTF-8") from error
    if not isinstance(header, dict) or len(header) > _MAX_ARRAYS:
        raise ValueError(f"its header is no object of at most {_MAX_ARRAYS:,} arrays")
    data, at, found = memoryview(content)[8 + size :], 0, {}
    for name, entry in header.items():
        dtype, shape, end = _checked(name, entry, at)
        if end > len(data):
            raise ValueError(f"the array {name[:40]!r} ends behind the end of the file")
        found[name] = np.frombuffer(data[at:end], dtype).reshape(shape)
        at = end
    if at != len(data):
        raise ValueError(f"{len(data) - at:,} bytes belong to no array")
    return found


def _checked(name: str, entry: object, begin: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type, shape and end of an array that begins where the one before it ended."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {name[:40]!r} is no array's")
    dtype, shape, offsets = (entry[key] for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ValueError(f"the array {name[:40]!r} is of type {str(dtype)[:20]!r}")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMS or not all(_is_size(one) for one in shape):
        raise ValueError(f"the array {name[:40]!r} has no shape")
    end = begin + math.prod(shape) * _DTYPES[dtype].itemsize
    if offsets != [begin, end]:
        raise ValueError(f"the array {name[:40]!r} does not lie behind the one before it")
    return _DTYPES[dtype], tuple(shape), end


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40

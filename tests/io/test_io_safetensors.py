"""Arrays in the safetensors format: what the package reads, and nothing else."""

import json

import numpy as np
import pytest
from safetensors.numpy import load as load_theirs
from safetensors.numpy import save as save_theirs

from attar.io.safetensors import arrays_from_bytes, arrays_to_bytes

ARRAYS = {
    "idf": np.linspace(0, 1, 5, dtype=np.float32),
    "weights": np.arange(10, dtype=np.float32).reshape(2, 5),
    "bias": np.array([0.5, -0.5]),
    "labels": np.array([0, 2]),
}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_the_package_reads_what_is_written_and_the_other_way_round():
    content = arrays_to_bytes(ARRAYS)
    same(load_theirs(content), ARRAYS)
    same(arrays_from_bytes(content), ARRAYS)
    same(arrays_from_bytes(save_theirs(ARRAYS)), ARRAYS)
    assert not arrays_from_bytes(content)["idf"].flags.writeable


def test_an_array_of_nothing_is_one():
    empty = {"a": np.zeros((0, 3), np.float32)}
    same(arrays_from_bytes(arrays_to_bytes(empty)), empty)


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cut short"),
        (b"\xff" * 8 + b"{}", "cut short"),
        (file_of(b"[]"), "no object"),
        (file_of(b"\xff"), "UTF-8"),
        (file_of(b'{"a":1,"a":2}'), "twice"),
        (file_of({"a": entry()}), "ends behind the end"),
        (file_of({"a": entry()}, bytes(9)), "belong to no array"),
        (file_of({"a": entry("BF16")}, bytes(8)), "type 'BF16'"),
        (file_of({"a": entry(["F32"])}, bytes(8)), "type"),
        (file_of({"a": entry(shape=(-2, -1))}, bytes(8)), "no shape"),
        (file_of({"a": entry(shape=(True,))}, bytes(4)), "no shape"),
        (file_of({"a": entry(shape=(1 << 41,))}, bytes(8)), "no shape"),
        (file_of({"a": entry(shape=(1,) * 9, offsets=(0, 4))}, bytes(4)), "no shape"),
        (file_of({"a": entry(shape=(1 << 39, 1 << 39))}, bytes(8)), "does not lie behind"),
        (file_of({"a": entry(), "b": entry()}, bytes(8)), "does not lie behind"),
        (file_of({"a": entry(offsets=(4, 12))}, bytes(12)), "does not lie behind"),
        (file_of({"a": {"dtype": "F32"}}), "no array's"),
        (file_of({"a": 3}), "no array's"),
        (file_of({"__metadata__": {"x": "y"}}), "no array's"),
    ],
)
def test_what_is_not_ours_is_a_value_error(content, said):
    with pytest.raises(ValueError, match=said):
        arrays_from_bytes(content)


def test_every_cut_is_seen():
    content = arrays_to_bytes(ARRAYS)
    for size in range(len(content)):
        with pytest.raises(ValueError, match=r"."):
            arrays_from_bytes(content[:size])

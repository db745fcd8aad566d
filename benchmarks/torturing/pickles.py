"""Hostile pickles in the place of a classic checkpoint: none runs anything, each is refused in words."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

__all__ = ["CALLS", "hostile_pickles"]

# What a pickle may call (module, name), with arguments that would leave a trace: the file MARK.
CALLS: Mapping[str, tuple[str, str, tuple[Any, ...]]] = {
    "os.system": ("os", "system", ("touch MARK",)),
    "posix.system": ("posix", "system", ("touch MARK",)),
    "os.popen": ("os", "popen", ("touch MARK",)),
    "os.mkdir": ("os", "mkdir", ("MARK",)),
    "subprocess.run": ("subprocess", "run", (["touch", "MARK"],)),
    "subprocess.Popen": ("subprocess", "Popen", (["touch", "MARK"],)),
    "builtins.eval": ("builtins", "eval", ("open('MARK', 'w')",)),
    "builtins.exec": ("builtins", "exec", ("open('MARK', 'w')",)),
    "builtins.open": ("builtins", "open", ("MARK", "w")),
    "io.open": ("io", "open", ("MARK", "w")),
    "pathlib.Path.touch": ("pathlib", "Path.touch", ("MARK",)),
    "shutil.copy": ("shutil", "copy", ("/etc/hostname", "MARK")),
    "importlib.import_module": ("importlib", "import_module", ("antigravity",)),
    "runpy.run_path": ("runpy", "run_path", ("MARK.py",)),
    "webbrowser.open": ("webbrowser", "open", ("file:///MARK",)),
    "socket.create_connection": ("socket", "create_connection", (("127.0.0.1", 9),)),
    "torch.load": ("torch", "load", ("MARK",)),
    "torch.hub.load": ("torch.hub", "load", ("MARK", "x")),
    "torch.utils.cpp_extension.load": ("torch.utils.cpp_extension", "load", ("x", ["MARK"])),
    "numpy.load": ("numpy", "load", ("MARK",)),
    "numpy.save": ("numpy", "save", ("MARK", 1)),
    "pickle.loads": ("pickle", "loads", (b"cos\nsystem\n(S'touch MARK'\ntR.",)),
    "functools.partial": ("functools", "partial", (print,)),
    "types.CodeType": ("types", "CodeType", ()),
    "sys.exit": ("sys", "exit", (0,)),
}


def _program(module: str, name: str, arguments: tuple[Any, ...], protocol: int) -> bytes:
    """A program that calls something, and gives a state_dict with what it returned."""
    told = pickle.dumps(arguments, protocol)
    body = told[2:-1] if protocol >= 2 else told[:-1]
    head = pickle.PROTO + bytes([protocol]) if protocol >= 2 else b""
    key = b"X\x06\x00\x00\x00bert.w"
    return head + b"}" + key + f"c{module}\n{name}\n".encode() + body + b"Rs."


def _zipped(program: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return stream.getvalue()


def _old(program: bytes) -> bytes:
    """In the format before PyTorch 1.6."""
    magic = 0x1950A86A20F9469CFC6C
    system = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    heads = [pickle.dumps(one, 2) for one in (magic, 1001, system)]
    return b"".join([*heads, program, pickle.dumps([], 2)])


_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "2,000,000 steps": lambda: b"\x80\x02}" + b"K\x010" * 1_000_000 + b".",
    "a text of 64 MB": lambda: b"\x80\x02" + b"X" + struct.pack("<I", 64 << 20) + bytes(64 << 20) + b".",
    "a text that says 2^60 bytes": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b".",
    "a number of 2^31 bytes": lambda: b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b".",
    "100,000 lists within one another": lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a memo of 2^32": lambda: b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "a line of 64 MB": lambda: b"I" + b"9" * (64 << 20) + b"\n.",
    "a stack that is empty": lambda: b"\x80\x02RRRR.",
}


def hostile_pickles() -> Iterator[tuple[str, bytes]]:
    """Names and contents, some 80 of them; MARK stands for a file that must not come to be."""
    for what, (module, name, arguments) in CALLS.items():
        shown = tuple(repr(one) if callable(one) else one for one in arguments)
        yield f"{what}, zip", _zipped(_program(module, name, shown, 2))
        yield f"{what}, before 1.6", _old(_program(module, name, shown, 2))
        yield f"{what}, bare", _program(module, name, shown, 0)
    for what, make in _BOMBS.items():
        yield f"{what}, zip", _zipped(make(), zipfile.ZIP_DEFLATED)
        yield f"{what}, before 1.6", _old(make())
    stream = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2), stream)
    yield "a whole model instead of its weights", stream.getvalue()

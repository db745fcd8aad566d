"""Describes the machine that a figure is measured on: a speed means nothing without it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attar.cores import usable_cores

__all__ = ["package_versions", "processor_and_threads", "system_info"]

# Instructions for int8 arithmetic.
_FLAGS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimddp", "i8mm")


def system_info(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Name of the ``cpu``, ``cores`` that this process may use, ``flags`` that matter to int8, versions.

    Without ``cpuinfo``, Linux's description of its processors, the result has less.
    """
    facts = _facts(cpuinfo)
    has = set(facts.get("flags", facts.get("Features", "")).split())
    return {
        "cpu": facts.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "flags": [flag for flag in _FLAGS if flag in has],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": importlib.metadata.version("onnxruntime"),
    }


def processor_and_threads() -> dict[str, str]:
    """What of a machine may change the last bit of a result: its processor, and the threads that compute."""
    whole = system_info()
    threads = os.environ.get("OMP_NUM_THREADS") or str(whole["cores"])
    return {"processor": str(whole["cpu"]), "instructions": " ".join(whole["flags"]), "threads": threads}


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions by name of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _facts(cpuinfo: Path) -> dict[str, str]:
    """The entries of the first processor."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}

"""How many processor cores this process may use: the default number of workers everywhere.

``os.cpu_count`` counts the cores of the host. A container on a 64-core host with a quota of two cores
that starts 64 threads is throttled for most of every period, so affinity and the CPU quotas of the
control group and of its ancestors count too.

Source: the kernel's ``admin-guide/cgroup-v2.rst`` (``cpu.max``), ``scheduler/sched-bwc.rst``
(``cpu.cfs_quota_us`` of version 1) and ``proc(5)`` (``mountinfo``).
"""

from __future__ import annotations

import operator
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path, PurePosixPath
from typing import SupportsIndex

from attar.errors import RecipeError

__all__ = ["WORKERS_VARIABLE", "limit_library_threads", "num_workers", "usable_cores"]

WORKERS_VARIABLE = "ATTAR_WORKERS"

_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_MOST_SHOWN = 5  # characters
_THREADS_VARIABLE = "OMP_NUM_THREADS"  # of OpenMP; torch, MKL, OpenBLAS and Arrow read it too


def num_workers(wanted: int | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Number of workers: ``wanted``, else ``ATTAR_WORKERS``, else one per usable core.

    Raises:
        RecipeError: ``wanted`` is no whole number from 1 on, or ``ATTAR_WORKERS`` none from 1 to 9999.
    """
    if wanted is not None:
        if not isinstance(wanted, SupportsIndex) or wanted < 1:
            raise RecipeError(f"workers = {wanted!r}; expected 1 or more, or None for one per usable core")
        return operator.index(wanted)
    value = environment.get(WORKERS_VARIABLE)
    if value is None:
        return usable_cores()
    if not _COUNT.fullmatch(value):
        # What is longer may be a key that was put into the wrong variable.
        shown = repr(value) if len(value) <= _MOST_SHOWN else "no number"
        raise RecipeError(
            f"{WORKERS_VARIABLE} is {shown}; expected a whole number from 1 to 9999, "
            "or unset it for one worker per usable core"
        )
    return int(value)


def limit_library_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit libraries that count cores without the quota to ``num_workers`` threads.

    Sets ``OMP_NUM_THREADS`` if that is fewer than the cores such a library would count. Libraries read it
    when they are loaded, so call this first. A value that is already set stays.

    Raises:
        RecipeError: As ``num_workers`` does.
    """
    workers = num_workers(environment=environment)
    if workers < _affinity():
        environment.setdefault(_THREADS_VARIABLE, str(workers))


def usable_cores(root: Path = Path("/")) -> int:
    """Processor cores that this process may use: by affinity and by the CPU quota of its container.

    Part of a core counts as a whole one: two threads use up a quota of 1.5. What cannot be read is no
    limit; a system without affinity or control groups (macOS, Windows) counts all its cores. ``root``
    holds ``/proc`` and ``/sys``.
    """
    return max(1, min([_affinity(), *_quotas(root)]))


def _affinity() -> int:
    """Cores that the scheduler may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """The quota, in cores, of each control group of this process that has one."""
    lines = (line.split(":", 2) for line in _lines(root / "proc/self/cgroup"))
    # Version 2 is the line without controllers; of version 1 only the hierarchy with `cpu` counts.
    paths = {name: parts[2] for parts in lines if len(parts) == 3 for name in parts[1].split(",")}
    for kind, base, mounted in _mounts(root):
        controller = "" if kind == "cgroup2" else "cpu"
        path = posixpath.normpath(paths.get(controller, "/"))
        # A path from another namespace than the mount's: only the mounted part is visible.
        inside = path if PurePosixPath(path).is_relative_to(base) else base
        top = root / mounted.lstrip("/")
        group = top / PurePosixPath(inside).relative_to(base)
        # A group gets no more than its ancestors.
        for folder in (group, *group.parents):
            quota = _quota(folder, kind)
            if quota is not None:
                yield quota
            if folder == top:
                break


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, path within the hierarchy, mount point) of each mounted hierarchy that may hold a quota."""
    for line in _lines(root / "proc/self/mountinfo"):
        mount, dash, system = line.partition(" - ")
        before, after = mount.split(" "), system.split(" ")
        if not dash or len(before) < 5 or len(after) < 3:
            continue
        kind, options = after[0], after[2].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options):
            yield kind, posixpath.normpath(_unescaped(before[3])), _unescaped(before[4])


def _unescaped(text: str) -> str:
    """A path of mountinfo, where spaces and the like are escaped as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _quota(folder: Path, kind: str) -> int | None:
    """Quota over period, both in microseconds, as cores, rounded up; None without one ("max", or -1)."""
    if kind == "cgroup2":
        words = " ".join(_lines(folder / "cpu.max")).split()
    else:
        words = [" ".join(_lines(folder / f"cpu.cfs_{name}_us")) for name in ("quota", "period")]
    if len(words) != 2 or not all(re.fullmatch("0*[1-9][0-9]{0,17}", word) for word in words):
        return None
    quota, period = map(int, words)
    return -(-quota // period)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except (OSError, ValueError):  # a path with a null character is a ValueError
        return []

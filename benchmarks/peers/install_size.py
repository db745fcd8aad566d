"""How large the scoring install is: the wheel and its dependencies in a new environment."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from attar.errors import AttarError
from peers.document import say

__all__ = ["install_size", "size_lines"]

_ROOT = Path(__file__).resolve().parents[2]
_OWN = ("pip", "setuptools")  # of the environment, not of the install
_LISTED = 6
_COUNT = """
import importlib.metadata as m, json, pathlib
found = {}
for d in m.distributions():
    files = {pathlib.Path(d.locate_file(f)).resolve() for f in d.files or ()}
    found[d.metadata["Name"].lower()] = [d.version, sum(f.stat().st_size for f in files if f.is_file())]
print(json.dumps(found))
"""


def install_size() -> dict[str, Any]:
    """Build the wheel, install it into a new environment and measure every distribution.

    Needs a package index. Sizes are of the files that a distribution lists, compiled caches included.

    Raises:
        AttarError: The build or the install failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheels, venv = Path(folder) / "wheels", Path(folder) / "venv"
        say("building the wheel")
        build = ("wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(_ROOT))
        _run(sys.executable, "-m", "pip", *build)
        (wheel,) = wheels.glob("*.whl")
        say("installing it into a new environment")
        _run(sys.executable, "-m", "venv", str(venv))
        python = str(venv / "bin" / "python")
        _run(python, "-m", "pip", "install", "--quiet", str(wheel))
        packages = {
            name: {"version": version, "bytes": size}
            for name, (version, size) in json.loads(_run(python, "-c", _COUNT)).items()
            if name not in _OWN
        }
        wheel_bytes = wheel.stat().st_size
    total = sum(package["bytes"] for package in packages.values())
    return {"wheel_bytes": wheel_bytes, "installed_bytes": total, "packages": packages}


def size_lines(found: dict[str, Any], command: str) -> list[str]:
    """The install's size in Markdown."""
    packages = sorted(found["packages"].items(), key=lambda item: -item[1]["bytes"])
    rows = [f"{name} {one['version']} {one['bytes'] / 1e6:.1f}" for name, one in packages[:_LISTED]]
    rest = sum(one["bytes"] for _, one in packages[_LISTED:]) / 1e6
    line = (
        f"`{command}`: the scoring install takes {found['installed_bytes'] / 1e6:.1f} MB on disk, "
        f"{len(packages)} packages (the wheel itself is {found['wheel_bytes'] / 1e6:.2f} MB). In MB: "
        f"{', '.join(rows)}, the other {max(0, len(packages) - _LISTED)} together {rest:.1f}."
    )
    return [line]


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise AttarError(f"{' '.join(command[:4])} failed: {last}")
    return done.stdout

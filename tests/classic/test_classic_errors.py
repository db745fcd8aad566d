"""The original's commands and tools: errors of the system and Ctrl-C are one line and an exit code."""

import errno
import importlib
from pathlib import Path

import pytest

from attar.errors import DataError

CLASSIC = Path(__file__).parents[2] / "classic"
CASES = [
    (DataError("no rows"), 2, "no rows"),
    (OSError(errno.ENOSPC, "No space left on device", "/d/gs1.pkl"), 2, "/d/gs1.pkl: no space left"),
    (RuntimeError("unexpected pos 57536 vs 57488"), 2, "no space left"),
    (KeyboardInterrupt(), 130, "stopped; the same command resumes"),
]


@pytest.fixture
def original(monkeypatch):
    """``original(module)``: a module of classic/original."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    return lambda name: importlib.import_module(f"original.{name}")


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(("error", "code", "said"), CASES)
def test_a_tool_ends_with_one_line(original, capsys, error, code, said):
    assert original("tool").run_tool(failing(error), []) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code", "said"), CASES)
def test_a_command_ends_with_one_line(original, tmp_path, monkeypatch, error, code, said):
    start = original("start")
    arguments = type("Arguments", (), {"output_dir": tmp_path})()
    monkeypatch.setattr(start, "parse_arguments", lambda *_: arguments)
    monkeypatch.setattr(start, "check", failing(error))
    assert start.main("trainer", []) == code
    (line,) = (tmp_path / "log.txt").read_text("utf-8").splitlines()
    assert said in line


def test_a_bug_keeps_its_trace(original):
    with pytest.raises(ZeroDivisionError):
        original("tool").run_tool(failing(ZeroDivisionError()), [])

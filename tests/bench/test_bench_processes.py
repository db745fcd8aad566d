"""Sides in processes of their own: requests and replies, what libraries print, a process that ends."""

import os
import sys

import pytest

from attar.bench.processes import Lap, SideProcess, memory
from attar.errors import AttarError

PROGRAM = """
from attar.bench.processes import Requests
requests = Requests()
print("a library says hello")
for request in requests:
    if request["do"] == "fail":
        raise SystemExit("no more")
    requests.reply({"wall_s": request["count"], "cpu_s": 0.5})
"""


@pytest.fixture
def side(tmp_path):
    """``side()`` is a running process; its log is ``sides.log``."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (tmp_path / "sides.log").open("w") as log:
        process = SideProcess("one", [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, log=log)
        yield process
        process.close()


def test_a_request_is_answered_and_what_libraries_print_goes_to_the_log(side, tmp_path):
    assert side.run(3) == Lap(3, 0.5)
    assert side.ask("run", count=7) == {"wall_s": 7, "cpu_s": 0.5}
    side.close()
    side.close()
    assert "a library says hello" in (tmp_path / "sides.log").read_text()


def test_a_process_that_ends_is_named(side, tmp_path):
    with pytest.raises(AttarError, match="side one: its process ended; see sides"):
        side.ask("fail")
    side.close()
    assert "no more" in (tmp_path / "sides.log").read_text()


def test_memory_grows_with_what_is_held():
    before = memory()
    held = bytearray(50_000_000)
    held[::4096] = b"1" * len(held[::4096])
    after = memory()
    assert after.peak_bytes >= after.resident_bytes > 0
    assert after.peak_bytes >= before.peak_bytes

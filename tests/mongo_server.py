"""A real MongoDB wire-protocol server for the tests: started, killed and started again.

``MONGODB_URI`` (``mongodb://[USER:PASSWORD@]HOST:PORT[/?authSource=admin]``) lets the tests run against
a real MongoDB; what would kill it is skipped then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pymongo
import pytest

REAL_URI = os.environ.get("MONGODB_URI", "")


class Server:
    """An nx-27017 with its data in a folder; it survives ``kill -9`` as MongoDB does."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.process = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def start(self):
        program = Path(sys.executable).with_name("nx-27017")
        self.process = subprocess.Popen(
            [program, "--data-dir", self.folder / "data", "-p", str(self.port),
             "--log-file", self.folder / "log", "--pid-file", self.folder / "pid"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip
        for _ in range(24_000):  # ten minutes
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.025)
        raise RuntimeError(f"nx-27017 did not start; see {self.folder / 'log'}")

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running_server(folder: Path):
    """Yield a Server, or None where ``MONGODB_URI`` names a real one."""
    if REAL_URI:
        yield None
        return
    if not shutil.which("nx-27017", path=Path(sys.executable).parent):
        pytest.skip("needs nx-27017 (pip install nx-27017) or MONGODB_URI")
    (folder / "data").mkdir(parents=True)
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def test_database(server: Server | None, name: str = "attar-test"):
    """Yield (URI of a collection by name, the Database), a new one; a real server is left as it was."""
    name = f"{name}-{uuid.uuid4().hex[:8]}"
    whole = f"mongodb://{server.address}" if server else REAL_URI
    base, mark, options = whole.partition("?")
    with pymongo.MongoClient(whole) as client:
        yield lambda collection: f"{base.rstrip('/')}/{name}/{collection}{mark}{options}", client[name]
        client.drop_database(name)


test_database.__test__ = False

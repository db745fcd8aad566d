"""The clients of the documentation, as they stand there, against a real service."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import uvicorn

from attar.classic.routes import artifact_routes
from attar.serving.app import create_app
from attar.serving.models import Models
from attar.serving.server import listen, serve

HANG_S = 600
PAGE = (Path(__file__).parents[2] / "docs/how-to/serving.md").read_text("utf-8")


@pytest.fixture(scope="module")
def address(predictor):
    servers = []
    listener = listen("127.0.0.1", 0)
    models = Models({"m": predictor})
    app = create_app(models, routes=lambda service: artifact_routes(models, service))
    with pytest.MonkeyPatch.context() as patch:
        real = uvicorn.Server
        patch.setattr(uvicorn, "Server", lambda config: servers.append(real(config)) or servers[0])
        thread = threading.Thread(target=serve, args=(app, listener), kwargs={"grace_s": 1})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        servers[0].should_exit = True
        thread.join(HANG_S)


def printed(name, address):
    code = re.search(rf"<!-- {name} -->\n```python\n(.*?)```", PAGE, re.DOTALL)[1]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code.replace("http://127.0.0.1:8000", address), {})  # noqa: S102 - our own page
    return out.getvalue().splitlines()


def test_a_client_of_today(address):
    first, second = printed("client", address)
    assert re.fullmatch(r"17 \[('?\('口红', '.'\), ){2}\('颜色', '.'\)\] ", first)
    assert second == "18 [] empty_text"


def test_a_client_of_the_original(address):
    lines = printed("classic client", address)
    assert [line.split()[:3] for line in lines] == [
        ["口红", "0", "2"],
        ["口红", "7", "9"],
        ["遮瑕", "3", "5"],
    ]


def test_the_curl_commands(address):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    commands = re.findall(r"^curl http://127\.0\.0\.1:8000\S+ -d '.*'$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command.replace("http://127.0.0.1:8000", address))
        done = subprocess.run([*words, "-s"], capture_output=True, check=True, timeout=HANG_S)
        found = json.loads(done.stdout)
        assert found["rows"][0]["mentions"] if "/v1/" in command else found[0][0] in "坏中好"

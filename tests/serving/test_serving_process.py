"""Admission queue, timeouts and shutdown, over real sockets and with real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from fastapi.testclient import TestClient

import attar.serving.admission
from attar.errors import RecipeError, RunError
from attar.serving.app import create_app
from attar.serving.keys import key_from_environment
from attar.serving.limits import Limits
from attar.serving.server import listen

ROW = {"text": "口红好", "term": "口红"}
HANG_S = 600  # a test that waits longer hangs; none is about speed


class Held:
    """A predictor whose answers wait for a sign."""

    def __init__(self, predictor):
        self.artifact, self.task, self.workers = predictor.artifact, predictor.task, 1
        self.real = predictor.predict_probs
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Semaphore(0)

    def predict_probs(self, examples):
        self.entered.release()
        assert self.go.wait(HANG_S)
        return self.real(examples)


@pytest.fixture
def held(predictor):
    made = Held(predictor)
    yield made
    made.go.set()


def ask(client, *rows):
    return client.post("/v1/score", json={"rows": rows or [ROW]})


def test_eight_threads_get_the_bytes_of_one(predictor, some_examples):
    rows = [
        [{"text": e.text, "start": e.start, "end": e.end} for e in some_examples(9, seed) if e.text.strip()]
        for seed in range(24)
    ]
    with TestClient(create_app(predictor)) as client:
        alone = [ask(client, *some).content for some in rows]
        assert len({json.loads(one)["rows"][0]["mentions"][0]["prob"] for one in alone}) > 8
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda some: ask(client, *some).content, rows * 3))
    assert together == alone * 3


def test_a_full_queue_rejects_the_next_request(held):
    with TestClient(create_app(held, limits=Limits(max_waiting=1))) as client, ThreadPoolExecutor(5) as pool:
        assert held.entered.acquire(timeout=HANG_S)  # at the start
        held.go.clear()
        first = pool.submit(ask, client)
        assert held.entered.acquire(timeout=HANG_S)
        others = as_completed([pool.submit(ask, client) for _ in range(4)], timeout=HANG_S)
        for reply in (next(others).result() for _ in range(3)):
            assert (reply.status_code, reply.json()["code"]) == (503, "busy")
            assert reply.headers["retry-after"] == "1"
        assert client.get("/live").status_code == client.get("/ready").status_code == 200
        held.go.set()
        assert next(others).result().status_code == first.result(HANG_S).status_code == 200
        assert ask(client).status_code == 200


class Timeouts:
    """Stands for asyncio in the queue: a time is up when the test says so."""

    wrap_future = staticmethod(asyncio.wrap_future)

    def __init__(self):
        self.limits, self.opened = [], []

    def timeout(self, seconds):
        self.limits.append(seconds)
        self.opened.append((asyncio.get_running_loop(), asyncio.timeout(None)))
        return self.opened[-1][1]

    def end(self, number):
        while len(self.opened) < number:
            time.sleep(0.005)
        loop, timeout = self.opened[number - 1]
        loop.call_soon_threadsafe(timeout.reschedule, 0)


def test_a_response_that_takes_too_long(held, monkeypatch):
    timeouts = Timeouts()
    monkeypatch.setattr(attar.serving.admission, "asyncio", timeouts)
    limits = Limits(max_waiting=1, timeout_s=7)
    with TestClient(create_app(held, limits=limits)) as client, ThreadPoolExecutor(1) as pool:
        assert held.entered.acquire(timeout=HANG_S)
        before = len(timeouts.opened)
        held.go.clear()
        # Only the first starts: a place in the queue is free again at once.
        for number in (1, 2, 3):
            asked = pool.submit(ask, client)
            if number == 1:
                assert held.entered.acquire(timeout=HANG_S)
            timeouts.end(before + number)
            reply = asked.result(HANG_S)
            assert (reply.status_code, reply.json()["code"]) == (503, "timeout")
            assert "within 7 s" in reply.json()["message"]
            assert reply.headers["retry-after"] == "1"
        held.go.set()
        assert ask(client).status_code == 200
    assert set(timeouts.limits) == {7}
    assert sum(iter(lambda: held.entered.acquire(blocking=False), False)) == 1


def test_a_body_that_never_comes(predictor):
    sent = []

    async def silence():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    app = create_app(predictor, limits=Limits(timeout_s=0.05))
    scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": [], "query_string": b""}
    asyncio.run(app(scope, silence, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "body_timeout"


def test_a_client_that_disconnects_is_no_error(predictor, caplog):
    sent = []

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": [], "query_string": b""}
    asyncio.run(create_app(predictor)(scope, gone, send))
    assert sent[0]["status"] == 400
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("key", ["", " ", "a b", "密", "a\n"])
def test_a_key_that_no_client_could_send(key):
    with pytest.raises(RecipeError, match="ATTAR_API_KEY") as error:
        key_from_environment({"ATTAR_API_KEY": key})
    assert "密" not in str(error.value)


def test_the_key_of_the_environment():
    assert key_from_environment({}) is None
    assert key_from_environment({"ATTAR_API_KEY": "abc-1"}) == "abc-1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_listener_lets_asyncio_send_small_responses_at_once(host):
    with listen(host, 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_an_address_that_cannot_be_listened_on():
    with listen("127.0.0.1", 0) as taken, pytest.raises(RunError, match="choose another --port"):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(RunError, match=r"cannot listen on 192\.0\.2\.1 port 1:"):
        listen("192.0.2.1", 1)


def exchange(connection, *parts):
    """Send parts of a request, and read the answer to its end."""
    for part in parts:
        connection.sendall(part)
    answer = b""
    while more := connection.recv(65536):
        answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.fixture(scope="module")
def process(artifact_folder):
    """A service of its own: its address, and the process."""
    command = [sys.executable, "-c", "from attar.cli import main; main()"]
    started = subprocess.Popen(
        [*command, "serve", artifact_folder, "--port", "0", "--classic", "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"ATTAR_API_KEY": "abc", "COLUMNS": "200"},
    )
    line = started.stdout.readline()
    assert line.startswith("serving:   http://127.0.0.1:"), line
    yield ("127.0.0.1", int(line.rpartition(":")[2])), started
    started.kill()
    started.communicate()


def head(route, length):
    lines = (
        f"POST {route} HTTP/1.1",
        "Host: x",
        "Authorization: Bearer abc",
        "Connection: close",
        length,
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def test_a_chunked_body_is_counted_as_it_comes(process):
    address, _ = process
    whole = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    with socket.create_connection(address, timeout=HANG_S) as connection:
        start = head("/api/predict", "Transfer-Encoding: chunked")
        status, body = exchange(connection, start, *[whole] * 65, b"0\r\n\r\n")
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_open_requests_are_finished_at_shutdown(process):
    address, service = process
    body = json.dumps({"data": [["口红好", "口红"]]}).encode()
    half = len(body) // 2
    with socket.create_connection(address, timeout=HANG_S) as waiting:
        waiting.sendall(head("/api/predict", f"Content-Length: {len(body)}") + body[:half])
        with socket.create_connection(address, timeout=HANG_S) as other:
            # Once this is answered the service has seen the first one too.
            assert exchange(other, head("/api/predict", f"Content-Length: {len(body)}"), body)[0] == 200
        service.send_signal(signal.SIGTERM)
        for _ in range(20 * HANG_S):
            try:
                socket.create_connection(address, timeout=HANG_S).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("still lets clients in")
        assert service.poll() is None
        status, answer = exchange(waiting, body[half:])
    assert status == 200
    assert json.loads(answer)[0][2] == ["口红好", "口红"]
    _, log = service.communicate(timeout=HANG_S)
    assert service.returncode == 0
    assert "/api/predict 200: 1 rows" in log
    assert "口红" not in log
    assert "abc" not in log
    assert "Traceback" not in log

"""Half-open and too many connections, over real sockets; signals end the process with code 0."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import uvicorn

import attar.serving.connections
from attar.serving.app import create_app
from attar.serving.connections import bounded_protocol
from attar.serving.limits import Limits
from attar.serving.server import _Hangups, _signals, listen, serve

HANG_S = 600  # a test that waits longer hangs; none is about speed
HEAD_S = 0.5  # within which a busy machine still sends a head
LIVE = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def serving(predictor, monkeypatch, **limits):
    """The address of a service in a thread."""
    made = []
    monkeypatch.setattr(uvicorn, "Server", lambda config: made.append(server(config)) or made[0])
    limits = Limits(**limits)
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    app = create_app(predictor, limits=limits)
    thread = threading.Thread(target=serve, args=(app, listener), kwargs={"limits": limits, "grace_s": 1})
    thread.start()
    try:
        yield address
    finally:
        made[0].should_exit = True
        thread.join(HANG_S)
    assert not thread.is_alive()


server = uvicorn.Server


def connect(address):
    return socket.create_connection(address, timeout=HANG_S)


def answer(connection):
    """One reply's status, read to the end of its body."""
    got = b""
    while not got.endswith(b"}"):
        more = connection.recv(65536)
        if not more:
            break
        got += more
    return int(got.split()[1]) if got else None


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /live HTT", b"GET /live HTTP/1.1\r\nHost: x\r\n", LIVE + b"GET /li"],
    ids=["silent", "line", "headers", "second request"],
)
def test_a_head_that_never_comes_ends_the_connection(predictor, monkeypatch, start):
    with (
        serving(predictor, monkeypatch, header_timeout_s=HEAD_S if start else 0.05) as address,
        connect(address) as half_open,
    ):
        half_open.sendall(start)
        if start.startswith(LIVE):
            assert answer(half_open) == 200
        assert half_open.recv(100) == b""


def test_a_head_that_trickles_in_ends_the_connection(predictor, monkeypatch):
    with (
        serving(predictor, monkeypatch, header_timeout_s=0.2) as address,
        connect(address) as slow,
        pytest.raises(ConnectionError),
    ):
        slow.sendall(LIVE[:-2])
        for _ in range(20 * HANG_S):
            slow.sendall(b"a: b\r\n")
            time.sleep(0.05)


def test_a_body_may_take_longer_than_a_head(predictor, monkeypatch):
    body = b'{"rows": []}'
    head = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(predictor, monkeypatch, header_timeout_s=HEAD_S) as address, connect(address) as slow:
        slow.sendall(head + body[:4])
        time.sleep(2 * HEAD_S)
        slow.sendall(body[4:])
        assert b" 200 OK" in slow.recv(65536)


def test_the_longest_idle_connection_makes_room(predictor, monkeypatch):
    with serving(predictor, monkeypatch, max_connections=3) as address, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(address)) for _ in range(3)]
        for one in held:
            one.sendall(LIVE)
            assert answer(one) == 200
        held[0].sendall(LIVE)
        assert answer(held[0]) == 200
        new = stack.enter_context(connect(address))
        new.sendall(LIVE)
        assert answer(new) == 200
        assert held[1].recv(100) == b""
        held[0].sendall(LIVE)
        assert answer(held[0]) == 200


def test_no_room_where_every_connection_has_a_request(predictor, monkeypatch):
    lines = ("POST /v1/score HTTP/1.1", "Host: x", "Content-Length: 9", "Expect: 100-continue", "", "")
    with serving(predictor, monkeypatch, max_connections=2) as address, contextlib.ExitStack() as stack:
        for _ in range(2):
            busy = stack.enter_context(connect(address))
            busy.sendall("\r\n".join(lines).encode())
            assert b" 100 " in busy.recv(65536)
        with connect(address) as other:
            first, _, body = other.recv(65536).partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in first
        assert json.loads(body)["code"] == "busy"


def test_a_head_without_an_end_is_refused(predictor, monkeypatch):
    with serving(predictor, monkeypatch) as address, connect(address) as endless:
        endless.sendall(LIVE[:-2])
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                endless.sendall(b"a: " + b"b" * 2000 + b"\r\n")
        with contextlib.suppress(ConnectionError):
            assert endless.recv(65536).startswith(b"HTTP/1.1 431 ")
        with connect(address) as other:
            other.sendall(LIVE)
            assert answer(other) == 200


def test_trailers_without_an_end_are_refused(predictor, monkeypatch):
    start = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with (
        serving(predictor, monkeypatch, max_body_bytes=1000) as address,
        connect(address) as endless,
        pytest.raises(ConnectionError),
    ):
        endless.sendall(start)
        for _ in range(20 * HANG_S):
            endless.sendall(b"a: " + b"b" * 2000 + b"\r\n")
            time.sleep(0.001)


def test_the_limits_are_the_protocols():
    limits = Limits(max_connections=7)
    assert bounded_protocol(limits).limits is limits


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_code_0(artifact_folder, number):
    command = [sys.executable, "-c", "from attar.cli import main; main()", "serve", artifact_folder]
    with subprocess.Popen(
        [*command, "--port", "0", "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    ) as started:  # fmt: skip
        port = int(started.stdout.readline().partition(":")[2].rsplit(":", 1)[1].split(",")[0])
        with connect(("127.0.0.1", port)) as client, connect(("127.0.0.1", port)) as half_open:
            half_open.sendall(LIVE[:9])
            client.sendall(LIVE)
            assert answer(client) == 200
            started.send_signal(number)
            _, log = started.communicate(timeout=HANG_S)
    assert started.returncode == 0
    assert "Traceback" not in log


def test_a_signal_as_the_service_begins_leaves_no_thread_to_wait_for(monkeypatch):
    start = _Hangups.start

    def interrupted(self):
        start(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(_Hangups, "start", interrupted)
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with pytest.raises(KeyboardInterrupt), _signals(uvicorn.Server(uvicorn.Config(None)), print):
        pass
    assert [one.name for one in threading.enumerate() if one.name == "attar-reload"] == []
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


def test_a_request_on_its_way_is_answered_after_the_end_was_asked_for(predictor, monkeypatch):
    made = []
    monkeypatch.setattr(attar.serving.connections, "_LAST_REQUEST_S", HANG_S)
    monkeypatch.setattr(uvicorn.Server, "startup", noting(made, uvicorn.Server.startup))
    with serving(predictor, monkeypatch) as address, connect(address) as client:
        client.sendall(LIVE)
        assert answer(client) == 200
        # What uvicorn does to an idle connection when it has closed its listener.
        (protocol,) = made[0].server_state.connections
        made[0].servers[0].get_loop().call_soon_threadsafe(protocol.shutdown)
        client.sendall(LIVE)
        got = b""
        while more := client.recv(65536):
            got += more
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in got


def noting(made, startup):
    async def noted(self, *arguments, **options):
        made.append(self)
        await startup(self, *arguments, **options)

    return noted


def test_hostile_clients_leave_a_good_one_its_answers(predictor, monkeypatch):
    good = '{"rows": [{"text": "口红好", "term": "口红"}]}'.encode()
    start = b"POST /v1/score HTTP/1.1\r\nHost: x\r\n"
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\n"
    bad = {
        start + b"Content-Length: 100\r\n\r\n" + good: None,  # the rest never comes
        start + b"Content-Le": None,
        b"": None,
        chunked + b"%x\r\n%s\r\n" % (len(good), good): None,
        chunked + b"zz\r\n": 400,
        chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(good), good): 200,
    }
    with serving(predictor, monkeypatch, max_connections=40) as address, contextlib.ExitStack() as stack:
        for _ in range(12):
            for sent, status in bad.items():
                one = stack.enter_context(connect(address))
                one.sendall(sent)
                assert status is None or b" %d " % status in one.recv(65536)
        for _ in range(3):
            with connect(address) as client:
                client.sendall(start + b"Content-Length: %d\r\n\r\n" % len(good) + good)
                assert answer(client) == 200


def test_hangups_are_one_while_a_reload_is_under_way_and_the_end_waits_for_it():
    entered, go, ended = threading.Semaphore(0), threading.Event(), []

    def work():
        entered.release()
        assert go.wait(HANG_S)
        ended.append(True)

    hangups = _Hangups(work)
    hangups.start()
    hangups.add()
    assert entered.acquire(timeout=HANG_S)
    for _ in range(20):
        hangups.add()
    go.set()
    assert entered.acquire(timeout=HANG_S)
    hangups.close()
    assert len(ended) == 2

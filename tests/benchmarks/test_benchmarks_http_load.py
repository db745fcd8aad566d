"""benchmarks/peers/http_load.py: what is no complete answer counts as an error."""

from __future__ import annotations

import socketserver
import threading

import pytest

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (WHOLE.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), (1, 0, 0)),
        (WHOLE[:-1], (0, 0, 1)),
        (b"", (0, 1, 0)),
        (WHOLE.replace(b"200", b"500").replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), (0, 0, 0)),
    ],
    ids=["whole", "cut", "none", "500"],
)
def test_what_a_client_sees(bench, reply, counts):
    http_load = bench("peers.http_load")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1000)
            self.request.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        load = http_load.many_clients(server.server_address[1], [http_load.request(b"{}")], 1, 60, keep=True)
        server.shutdown()
    assert (load.statuses[200], load.num_unanswered, load.num_cut) == counts
    assert load.num_errors == 1 - counts[0]
    assert load.bodies == [(0, b"{}")] * counts[0]

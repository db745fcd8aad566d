"""A side of benchmarks/service.py: FastAPI in front of ``transformers``' pipeline, as one writes it first."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from attar.task import Example
from peers.sides import open_pipeline


class Row(BaseModel):
    """A row of the request."""

    text: str
    term: str
    start: int
    end: int


class Rows(BaseModel):
    """The request."""

    rows: list[Row]


def main() -> None:
    """Serve a checkpoint on a free port, and print it."""
    predict = open_pipeline(Path(sys.argv[1]), 2)
    app = FastAPI()
    # A fast tokenizer is for one thread at a time ("Already borrowed"), and FastAPI has forty.
    lock = threading.Lock()

    @app.get("/ready")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/score")
    def score(request: Rows) -> dict[str, Any]:
        examples = [Example(row.text, row.start, row.end) for row in request.rows]
        with lock:
            return {"rows": predict(examples).tolist()}

    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"serving: http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()

"""attar serve against clients that mean no good, reloads and an end, all of it under load.

    python benchmarks/service_faults.py --out runs/service --other runs/2x128 --results docs/results.md
    python benchmarks/service_faults.py --out runs/service --other runs/2x128 --only reload,end

Parts, each with a service of its own over loopback, and eight good clients that ask all the while:

- ``hostile``: 1,000 idle connections, 100 half heads, slow, half-closed and endless bodies, halves of
  surrogate pairs, JSON 100,000 levels deep. Every answer to a good client must be a 200.
- ``schema``: requests that schemathesis makes from the service's schema, valid ones and others.
- ``reload``: another artifact takes the folder's place every second, then SIGHUP. Every answer must be what
  the artifact says that its version names.
- ``end``: SIGTERM while 64 clients ask. Every request must be answered, and to the end.

Exits with 1 where one of these is not so. benchmarks/service.py makes the models.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from peers.document import chosen_sides, command_line, machine_line, markdown_table, publish, say
from peers.http_load import Load, body_of, many_clients, request
from peers.services import Service, attar_serve, running
from peers.traffic import read_examples

from attar.scoring.predictor import load
from attar.system_info import system_info

_GOOD_CLIENTS = 8
_NUM_REQUESTS = 40  # different ones
_PARTS = ("hostile", "schema", "reload", "end")
_TIMEOUT_S = 60


def main() -> None:
    """Run the parts."""
    options = command_line(__doc__)
    options.add_argument(
        "--out", type=Path, required=True, help="where benchmarks/service.py made its models"
    )
    options.add_argument("--other", type=Path, required=True, help="a second artifact, for the reloads")
    options.add_argument("--only", default=",".join(_PARTS), help=f"parts of {', '.join(_PARTS)}")
    options.add_argument("--seconds", type=float, default=60, help="length of the reloads")
    options.add_argument("--cases", type=int, default=2000, help="of schemathesis")
    chosen = options.parse_args()
    _allow_many_sockets()
    examples = read_examples(chosen.out / "examples.json")[:_NUM_REQUESTS]
    rows = [body_of(one) for one in examples]
    requests = [request(json.dumps({"rows": [row]}, ensure_ascii=False).encode()) for row in rows]
    artifacts = (chosen.out / "t4-int8", chosen.other)
    table, ok = [], True
    for part in chosen_sides(chosen.only, _PARTS):
        say(part)
        match part:
            case "hostile":
                line, good = _hostile(chosen.out, artifacts[0], requests)
            case "schema":
                line, good = _schema(chosen.out, artifacts[0], chosen.cases)
            case "reload":
                line, good = _reload(chosen.out, artifacts, requests, chosen.seconds)
            case _:
                line, good = _end(chosen.out, artifacts[0], requests)
        table.append([part, line, "yes" if good else "NO"])
        ok = ok and good
    machine = machine_line(system_info(), len(os.sched_getaffinity(0)))
    command = " ".join(["python benchmarks/service_faults.py", *sys.argv[1:]])
    lines = [
        f"`{command}` on {machine}:",
        "",
        *markdown_table(["part", "what was seen", "as it must be"], table),
    ]
    publish(chosen.results, "service-faults", "Service: hostile clients, reloads, an end under load", lines)
    sys.exit(0 if ok else 1)


def _allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _good_clients(service: Service, requests: Sequence[bytes], *, keep: bool = False) -> Iterator[list[Load]]:
    """Clients that ask until the block ends; what they saw is in the list then."""
    done = threading.Event()
    seen: list[Load] = []

    def ask() -> None:
        while not done.is_set():
            seen.append(many_clients(service.port, requests, _GOOD_CLIENTS, 2, pause_s=0.02, keep=keep))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _hostile(out: Path, artifact: Path, requests: Sequence[bytes]) -> tuple[str, bool]:
    statuses: Counter[str] = Counter()
    with running(attar_serve(sys.executable, artifact), out / "hostile.log") as service:
        with _good_clients(service, requests) as seen, contextlib.ExitStack() as stack:
            held = [stack.enter_context(_connect(service)) for _ in range(1000)]
            for one in [stack.enter_context(_connect(service)) for _ in range(100)]:
                with contextlib.suppress(OSError):
                    one.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Le")
            for sent, is_closed in _bad_requests():
                statuses[_status(service, sent, is_closed=is_closed)] += 1
            slow = stack.enter_context(_connect(service))
            with contextlib.suppress(OSError):
                for byte in requests[0]:
                    slow.sendall(bytes([byte]))
                    time.sleep(0.005)
            statuses[_answer(slow)] += 1
            del held
        ours = [code for code in statuses if code.startswith("5") and code != "503"]
    good, bad = sum(one.statuses[200] for one in seen), sum(one.num_errors for one in seen)
    longest = max(max(one.took_ms) for one in seen)
    answers = ", ".join(f"{count} x {code}" for code, count in sorted(statuses.items()))
    line = (
        f"1,000 idle connections, 100 half heads; bad requests: {answers}; good clients: {good:,} answers, "
    )
    return line + f"{bad} errors, longest {longest:,.0f} ms", not ours and not bad and good > 0


def _bad_requests() -> Iterator[tuple[bytes, bool]]:
    """Requests, and whether the client closes its half of the connection behind them."""
    surrogate = b'{"rows": [{"text": "\\ud83d", "term": "\\ud83d"}]}'
    deep = b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    good = '{"rows": [{"text": "口红好", "term": "口红"}]}'.encode()
    chunked = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(20):
        yield request(surrogate), False
        yield request(deep), False
        yield request(good), True
        yield chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(good), good), False
        yield chunked + b"%x\r\n%s\r\n" % (len(good), good), True
        yield chunked + b"zz\r\n", False
        yield request(good)[:-9], True
        yield request(b"\xff\xfe" + good), False
        yield request(good, "Content-Encoding: gzip"), False


def _connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=_TIMEOUT_S)


def _status(service: Service, sent: bytes, *, is_closed: bool) -> str:
    with _connect(service) as connection:
        try:
            connection.sendall(sent)
            if is_closed:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            return "closed"
        return _answer(connection)


def _answer(connection: socket.socket) -> str:
    try:
        head = connection.recv(1 << 16)
    except OSError:
        return "closed"
    return head[9:12].decode("ascii") if head else "closed"


def _schema(out: Path, artifact: Path, num_cases: int) -> tuple[str, bool]:
    import hypothesis
    import schemathesis
    from fastapi.testclient import TestClient
    from hypothesis import strategies
    from schemathesis.generation import GenerationMode

    from attar.serving.app import AppOptions, create_app
    from attar.serving.keys import Keys

    del out
    statuses: Counter[int] = Counter()
    predictor = load(artifact)
    app = create_app(predictor, options=AppOptions(keys=Keys({"ATTAR_ADMIN_KEY": "admin"})))
    with TestClient(app, raise_server_exceptions=False) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        found: list[Any] = list(schema.get_all_operations())
        operations = [one.ok() for one in found]
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        cases = strategies.one_of([one.as_strategy(mode) for one in operations for mode in modes])

        def send(case: schemathesis.Case[Any]) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sent = case.as_transport_kwargs(base_url="http://testserver")
            body = sent.get("data")
            if sent.get("json") is not None:
                body = json.dumps(sent["json"]).encode()
            elif body is not None and not isinstance(body, bytes | str):
                body = repr(body).encode()
            headers, params = dict(sent["headers"]), sent.get("params")
            reply = client.request(sent["method"], sent["url"], params=params, headers=headers, content=body)
            statuses[reply.status_code] += 1

        _generate(hypothesis, cases, send, num_cases)
    predictor.close()
    ours = sum(count for code, count in statuses.items() if code >= 500 and code != 503)
    answers = ", ".join(f"{count:,} x {code}" for code, count in sorted(statuses.items()))
    return f"{statuses.total():,} requests: {answers}", ours == 0 and statuses.total() >= num_cases


def _generate(hypothesis, cases, send: Callable[..., None], num_cases: int) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    settings = hypothesis.settings(
        max_examples=num_cases,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    settings(hypothesis.given(cases)(send))()


def _reload(
    out: Path, artifacts: Sequence[Path], requests: Sequence[bytes], seconds: float
) -> tuple[str, bool]:
    expected = _labels_by_version(artifacts, requests)
    served = out / "served"
    shutil.rmtree(served, ignore_errors=True)
    shutil.copytree(artifacts[0], served)
    num_reloads = 0
    with running(attar_serve(sys.executable, served), out / "reload.log") as service:
        with _good_clients(service, requests, keep=True) as seen:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                num_reloads += 1
                _replace(served, artifacts[num_reloads % 2])
                service.process.send_signal(signal.SIGHUP)
                time.sleep(1)
        log = service.log.read_text("utf-8")
    wrong, versions = 0, Counter[str]()
    for number, body in (answer for one in seen for answer in one.bodies or ()):
        reply = json.loads(body)
        versions[reply["version"]] += 1
        wrong += [one["probs"] for one in reply["rows"][0]["mentions"]] != expected[reply["version"]][number]
    errors = sum(one.num_errors for one in seen)
    exchanged = log.count("now serving version")
    line = f"{num_reloads} reloads asked in {seconds:.0f} s, {exchanged} exchanges; {versions.total():,} "
    line += f"answers of {len(versions)} versions, {errors} errors, {wrong} that their version does not give"
    return line, not errors and not wrong and len(versions) == 2 and exchanged > 1


def _labels_by_version(
    artifacts: Sequence[Path], requests: Sequence[bytes]
) -> dict[str, list[list[dict[str, float]]]]:
    """What each artifact says of each request, as the service rounds it."""
    found = {}
    for artifact in artifacts:
        predictor = load(artifact)
        rows = [json.loads(one.partition(b"\r\n\r\n")[2])["rows"][0] for one in requests]
        said = predictor.predict(
            [row["text"] for row in rows],
            [row["term"] for row in rows],
            [(row["start"], row["end"]) for row in rows],
        )
        found[predictor.artifact.version] = [
            [{label: round(prob, 6) for label, prob in one.probs.items()}] for one in said
        ]
        predictor.close()
    return found


def _replace(served: Path, artifact: Path) -> None:
    new, old = served.with_name("served.new"), served.with_name("served.old")
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(artifact, new)
    served.rename(old)
    new.rename(served)


def _end(out: Path, artifact: Path, requests: Sequence[bytes]) -> tuple[str, bool]:
    with running(attar_serve(sys.executable, artifact), out / "end.log") as service:
        timer = threading.Timer(5, service.process.send_signal, [signal.SIGTERM])
        timer.start()
        found = many_clients(service.port, requests, 64, 30)
        timer.join()
        code = service.process.wait(_TIMEOUT_S)
        log = service.log.read_text("utf-8")
    logged = log.count('"status": 200')
    line = f"64 clients, SIGTERM after 5 s: {found.statuses[200]:,} answers, {found.num_errors} errors "
    line += f"({found.num_unanswered} unanswered, {found.num_cut} cut), {logged:,} in the service's log, "
    line += f"exit {code}"
    return line, not found.num_errors and logged == found.statuses[200] and code == 0


if __name__ == "__main__":
    main()

"""Mutated inputs of everything that parses: readers, windows, recipes, the Python API and HTTP bodies.

Each is made from a valid one, so that at least a third get past the parser to what stands behind it.
Whatever an input is, the outcome is a result or an AttarError; over HTTP, no status of 500 or above.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
import signal
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from attar.errors import AttarError
from attar.recipe.load import SourceRecipe, load_recipe
from attar.records.readers.sources import read_source
from attar.records.record import Rejection
from attar.scoring.predictor import Predictor
from attar.task import Example
from torturing.mutations import (
    json_bytes,
    odd_object,
    odd_text,
    odd_value,
    with_bytes_changed,
    with_text_changed,
    with_tree_changed,
)
from torturing.parts import Row
from torturing.seeds import (
    ALL_OF_THEM,
    LABEL_STUDIO,
    REQUEST,
    ROWS,
    SPAN_ROWS,
    TEXTS,
    excel_parts,
    parquet_of,
)

__all__ = ["TARGETS", "Target", "fuzz", "services"]

_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Services:
    """What the targets share.

    Attributes:
        folder: For the files that are read.
        predictor: Of a tiny artifact.
        ask: POSTs a body to a path of the service; the status.
    """

    folder: Path
    predictor: Predictor
    ask: Callable[[str, bytes], int]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that parses.

    Attributes:
        weight: Of a thousand inputs, how many are its.
        run: Makes an input and gives it; whether it got past the parser.
    """

    weight: int
    run: Callable[[random.Random, Services], bool]


def _read_file(name: str, file_format: str | None, make: Callable[[random.Random], bytes]) -> Target:
    """A file that ``attar prepare`` reads; past the parser is one with a record."""

    def run(rng: random.Random, services: Services) -> bool:
        path = services.folder / name
        path.write_bytes(make(rng))
        source = SourceRecipe.model_validate({"path": str(path), "format": file_format})
        found = [not isinstance(one, Rejection) for one in read_source(source)]
        return any(found)

    return Target(40, run)


def _score_file(name: str, make: Callable[[random.Random], bytes]) -> Target:
    """A file that ``attar score`` reads."""

    def run(rng: random.Random, services: Services) -> bool:
        from attar.io.tables.table_files import open_tables
        from attar.scoring.spans import ExampleReader, columns_of, needed_columns

        path, task = services.folder / name, services.predictor.task
        path.write_bytes(make(rng))
        reader, past = ExampleReader(task, first=False), False
        for table in open_tables(path, needed=needed_columns(task, "text", None)):
            kept, columns = columns_of(table, task, "text", None, offsets=True)
            for row in kept.rows():
                past |= not row.problem and isinstance(reader.examples(columns.cells(row.values)), list)
        return past

    return Target(40, run)


def _bytes_of(*seeds: str) -> Callable[[random.Random], bytes]:
    return lambda rng: with_bytes_changed(rng.choice(seeds).encode(), rng)


def _lines_of(trees: Sequence[Any]) -> Callable[[random.Random], bytes]:
    """JSONL: its trees or its bytes changed."""

    def make(rng: random.Random) -> bytes:
        lines = [json_bytes(with_tree_changed(t, rng) if rng.random() < 0.3 else t) for t in trees]
        content = b"\n".join(line.replace(b"\n", b" ") for line in lines)
        return with_bytes_changed(content, rng) if rng.random() < 0.5 else content

    return make


def _tree_of(tree: Any) -> Callable[[random.Random], bytes]:  # noqa: ANN401 - any JSON
    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return with_bytes_changed(json_bytes(tree), rng, 1)
        return json_bytes(with_tree_changed(tree, rng, 3))

    return make


def _excel(rng: random.Random) -> bytes:
    parts = dict(excel_parts())
    name = rng.choice([*parts, "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
    parts[name] = with_bytes_changed(parts[name], rng, 1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)
    content = stream.getvalue()
    return with_bytes_changed(content, rng, 1) if rng.random() < 0.1 else content


def _parquet(rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return with_bytes_changed(parquet_of(ROWS), rng, 1)
    rows = [with_tree_changed(row, rng, 1) if rng.random() < 0.2 else row for row in ROWS]
    return parquet_of(rows)


def _encode(rng: random.Random, services: Services) -> bool:
    text = odd_text(rng).encode("utf-8", "ignore").decode()
    start = rng.randint(0, max(len(text) - 1, 0))
    end = rng.randint(start, len(text))
    example = Example(text, start, end)
    services.predictor.predict_logits([example])
    begin, stop = services.predictor.window(example)
    assert 0 <= begin <= start <= end <= stop <= len(text), (begin, start, end, stop)
    return True


def _recipe(rng: random.Random, services: Services) -> bool:
    path = services.folder / "recipe.toml"
    text = rng.choice(ALL_OF_THEM)
    path.write_bytes(with_text_changed(text, rng, 2).encode("utf-8", "surrogatepass"))
    overrides = []
    if rng.random() < 0.3:
        key = rng.choice(("distill.temperature", "train.encoder", "data.sources", "task.labels", "seed"))
        value = rng.choice(("4", "x", "[1]", "{a=1}", '"b"'))
        overrides.append(with_text_changed(f"{key}={value}", rng, 1))
    load_recipe(path, overrides)
    return True


def _api(rng: random.Random, services: Services) -> bool:
    text = with_text_changed(rng.choice(TEXTS), rng, 2) if rng.random() < 0.5 else rng.choice(TEXTS)
    texts: Any = [text, rng.choice(TEXTS)]
    terms: Any = [rng.choice(("香味", "持妆", text[:2])), "香味"]
    spans: Any = [None, (0, 2)] if rng.random() < 0.3 else None
    if rng.random() < 0.3:
        rng.choice((texts, terms))[rng.randrange(2)] = odd_object(rng)
    if rng.random() < 0.1:
        texts = odd_object(rng)
    if rng.random() < 0.1:
        spans = [odd_object(rng), (rng.randint(-9, 99), odd_value(rng))]
    if rng.random() < 0.2:
        pairs = (
            odd_object(rng) if rng.random() < 0.1 else list(zip(_listed(texts), _listed(terms), strict=False))
        )
        return bool(list(services.predictor.predict_stream(pairs, rng.choice((1, 4096)))))
    return bool(services.predictor.predict(texts, terms, spans))


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any
    return value if isinstance(value, list) else [value]


def _http(path: str, tree: Any) -> Target:  # noqa: ANN401 - any JSON
    """A body for the service; past the parser is one whose rows were looked at."""
    make = _tree_of(tree)

    def run(rng: random.Random, services: Services) -> bool:
        status = services.ask(path, make(rng))
        assert status < 500, f"status {status}"
        return status == 200

    return Target(120, run)


_MARKS = "# channel: 淘宝\n[粉底液|积极|产品]遮瑕好，可惜[持妆|消极]只有两小时。\n[香味|积极]很好\n"
_TARGET = "粉底液遮瑕$T$\n好\n积极\n$T$太淡\n香味\n消极\n"
_TRIPLETS = "粉 底 液 遮 瑕 好####[((3, 4), (5, 5), 'POS')]\n香 味 太 淡####[((0, 1), (3, 3), 'NEG')]\n"
_BIO = "遮\tB-POS\n瑕\tI-POS\n好\tO\n\n香\tB-NEG\n味\tI-NEG\n淡\tO\n"
_CSV = "text,term,label,start\n" + "".join(f'"{row["text"]}",{row["term"]},{row["label"]},\n' for row in ROWS)

TARGETS: Mapping[str, Target] = {
    "readers: markup": _read_file("a.txt", "markup", _bytes_of(_MARKS)),
    "readers: rows": _read_file(
        "b.json", "rows", _tree_of([[r["text"], r["term"], r["label"]] for r in ROWS])
    ),
    "readers: JSONL": _read_file("c.jsonl", None, _lines_of(ROWS)),
    "readers: JSONL, spans in cells": _read_file("d.jsonl", None, _lines_of(SPAN_ROWS)),
    "readers: a JSON list": _read_file("c.json", None, _tree_of(ROWS)),
    "readers: CSV": _read_file("e.csv", None, _bytes_of(_CSV)),
    "readers: TSV": _read_file("f.tsv", None, _bytes_of(_CSV.replace(",", "\t"))),
    "readers: Excel": _read_file("g.xlsx", None, _excel),
    "readers: Parquet": _read_file("h.parquet", None, _parquet),
    "readers: $T$": _read_file("i.txt", "target", _bytes_of(_TARGET)),
    "readers: triplets": _read_file("j.txt", "triplets", _bytes_of(_TRIPLETS)),
    "readers: BIO": _read_file("k.txt", "bio", _bytes_of(_BIO)),
    "readers: Label Studio": _read_file("l.json", "label_studio", _tree_of(LABEL_STUDIO)),
    "readers: a format to be found": _read_file("m.txt", None, _bytes_of(_MARKS, _TARGET, _TRIPLETS, _BIO)),
    "scoring: JSONL": _score_file("n.jsonl", _lines_of(ROWS)),
    "scoring: a JSON list": _score_file("n.json", _tree_of(ROWS)),
    "scoring: CSV": _score_file("o.csv", _bytes_of(_CSV)),
    "window and encoding": Target(120, _encode),
    "recipe": Target(60, _recipe),
    "Python API": Target(100, _api),
    "HTTP: /v1/score": _http("/v1/score", REQUEST),
}


@contextlib.contextmanager
def services(folder: Path, artifact: Path) -> Iterator[Services]:
    """The predictor and the service, in this process."""
    from attar.artifact import load_artifact
    from attar.serving.app import create_app

    folder.mkdir(exist_ok=True)
    os.environ.setdefault("ATTAR_DATA", str(folder))  # without it the recipes of public sets end there
    predictor = Predictor(load_artifact(artifact), workers=1)
    app = create_app(predictor)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        yield Services(folder, predictor, lambda path, body: runner.run(_post(app, path, body)))
        runner.run(lifespan.__aexit__(None, None, None))
    predictor.close()


async def _post(app: Any, path: str, body: bytes) -> int:  # noqa: ANN401 - of ASGI
    """The status of a POST, given to the app without a socket."""
    sent: list[int] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    await app(scope, receive, send)
    return sent[0]


def fuzz(
    name: str, count: int, seed: int, with_services: Services, is_over: Callable[[], bool] = lambda: False
) -> Row:
    """Give a target so many inputs.

    Args:
        name: Of ``TARGETS``.
        count: Inputs.
        seed: The input of a number is always the same.
        with_services: What the targets share.
        is_over: Whether to stop; asked before each input.
    """
    row, target = Row(name), TARGETS[name]
    before = signal.signal(signal.SIGALRM, partial(_late, name))
    try:
        for number in range(count):
            if is_over():
                row.is_cut = True
                break
            signal.alarm(_SECONDS)
            try:
                past = target.run(random.Random(f"{seed} {name} {number}"), with_services)  # noqa: S311
            except AttarError as error:
                if "\n" in str(error):
                    row.fail(f"{name}, input {number}: a message of several lines: {str(error)[:200]!r}")
                else:
                    row.add("refused in words")
            except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
                row.fail(f"{name}, input {number}: {type(error).__name__}: {str(error)[:150]!r}")
            else:
                row.add("past the parser" if past else "each row refused")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return row


def _late(name: str, _signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"{name}: an input took more than {_SECONDS} s")

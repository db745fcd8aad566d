"""Ten and a hundred times as many rows: what each verb that reads rows takes, in time and in memory.

Time is that of the processor, in a process of its own, so another one beside it changes little. Both are
given as powers of the number of rows, between the second size and the third, above what the first took.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from attar.models.checkpoint import save_checkpoint
from torturing.children import Ended, new_process
from torturing.parts import Row, Torture
from torturing.place import write_encoder
from torturing.tiny import TINY_TASK, tiny_artifact, tiny_checkpoint

__all__ = ["VERBS", "Verb", "growth", "scale", "write_rows"]

_MOST_POWER = 1.35
"""Of time: n log n, with a margin for caches that grow too small."""
_FLAT_BYTES = 48 << 20
"""More memory than this at ten times the rows is not flat."""
_MENTIONS_BYTES, _BYTES_PER_BYTE = 256 << 20, 32
"""Memory that a row of many mentions may take, beside so many bytes for each byte of the row."""
_LEAST_S, _LEAST_BYTES = 0.2, 16 << 20  # below these a power says nothing
_NOISE = 0.1  # of what the first took: a start varies by as much beside other work
_CHARS = "香味很好但是持妆太差了肤色粉底液不推荐口红的一" + "".join(map(chr, range(0x5000, 0x5300)))
_ROWS_PER_CLAUSE = 5  # about that of reviews: each clause is in some twenty rows, however many rows there are
_FEW_CLAUSES = 12  # nearly each row has grams in common with each
_RECIPE = f"""[task]
name = "{TINY_TASK.name}"
labels = {json.dumps(TINY_TASK.labels, ensure_ascii=False)}
[encode]
max_tokens = 48
[train]
encoder = "encoder"
epochs = 1
precision = "fp32"
[student]
layers = 1
hidden = 32
heads = 4
intermediate = 64
[distill]
epochs = 1
allow_collapsed = true
precision = "fp32"
[pretrain]
epochs = 1
max_tokens = 48
held_out = 0.1
precision = "fp32"
[evaluate]
bootstrap = 100
speed_examples = 8
speed_repeats = 1
[gate]
max_loss_to_teacher = 1.0
min_gain_over_linear = -1.0
[export]
max_flips = 0.5
max_f1_loss = 0.5
qat_epochs = 0
"""


class Verb(NamedTuple):
    """A verb that reads rows.

    Attributes:
        base: Rows at the first size.
        arguments: Of the number of rows; names are those of ``_Inputs``.
        is_flat: Whether it promises the same memory for any number of rows.
        most_power: Of the number of rows, with which its time may grow.
    """

    base: int
    arguments: Callable[[int], list[str]]
    is_flat: bool = False
    most_power: float = _MOST_POWER


VERBS: dict[str, Verb] = {
    "prepare": Verb(1_000, lambda n: ["prepare", f"{n}.jsonl", "--recipe", "r.toml", "--out", "out"]),
    "prepare, reviews of a dozen phrases": Verb(
        1_000, lambda n: ["prepare", f"{n}.few.jsonl", "--recipe", "r.toml", "--out", "out"],
        most_power=1.6,  # pairs of them are told apart one by one
    ),
    "score, JSONL": Verb(
        1_000, lambda n: ["score", "artifact", "--in", f"{n}.jsonl", "--out", "out.jsonl"], is_flat=True
    ),
    "score, CSV": Verb(
        1_000, lambda n: ["score", "artifact", "--in", f"{n}.csv", "--out", "out.csv"], is_flat=True
    ),
    "score, Excel": Verb(1_000, lambda n: ["score", "artifact", "--in", f"{n}.jsonl", "--out", "out.xlsx"]),
    "compare": Verb(1_000, lambda n: ["compare", f"{n}.jsonl", f"{n}.csv", "--out", "out.xlsx"]),
    "insight": Verb(1_000, lambda n: ["insight", f"{n}.jsonl", "--by", "term,group", "--out", "out"]),
    "init": Verb(1_000, lambda n: ["init", f"{n}.jsonl", "--out", "out.toml"]),
    "terms": Verb(1_000, lambda n: ["terms", f"{n}.said.jsonl", "--out", "out.csv"]),
    "evaluate": Verb(
        200,
        lambda n: [
            "evaluate", "--recipe", "r.toml", "--data", f"data{n}", "--artifact", "artifact", "--out", "out"
        ],
    ),
    "export": Verb(
        200, lambda n: ["export", "checkpoint", "--recipe", "r.toml", "--data", f"data{n}", "--out", "out"]
    ),
    "cascade": Verb(
        200,
        lambda n: [
            "cascade", "--first", "artifact", "--second", "artifact", "--data", f"data{n}",
            "--agreement", "0.5", "--out", "out",
        ],
    ),
    "train": Verb(200, lambda n: ["train", "r.toml", "--data", f"data{n}", "--out", "out"]),
    "distill": Verb(
        200,
        lambda n: ["distill", "r.toml", "--data", f"data{n}", "--teacher", "teacher", "--out", "out"],
    ),
    "pretrain": Verb(200, lambda n: ["pretrain", "r.toml", "--texts", f"{n}.jsonl", "--out", "out"]),
}  # fmt: skip
"""By name, those that read rows."""


def write_rows(path: Path, count: int, seed: int) -> None:
    """Rows of clauses that are put together in another way in each, as JSONL or CSV by the ending."""
    between = "很好，" if ".said" in path.suffixes else "，"  # terms are what something is said of
    num_clauses = _FEW_CLAUSES if ".few" in path.suffixes else max(_FEW_CLAUSES, count // _ROWS_PER_CLAUSE)
    rng = random.Random(seed)  # noqa: S311 - no secrets
    some = ["".join(rng.choices(_CHARS, k=rng.randint(3, 9))) for _ in range(num_clauses)]
    with path.open("w", encoding="utf-8") as stream:
        if path.suffix == ".csv":
            stream.write("text,term,label,group\n")
        for number in range(count):
            clauses = rng.choices(some, k=rng.randint(2, 6))
            text = f"第{number}条，{between.join(clauses)}，香味怎样"
            label = TINY_TASK.labels[rng.randrange(3)]
            group = f"牌子{rng.randrange(12)}"
            if path.suffix == ".csv":
                stream.write(f"{text},香味,{label},{group}\n")
            else:
                row = {
                    "text": text,
                    "term": "香味",
                    "label": label,
                    "group": group,
                    "start": len(text) - 4,
                    "end": len(text) - 2,
                }
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def scale(torture: Torture) -> Iterator[Row]:
    """Each verb at 1, 10 and 100 times the rows; in a share, a tenth as many."""
    folder = torture.folder
    checkpoint = tiny_checkpoint()
    save_checkpoint(checkpoint, folder / "checkpoint")
    tiny_artifact(checkpoint, folder / "artifact")
    (folder / "r.toml").write_text(_RECIPE, "utf-8")
    write_encoder(str(folder), 0)
    for name, verb in VERBS.items():
        if torture.is_over:
            return
        yield _at_three_sizes(name, verb, folder, verb.base // 10 if torture.is_short else verb.base)
    yield from _many_mentions(folder, 100_000 if torture.is_short else 1_000_000)


def _at_three_sizes(name: str, verb: Verb, folder: Path, base: int) -> Row:
    sizes = [base, 10 * base, 100 * base]
    found: list[Ended] = []
    for size in sizes:
        _make_inputs(folder, size, verb.arguments(size))
        ended = new_process(verb.arguments(size), folder)
        found.append(ended)
        for out in folder.glob("out*"):
            shutil.rmtree(out) if out.is_dir() else out.unlink()
        if ended.code != 0:
            row = Row(f"`attar {name}`")
            row.fail(f"{name}, {size} rows: exit code {ended.code}: {ended.said[-300:]!r}")
            return row
    seconds, peaks = [one.cpu_s for one in found], [one.peak_bytes for one in found]
    time_power, memory_power = growth(seconds, sizes, _LEAST_S), growth(peaks, sizes, _LEAST_BYTES)
    shown = (
        f"{', '.join(f'{s:.1f}' for s in seconds)} s of the processor: n^{time_power:.2f}; "
        f"{', '.join(f'{p / 1e6:.0f}' for p in peaks)} MB: n^{memory_power:.2f}"
    )
    row = Row(f"`attar {name}`, {', '.join(f'{size:,}' for size in sizes)} rows: {shown}")
    for _ in sizes:
        row.add("done")
    if time_power > verb.most_power:
        row.fail(f"{name}: its time grows as n^{time_power:.2f}, more than n^{verb.most_power}")
    if verb.is_flat and peaks[2] - peaks[1] > _FLAT_BYTES:
        row.fail(f"{name}: {(peaks[2] - peaks[1]) / 1e6:.0f} MB more for the largest, and it promises none")
    return row


def growth(values: Sequence[float], sizes: Sequence[int], least: float) -> float:
    """The power of the size with which a value grows from the second to the third, above the first.

    0 where it grows by less than ``least``, or than a start varies by.
    """
    first, second, third = values
    least = max(least, _NOISE * first)
    if third - first < least:
        return 0.0
    return math.log(max(third - first, 1e-9) / max(second - first, least)) / math.log(sizes[2] / sizes[1])


def _make_inputs(folder: Path, size: int, arguments: Sequence[str]) -> None:
    for ending in ("jsonl", "csv", "few.jsonl", "said.jsonl"):
        path = folder / f"{size}.{ending}"
        if not path.exists():
            write_rows(path, size, seed=size)
    data = folder / f"data{size}"
    teacher = ["train", "r.toml", "--data", str(data), "--out", "teacher"]
    for name, command in (
        (data.name, ["prepare", f"{size}.jsonl", "--recipe", "r.toml", "--out", str(data)]),
        ("teacher", teacher),
    ):
        if name in arguments and not (folder / name).exists():
            made = new_process(command, folder)
            assert made.code == 0, made.said


def _many_mentions(folder: Path, count: int) -> Iterator[Row]:
    """One row with ``count`` mentions, in each way that a row can have them.

    Written with its text a row of three megabytes would be terabytes, so that is cut off at the limit; the
    others keep an id alone, and all of their mentions are written.
    """
    terms = [f"味{number}" for number in range(count)]
    rows: dict[str, tuple[dict[str, object], list[str], int | None]] = {
        "of its term": ({"text": "香" * count, "term": "香"}, [], count),
        "of its term, with its text": ({"text": "香" * count, "term": "香"}, [], None),
        "of terms of a list": ({"text": "香味，" * count}, ["--terms", "mentioned.csv"], count),
        "of terms of a list, with entities": (
            {"text": "&amp;香味" * count}, ["--terms", "mentioned.csv"], count,
        ),
        "of a cell with as many terms, one of them in its text": (
            {"text": "味7很好", "term": terms}, ["--split-terms", "、"], 1,
        ),
        "of a cell with as many terms, all of them in its text": (
            {"text": f"{'，'.join(terms)}，", "term": terms}, ["--split-terms", "、", "--first"], None,
        ),
    }  # fmt: skip
    (folder / "mentioned.csv").write_text("香味,味道\n", "utf-8")
    for name, (values, options, wanted) in rows.items():
        row = Row(f"`attar score`, a row with {count:,} mentions {name}")
        path = folder / "mentions.jsonl"
        path.write_text(json.dumps({"id": 1, **values}, ensure_ascii=False) + "\n", "utf-8")
        kept = ["--columns", "id"] if wanted is not None else []
        score = ["score", "artifact", "--in", path.name, "--out", "out.jsonl", *kept, *options]
        environment = {} if kept else {"ATTAR_MAX_ROW_GB": "0.2"}
        ended = new_process(score, folder, seconds=1800, environment=environment)
        row.what += f": {ended.cpu_s:,.0f} s of the processor, {ended.peak_bytes / 1e6:,.0f} MB"
        wrong = ended.broken or _wrong_mentions(folder / "out.jsonl", ended, wanted, path.stat().st_size)
        if wrong:
            row.fail(f"{count} mentions {name}: {wrong}")
        elif wanted is not None:
            row.add("all written")
        else:
            row.add("cut off at the limit, and said so")
        for out in folder.glob("out*"):
            out.unlink()
        yield row


def _wrong_mentions(out: Path, ended: Ended, wanted: int | None, num_bytes: int) -> str:
    """What is wrong with the mentions that were written, or with the memory that it took."""
    most = _MENTIONS_BYTES + _BYTES_PER_BYTE * num_bytes
    if ended.peak_bytes > most:
        return f"took {ended.peak_bytes / 1e6:.0f} MB for a row of {num_bytes / 1e6:.0f} MB"
    if wanted is None:
        return "" if "too_many_mentions 1" in ended.said else f"was not cut off: {ended.said[-300:]!r}"
    with out.open("rb") as stream:
        found = sum(1 for _ in stream)
    return "" if found == wanted else f"{found} of {wanted} were written"

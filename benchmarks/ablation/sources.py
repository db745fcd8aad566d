"""The data of the plan: parts of public sets, cut once."""

from __future__ import annotations

import ast
import csv
import os
import random
from collections.abc import Iterable
from pathlib import Path

from ablation.plan import Model, Plan
from attar.io.files import atomic_write
from attar.io.tables.jsonl import json_line
from attar.records.prepared_folder import load_split

_SHORTEST = 6  # characters of a whole review


def make_sources(plan: Plan, dataset: str) -> None:
    """Write what a dataset's recipe reads beside the public files, unless it is there."""
    for key, name, make in (
        ("terms", "unlabelled.txt", _cut_labels),
        ("reviews", "rows.jsonl", _sample_reviews),
        ("apart_from", "held_out.jsonl", _hold_out),
    ):
        if key in plan.dataset(dataset) and not (plan.out / dataset / name).is_file():
            make(plan, dataset)


def _cut_labels(plan: Plan, dataset: str) -> None:
    """The first reviews of train.txt keep their labels, the others only their text."""
    chosen = plan.dataset(dataset)
    source = Path(os.environ["ATTAR_DATA"]) / chosen["recipe"] / "train.txt"
    terms, labelled, texts = 0, [], []
    for line in source.read_text("utf-8").splitlines():
        text, _, triplets = line.rpartition("####")
        if terms < chosen["terms"]:
            terms += len({str(span) for span, _, _ in ast.literal_eval(triplets)})
            labelled.append(line)
        else:
            texts.append("".join(text.split(" ")))
    _write(plan.out / dataset / "labelled.txt", labelled)
    _write(plan.out / dataset / "unlabelled.txt", texts)


def _sample_reviews(plan: Plan, dataset: str) -> None:
    """A sample of whole reviews, the beginning of each."""
    chosen = plan.dataset(dataset)
    source = Path(os.environ["ATTAR_DATA"]) / chosen["recipe"] / f"{chosen['recipe']}.csv"
    with source.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    random.Random(plan.tree["sample_seed"]).shuffle(rows)  # noqa: S311 - a sample, not a secret
    labels: dict[str, str] = {}
    for row in rows:
        if len(text := row["review"].strip()) >= _SHORTEST:
            labels.setdefault(text, row["label"])
    texts = list(labels)[: chosen["reviews"]]
    sample = ({"text": text[: chosen["chars"]], "label": labels[text]} for text in texts)
    _write(plan.out / dataset / "rows.jsonl", map(json_line, sample))


def _hold_out(plan: Plan, dataset: str) -> None:
    """What another dataset holds out, as this one's test split: the audit keeps it out of training."""
    other = plan.dataset(dataset)["apart_from"]
    task = plan.recipe(Model(other, "teacher")).resolved_task()
    rows = (
        {
            "text": example.text,
            "term": example.term,
            "start": example.start,
            "end": example.end,
            "label": task.labels[task.index_of(example)],
        }
        for split in ("dev", "test")
        for example in load_split(plan.data(other), split)
    )
    _write(plan.out / dataset / "held_out.jsonl", map(json_line, rows))


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_write(path) as draft:
        draft.write_text("".join(f"{line}\n" for line in lines), "utf-8")

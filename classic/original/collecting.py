"""Labelled sources -> a data folder of the original: train.json, dev.json and, if wanted, test.json.

``sources -> attar.records.prepare -> data_root_dir/TASK``. The original shuffled rows, so that a review
could be in train and dev; here near-duplicates stay in one split. Rejected rows go to rejected.jsonl, and
audit.html shows everything. newcos has rows of three columns, cut at 25 characters
on either side of the keyword; the other tasks have seven.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError
from attar.io.files import atomic_write, file_hash, read_json, write_json
from attar.io.lines import numbered_lines
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared_folder import load_manifest, load_split, write_rows
from attar.task import Task
from original.tool import say

__all__ = ["SEED", "WEIBO", "Shares", "collect"]

SEED = 30  # the original's
WEIBO = ("weibo", "Weibo", "WEIBO", "微博", "新浪微博")
"""Channels whose rows are for training alone."""

_UNLABELLED = ("missing_label", "unknown_label")
_LABEL_COLUMN = 4
_LONGEST_LABEL = 20
_MOST_LABELS = 10

Shares = Literal["80/20", "90/5/5"]


def collect(
    sources: Sequence[SourceRecipe],
    task: Task,
    out: Path,
    *,
    shares: Shares,
    seed: int = SEED,
    disagreement: Literal["drop", "majority", "weights"] = "drop",
) -> dict[str, Any]:
    """Fetch, read, audit and split sources, and write the data folder.

    Args:
        sources: Files, folders and servers.
        task: With the accepted labels.
        out: The data folder.
        shares: Of train and dev, or of train, dev and test.
        seed: Of the split and the order.
        disagreement: What to do with a keyword that annotators label differently.

    Returns:
        The manifest, as written.

    Raises:
        DataError: A source cannot be read, no row can be used, or a split would be empty.
    """
    # Two tenths are held out as dev and test, and joined afterwards.
    short = task.name == "newcos" and disagreement != "weights"
    held_out = 0.05 if shares == "90/5/5" else 0.1
    data = DataRecipe(dev=held_out, test=held_out, train_only=WEIBO, disagreement=disagreement)
    try:
        manifest = prepare(sources, task, data, seed, out)
    except DataError as error:
        labels = _labels_of_rejected(out / "rejected.jsonl")
        raise DataError(
            f"{error}. Labels of the rejected rows: {labels}" if labels else str(error)
        ) from error
    if shares == "80/20":
        manifest = _without_test(out)
    _report(manifest, out)
    if short:
        _write_short_rows(out, task.window_chars or 0)
    return manifest


def _labels_of_rejected(path: Path) -> str:
    """The unknown labels of the rejected rows, the most frequent first; "" if there are none."""
    counts: Counter[str] = Counter()
    if path.is_file():
        for _, line in numbered_lines(path):
            rejection = json.loads(line)
            row = rejection["row"]
            if rejection["reason"] in _UNLABELLED and len(row) > _LABEL_COLUMN:
                label = row[_LABEL_COLUMN]
                # Anything longer is likely the text of a review.
                shown = "(none)" if label is None else str(label)
                counts[shown if len(shown) <= _LONGEST_LABEL else "(something longer)"] += 1
    return ", ".join(f"{label} {count}" for label, count in counts.most_common(_MOST_LABELS))


def _write_short_rows(out: Path, chars: int) -> None:
    """Rewrite the splits as newcos has them: ``[text, keyword, label]``, cut ``chars`` around the keyword."""
    for path in (out / f"{name}.json" for name in ("train", "dev", "test")):
        if path.is_file():
            rows = [
                [text[max(0, start - chars) : end + chars], keyword, label]
                for text, keyword, start, end, label, *_ in read_json(path)
            ]
            with atomic_write(path) as draft:
                lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
                draft.write_text(f"[\n{lines}\n]\n", "utf-8")
    # It described files of seven columns, as attar's own verbs read them.
    (out / "manifest.json").unlink()


def _without_test(out: Path) -> dict[str, Any]:
    """Join the test split of a prepared folder with its dev split."""
    manifest = load_manifest(out)
    write_rows(out / "dev.json", [*load_split(out, "dev"), *load_split(out, "test")])
    (out / "test.json").unlink()
    for counts in (manifest["labels"], manifest["channels"]):
        both = Counter(counts["dev"])
        both.update(counts.pop("test"))
        counts["dev"] = dict(both)
    del manifest["files"]["test.json"]
    manifest["files"]["dev.json"] = file_hash(out / "dev.json")
    manifest["settings"] |= {"dev": 0.2, "test": 0.0}
    write_json(out / "manifest.json", manifest)
    return manifest


def _report(manifest: dict[str, Any], out: Path) -> None:
    sizes = {name: sum(counts.values()) for name, counts in manifest["labels"].items()}
    names = {"train": "训练集", "test": "测试集", "dev": "开发集"}
    say("保存成功，" + ",".join(f"{said}{sizes[name]}" for name, said in names.items() if name in sizes))
    labels = _labels_of_rejected(out / "rejected.jsonl")
    reasons = ", ".join(f"{reason} {count}" for reason, count in manifest["reasons"].items())
    if reasons:
        say(f"未使用的数据: {reasons} -> {out / 'rejected.jsonl'}")
    if labels:
        say(f"无法识别的标签: {labels}")
    if manifest["num_repaired"]:
        say(f"修正位置的数据: {manifest['num_repaired']} -> {out / 'repaired.jsonl'}")

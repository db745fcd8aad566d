"""Labelled sources to a data folder of the original: train.json, dev.json and, if wanted, test.json.

``sources -> attar.records.prepare -> data_root_dir/TASK``. The original shuffled rows, so that one
review stood on both sides; here reviews that say the same stay together. What is not used lands in
rejected.jsonl, and audit.html shows the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from attar.files import file_hash, write_json
from attar.recipe import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared import load_manifest, load_split
from attar.records.rows import write_rows
from attar.task import Task
from original.tool import say

__all__ = ["SEED", "WEIBO", "Shares", "collect"]

SEED = 30  # the original's
WEIBO = ("weibo", "Weibo", "WEIBO", "微博", "新浪微博")
"""Channels whose rows are trained on and never held out."""

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
    """Fetch, read, audit, split and write.

    Args:
        sources: Files, folders and servers.
        task: Whose labels decide what is accepted.
        out: The data folder.
        shares: Of train and dev, or of train, dev and test.
        seed: Decides the split and the order.
        disagreement: What becomes of a keyword that annotators label differently.

    Returns:
        The manifest, as written.

    Raises:
        DataError: A source cannot be read, no row can be used, or a split would be empty.
    """
    # Two halves of a held-out fifth are drawn, and laid together afterwards.
    held_out = 0.05 if shares == "90/5/5" else 0.1
    data = DataRecipe(dev=held_out, test=held_out, train_only=WEIBO, disagreement=disagreement)
    manifest = prepare(sources, task, data, seed, out)
    if shares == "80/20":
        manifest = _without_test(out)
    _report(manifest, out)
    return manifest


def _without_test(out: Path) -> dict[str, Any]:
    """Let the test split of a prepared folder join its dev split."""
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
    reasons = ", ".join(f"{reason} {count}" for reason, count in manifest["reasons"].items())
    if reasons:
        say(f"未使用的数据: {reasons} -> {out / 'rejected.jsonl'}")
    if manifest["num_repaired"]:
        say(f"修正位置的数据: {manifest['num_repaired']} -> {out / 'repaired.jsonl'}")

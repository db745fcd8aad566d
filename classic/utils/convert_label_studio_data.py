"""Label Studio exports as a data folder: ``python utils/convert_label_studio_data.py EXPORTS``.

Old exports (``completions``) and today's (``annotations``), files, folders of them, or the address
of a project (its token in LABEL_STUDIO_API_KEY). Keywords are text, never regular expressions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from original.installed import require

require("data")

from attar.recipe.load import SourceRecipe
from attar.task import BUILT_IN_TASKS, task_by_name
from original.collecting import SEED, collect
from original.tool import run_tool


def main(argv: Sequence[str] | None = None) -> None:
    """Read the exports, check them and split them."""
    args = _parser().parse_args(argv)
    sources = [SourceRecipe(path=source) for source in args.sources]
    sources += [_weibo(path) for path in args.weibo]
    collect(
        sources,
        task_by_name(args.task_name),
        args.out or Path("data_root_dir") / args.task_name,
        shares=args.shares,
        seed=args.seed,
        disagreement=args.disagreement,
    )


def _weibo(path: str) -> SourceRecipe:
    """Rows for training alone; all.txt is what the original wrote of its MongoDB."""
    return SourceRecipe(path=path, format="mongodb" if path.endswith(".txt") else None, split="train")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Label Studio exports as a data folder.")
    add = parser.add_argument
    add("sources", nargs="+", metavar="EXPORT", help="a file, a folder, or http://HOST/projects/7")
    add("--task_name", choices=sorted(BUILT_IN_TASKS), default="newcos", help="default newcos")
    add("--out", type=Path, help="the data folder; default data_root_dir/TASK")
    add("--shares", choices=("80/20", "90/5/5"), default="80/20", help="of train, dev (and test)")
    add("--weibo", nargs="*", default=[], metavar="SOURCE",
        help="rows for training alone: documents of MongoDB, one a line, or any other source")  # fmt: skip
    add("--disagreement", choices=("drop", "majority", "weights"), default="drop",
        help="where annotators disagree: drop, take the majority, or keep all with their shares")  # fmt: skip
    add("--seed", type=int, default=SEED, help=f"of the split; default {SEED}")
    return parser


if __name__ == "__main__":
    sys.exit(run_tool(main))

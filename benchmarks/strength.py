"""How strong a small student is, and which part of its training gives what: the tables of distillation.

    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength                     # everything
    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength --sets cars --seeds 20
    ATTAR_DATA=DIR python benchmarks/strength.py --out runs/strength --results docs/results.md

A queue: benchmarks/strength.toml lists the models of each set; each becomes a folder under OUT and a
line of OUT/scores.jsonl with its score on dev. Started again it resumes; started twice, on another
core, the two share the work. Settings are chosen by the scores on dev; the test split is scored when
--results writes the tables, of the models that are finished then.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ablation.plan import Model, Plan
from ablation.tables import dataset_table
from ablation.training import train_all
from peers.document import command_line, publish


def main() -> None:
    """Train what is wanted, or write the tables."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", metavar="SET", help="of strength.toml; all by default")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="these rows only")
    parser.add_argument("--shapes", nargs="+", metavar="SHAPE", help="these students only")
    parser.add_argument("--seeds", nargs="+", type=int, default=[20, 21, 22])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = args.out.resolve()
    os.environ["STRENGTH"] = str(out)
    plan = Plan(out, args.seeds)
    datasets = args.sets or list(plan.tree["sets"])
    if args.results:
        for name in datasets:
            lines = dataset_table(plan, name)
            publish(args.results, f"strength-{name}", f"Distillation, row by row: {name}", lines)
        return

    def wanted(model: Model) -> bool:
        row = args.rows is None or model.row in args.rows
        return row and (not model.shape or args.shapes is None or model.shape in args.shapes)

    train_all(plan, datasets, wanted)


if __name__ == "__main__":
    main()

"""One recipe under several seeds: whether each run gives an artifact, and what int8 costs in it.

    python benchmarks/seeds.py recipes/quickstart.toml --seeds 20,21,22,23,24,25 --out runs/seeds
    python benchmarks/seeds.py recipes/quickstart.toml --out runs/seeds --results docs/results.md

Each seed is an `attar run` of its own, one after the other; finished runs are up to date when the command
is given again. The table holds the runs that are finished.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers.document import command_line, machine_line, markdown_table, publish

from attar.io.files import read_json
from attar.system_info import system_info

_HEADS = (
    "seed", "teacher", "student", "int8", "finetuned", "linear", "int8 - student", "int8 - teacher",
    "precision", "flips of 2,000, % (first pass)", "smaller", "faster", "verdict",
)  # fmt: skip
_MODELS = ("teacher", "student", "student_int8", "finetuned", "tfidf")


def main() -> None:
    """Run the seeds and write the table."""
    parser = command_line(__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--seeds", default="20,21,22,23,24,25")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="handed to attar run")
    args = parser.parse_args()
    rows = []
    for seed in args.seeds.split(","):
        folder = args.out / seed
        more = [word for one in (f"seed={seed}", *args.overrides) for word in ("--set", one)]
        command = [sys.executable, "-c", "from attar.cli import main; main()", "run", str(args.recipe)]
        subprocess.run([*command, "--out", str(folder), *more], check=False)  # noqa: S603 - our own
        rows.append((seed, _figures(folder)))
    machine = system_info()
    head = f"`python benchmarks/seeds.py {args.recipe} --seeds {args.seeds} --out RUNS` on "
    head += f"{machine_line(machine, machine['cores'])}."
    publish(args.results, "seeds", "The quickstart under six seeds", [head, "", *_table(rows)])


def _figures(folder: Path) -> dict[str, Any] | None:
    try:
        report = read_json(folder / "report" / "report.json")
        card = read_json(folder / "candidate" / "attar.json")
    except OSError:
        return None
    scores = {name: 100 * report["models"][name]["macro_f1"] for name in _MODELS}
    found = {"parity": card["parity"], "ratios": report["ratios"], "verdict": report["verdict"]["status"]}
    return scores | {"precision": card["precision"]} | found


def _table(rows: list[tuple[str, dict[str, Any] | None]]) -> list[str]:
    cells, differences = [], []
    for seed, found in rows:
        if found is None:
            cells.append([seed, "no artifact", *[""] * (len(_HEADS) - 2)])
            continue
        int8, parity = found["student_int8"], found["parity"]
        differences.append((int8 - found["student"], int8 - found["teacher"]))
        flips = f"{100 * parity.get('int8_flips', 0):.2f} ({100 * parity.get('first_pass_flips', 0):.2f})"
        cells.append(
            [
                seed,
                *(f"{found[name]:.1f}" for name in _MODELS),
                *(f"{value:+.2f}" for value in differences[-1]),
                found["precision"],
                flips,
                *(f"{found['ratios'][key] or 0:.0f}x" for key in ("smaller", "faster")),
                found["verdict"],
            ]
        )
    lines = markdown_table(_HEADS, cells)
    if differences:
        student, teacher = np.mean(differences, 0)
        means = f"int8 - student {student:+.2f} points, int8 - teacher {teacher:+.2f}; macro-F1 on test."
        lines += ["", f"Means: {means}"]
    return lines


if __name__ == "__main__":
    main()

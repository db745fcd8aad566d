"""From labels to a model with nothing but `task` and `data`: each set's own test split, one run a seed.

    ATTAR_DATA=DIR python benchmarks/own_labels.py --out runs/own-labels          # six sets, three seeds
    ATTAR_DATA=DIR python benchmarks/own_labels.py --out runs/own-labels --sets makeup --seeds 20
    ATTAR_DATA=DIR python benchmarks/own_labels.py --out runs/own-labels --results docs/results.md

Each is an `attar run` of its own on the set's recipe, which names a task and data alone, then a cascade of
its linear model and its artifact. A seed has its own split where the set has none. The ready model, which was
taught no label of the other sets, answers the same test rows. `--budget HOURS` starts no further run after
that time; finished ones are up to date when the command is given again, and the table holds those that are
finished. Settings were chosen on dev splits (benchmarks/default_recipe.py), never here.
"""

from __future__ import annotations

import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from peers.document import command_line, machine_line, markdown_table, publish, say
from peers.sets import OWN, SETS

from attar import load
from attar.io.files import atomic_write, read_json
from attar.metrics import scores
from attar.ready import ready_models
from attar.records.prepared_folder import load_split
from attar.system_info import system_info

_CORPUS = Path(__file__).resolve().parents[1] / "corpus" / "cosmetics"
_OWN = 'task = "cosmetics"\n\n[data]\nsources = [{corpus}]\n'
_MODELS = ("tfidf", "finetuned", "teacher", "student", "student_int8")
_HEADS = (
    "set", "seed", "terms: train, test", "linear", "finetuned", "teacher", "student", "int8", "int8 - linear",
    "int8 - teacher", "smallest class: n, linear, int8", "cascade: passed on, rate",
    "ready", "verdict",
)  # fmt: skip


_ATTAR = (sys.executable, "-c", "from attar.cli import main; main()")
_READY = "zh-reviews"


class Run(NamedTuple):
    """A run of one set under one seed, and what it found: None where it is not finished."""

    name: str
    seed: int
    report: dict[str, Any] | None
    cascade: dict[str, Any] | None = None
    ready: tuple[float, float] | None = None


def main() -> None:
    """Run what is missing and write the table."""
    parser = command_line(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[20, 21, 22])
    parser.add_argument("--budget", type=float, default=float("inf"), help="hours after which no run begins")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="handed to attar run")
    args = parser.parse_args()
    started, runs = time.monotonic(), []
    for seed in args.seeds:
        for name in args.sets:
            folder = args.out / f"{name}-{seed}"
            if (time.monotonic() - started) / 3600 < args.budget:
                _run(recipe_of(name, args.out), seed, folder, args)
            else:
                say(f"{name}, seed {seed}: the budget is used up")
            ready = None if name == OWN else _ready(folder / "data")
            cascade = _read(folder / "cascade" / "attar.json")
            runs.append(Run(name, seed, _read(folder / "report" / "report.json"), cascade, ready))
    machine = system_info()
    named = "".join(f" --set {one}" for one in args.overrides)
    command = f"python benchmarks/own_labels.py --out RUNS --sets {' '.join(args.sets)}"
    head = f"`{command} --seeds {' '.join(map(str, args.seeds))}{named}` on "
    lines = [f"{head}{machine_line(machine, machine['cores'])}.", "", *table(runs)]
    publish(args.results, "own-labels", "From your own labels", lines)


def recipe_of(name: str, out: Path) -> Path:
    """The recipe of a set; that of the project's own reviews is written here."""
    if name != OWN:
        return SETS[name]
    path = out.resolve() / f"{name}.toml"
    with atomic_write(path) as draft:
        corpus = f'"{_CORPUS}"'
        draft.write_text(_OWN.format(corpus=corpus), "utf-8")
    return path


def _run(recipe: Path, seed: int, folder: Path, args: Namespace) -> None:
    more = [word for one in (f"seed={seed}", *args.overrides) for word in ("--set", one)]
    subprocess.run([*_ATTAR, "run", str(recipe), "--out", str(folder), *more], check=False)  # noqa: S603 - our own
    members = ["--first", str(folder / "linear"), "--second", str(_artifact(folder)), "--accept-refused"]
    made = [*_ATTAR, "cascade", *members, "--data", str(folder / "data"), "--out", str(folder / "cascade")]
    subprocess.run(made, check=False)  # noqa: S603 - our own


def _artifact(folder: Path) -> Path:
    """What the run exported, whatever the gate said."""
    refused = folder / "artifact-refused"
    return refused if refused.is_dir() else folder / "artifact"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = read_json(path)
    except OSError:
        return None
    return found


def _ready(data: Path) -> tuple[float, float] | None:
    """Macro-F1 over the labels that the test split has, and accuracy, of the ready model; None without it."""
    if not (data / "test.json").is_file() or _READY not in ready_models():
        return None
    test, predictor = load_split(data, "test"), load(_READY)
    gold = np.array([predictor.task.index_of(one) for one in test], np.int64)
    found = scores(predictor.task, gold, predictor.predict_probs(test))
    return float(np.mean([one.f1 for one in found.labels.values() if one.support])), found.accuracy


def table(runs: list[Run]) -> list[str]:
    """A row a run: macro-F1 / accuracy of each model on test; then the means over the runs of each set."""
    finished = [run for run in runs if run.report is not None]
    lines = markdown_table(_HEADS, [_row(run, run.report) for run in finished if run.report])
    for name in dict.fromkeys(run.name for run in finished):
        reports = [run.report for run in finished if run.name == name and run.report]
        if len(reports) > 1:
            means = (
                f"{model} {100 * np.mean([report['models'][model]['macro_f1'] for report in reports]):.1f}"
                for model in _MODELS
            )
            lines += ["", f"{name}, mean macro-F1 of {len(reports)} seeds: {', '.join(means)}."]
    if missing := [f"{run.name} {run.seed}" for run in runs if run.report is None]:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return lines


def _row(run: Run, report: dict[str, Any]) -> list[str]:
    models, paired = report["models"], report["paired_differences"]
    scores = [f"{100 * models[m]['macro_f1']:.1f} / {100 * models[m]['accuracy']:.1f}" for m in _MODELS]
    labels = models["student_int8"]["labels"]
    rarest = min(labels, key=lambda label: (labels[label]["support"], label))
    f1 = (f"{100 * models[m]['labels'][rarest]['f1']:.0f}" for m in ("tfidf", "student_int8"))
    return [
        run.name,
        str(run.seed),
        f"{sum((report['train_labels'] or {}).values()):,}, {report['num_test']:,}",
        *scores,
        *(difference(paired[other]) for other in ("tfidf", "teacher")),
        f"{rarest} {labels[rarest]['support']}, {', '.join(f1)}",
        "" if run.cascade is None else _cascaded(run.cascade["cascade"]["figures"]["test"]),
        "" if run.ready is None else f"{100 * run.ready[0]:.1f} / {100 * run.ready[1]:.1f}",
        report["verdict"]["status"],
    ]


def _cascaded(figures: dict[str, dict[str, float]]) -> str:
    whole, last = figures["cascade"], figures["2"]
    times = whole["examples_per_second"] / last["examples_per_second"]
    return f"{100 * whole['macro_f1']:.1f}: {whole['passed_on']:.0%}, {times:.1f}x"


def difference(found: Mapping[str, float]) -> str:
    """A paired difference with its interval, in points."""
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


if __name__ == "__main__":
    main()

"""``attar run --repeat RUN``: a run again, beside the first, and what differs between the two.

The same recipe, data, seed, versions and threads give the same bytes. So a run keeps its recipe
(``recipe.json``), each stage's stamp says with what it was made, and the repeat compares every file by its
bytes. What a clock decides (speeds, seconds) is left out of the few files that hold it; all else in them
is compared.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from attar import __version__
from attar.errors import RunError
from attar.io.files import file_hash, read_json, write_json
from attar.io.stamps import beside, output_hashes, read_stamp
from attar.recipe.load import Recipe
from attar.stage_cache import is_first_process, without_secrets

__all__ = ["RECIPE_FILE", "Comparison", "compare_runs", "keep_recipe", "kept_recipe", "repeat_run"]

RECIPE_FILE = "recipe.json"
"""What a run was made from, as it was understood; addresses in it are without user and options."""

# Of report.json and metrics.jsonl: names of what a clock gives.
_TIMED = re.compile(r"seconds|latency|per_second|_ms\b|_ms_|faster|speed|crc32")
_JSON_FILES = ("report.json", "metrics.jsonl")
_SHOWS_TIMES = ("report.html", "report.zh.html")  # what report.json holds, for people


class Comparison(NamedTuple):
    """Two runs beside each other.

    Attributes:
        surroundings: What was not the same to begin with: versions, threads, the processor.
        differences: A line for each file that differs, or that one has alone.
        num_files: Compared.
        num_timed: Of these, those of which the times were left out.
        num_left_out: Files that only show times and figures of another one, not compared.
    """

    surroundings: list[str]
    differences: list[str]
    num_files: int
    num_timed: int
    num_left_out: int


def keep_recipe(recipe: Recipe, out: Path) -> None:
    """Write the recipe of a run into its folder; it says too where its relative paths start."""
    if not is_first_process():
        return
    tree = without_secrets(recipe.model_dump(mode="json", exclude_unset=True))
    kept = {"attar": __version__, "working_folder": str(Path.cwd()), "recipe": tree}
    with contextlib.suppress(OSError, ValueError):
        if read_json(out / RECIPE_FILE) == kept:  # what is up to date is left alone
            return
    write_json(out / RECIPE_FILE, kept)


def kept_recipe(run: Path) -> tuple[Recipe, Path]:
    """The recipe of a run, and the folder that its relative paths start from.

    Raises:
        RunError: It is no run, or one of a version that kept no recipe.
    """
    path = run / RECIPE_FILE
    try:
        kept = read_json(path)
        return Recipe.model_validate(kept["recipe"]), Path(kept["working_folder"])
    except OSError as error:
        raise RunError(
            f"{run}: no {RECIPE_FILE} that says what it was made from ({error.strerror}); name a folder of "
            "`attar run`, and where that is of an earlier version, give its recipe once more: what is up to "
            "date stays"
        ) from error
    except (ValueError, TypeError, LookupError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read; give the recipe once more: `attar run RECIPE --out {run}`"
        ) from error


def repeat_run(
    run: Path, out: Path | None, again: Callable[[Recipe, Path], object], say: Callable[[str], None]
) -> tuple[Path, Comparison]:
    """Do a run again and compare.

    A source on a server may have changed, so the first run's prepared data are taken. A repeat that was
    stopped resumes; of one that is whole nothing is done again.

    Args:
        run: The folder of a finished run.
        out: Of the repeat; None for ``RUN.repeat``.
        again: Runs a recipe into a folder.
        say: Called with a line for what is done.

    Returns:
        The folder of the repeat, and what differs.

    Raises:
        RunError: ``run`` is no finished run, or the folder that its paths start from is gone.
    """
    run = run.resolve()
    recipe, folder = kept_recipe(run)
    if not _stages(run):
        raise RunError(f"{run}: no stage of it is finished; run its recipe first")
    target = (out or beside(run, "repeat")).resolve()
    if target == run or run in target.parents:
        raise RunError(
            f"{target}: the repeat goes beside the run, not into it; name another folder with --out"
        )
    if any(source.is_remote for source in recipe.data.sources) and not (target / "data").exists():
        say(f"prepare: its sources are on a server, so {run / 'data'} is taken as it is")
        shutil.copytree(run / "data", target / "data")
    with _within(folder):
        again(recipe, target)
    return target, compare_runs(run, target)


@contextlib.contextmanager
def _within(folder: Path) -> Iterator[None]:
    try:
        with contextlib.chdir(folder):
            yield
    except FileNotFoundError as error:
        if folder.is_dir():
            raise
        raise RunError(
            f"{folder}: the folder that the run's paths start from is gone; put it back"
        ) from error


def compare_runs(first: Path, second: Path) -> Comparison:
    """What differs between two runs: of each finished stage, every file that is a result."""
    surroundings, differences = list[str](), list[str]()
    num_files = num_timed = num_left_out = 0
    stages = {**_stages(first), **_stages(second)}
    for name in stages:
        stamps = [read_stamp(run / name) or {} for run in (first, second)]
        surroundings += [line for line in _unlike(*stamps) if line not in surroundings]
        hashes = [output_hashes(run / name) for run in (first, second)]
        for file in sorted({*hashes[0], *hashes[1]}):
            place = f"{name}/{file}"
            if missing := [
                run for run, found in zip((first, second), hashes, strict=True) if file not in found
            ]:
                differences.append(f"{place}: not in {missing[0]}")
                continue
            if Path(file).name in _SHOWS_TIMES:
                num_left_out += 1
                continue
            num_files += 1
            is_timed = Path(file).name in _JSON_FILES
            num_timed += is_timed
            paths = [run / name / file for run in (first, second)]
            same = hashes[0][file] == hashes[1][file]
            if not same and is_timed:
                same = _without_times(paths[0]) == _without_times(paths[1])
            if not same:
                differences.append(f"{place}: {_how(paths)}")
    return Comparison(surroundings, differences, num_files, num_timed, num_left_out)


def _stages(run: Path) -> dict[str, None]:
    """The names of the finished stages of a run."""
    if not run.is_dir():
        return {}
    stamps = {path.name: read_stamp(path) for path in sorted(run.iterdir()) if path.is_dir()}
    return {
        name: None
        for name, stamp in stamps.items()
        if stamp is not None and stamp["outputs"] is not None and not name.endswith((".draft", ".replaced"))
    }


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Lines on the versions and the machine of two stages; what one does not say is no difference."""
    for part in ("versions", "machine"):
        said = [stamp.get(part) or {} for stamp in (first, second)]
        for name in said[0].keys() & said[1].keys():
            if said[0][name] != said[1][name]:
                yield f"{name}: {said[0][name]}, now {said[1][name]}"


def _how(paths: list[Path]) -> str:
    sizes = [path.stat().st_size for path in paths]
    if sizes[0] != sizes[1]:
        return f"{sizes[0]:,} bytes, now {sizes[1]:,}"
    return f"other bytes, SHA-256 {file_hash(paths[0])[:12]}, now {file_hash(paths[1])[:12]}"


def _without_times(path: Path) -> Any:  # noqa: ANN401 - JSON is any
    """A JSON or JSONL file without what a clock gives; None where it is none."""

    def clean(value: Any) -> Any:  # noqa: ANN401 - JSON is any
        if isinstance(value, dict):
            return {key: clean(one) for key, one in value.items() if not _TIMED.search(key)}
        return [clean(one) for one in value] if isinstance(value, list) else value

    text = path.read_text("utf-8")
    try:
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        return [clean(json.loads(line)) for line in lines]
    except ValueError:
        return None

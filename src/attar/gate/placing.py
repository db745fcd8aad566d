"""Where an artifact goes once it is judged: ``attar run`` puts it into artifact/ or artifact-refused/.

The candidate, which ``export`` wrote, is copied with the verdict in its cards and takes its place in one
step. A refused one never touches what stands in artifact/.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attar.artifact import load_artifact, publish_artifact
from attar.gate.conditions import Gate
from attar.gate.verdict import verdict_of
from attar.io.files import read_json
from attar.io.folders import remove_folder
from attar.io.stamps import earlier_stamp, is_whole, read_stamp, write_stamp
from attar.stage_cache import fingerprint, is_first_process, run_stage

__all__ = ["adopt_artifact", "place_candidate"]

_ON_THE_CARD = ("status", "headline", "conditions")


def place_candidate(candidate: Path, report: Path, artifact: Path, gate: Gate) -> dict[str, Any]:
    """Put a judged candidate into ``artifact``, or beside it where it is refused.

    Args:
        candidate: What ``export`` wrote; it stays as it is.
        report: What ``evaluate`` wrote about it.
        artifact: The folder of what is deployed; a refused one goes to ``NAME-refused`` beside it.
        gate: Judges a report of an earlier version, which has no verdict.

    Returns:
        The verdict, as report.json has it.
    """
    verdict = verdict_of(read_json(report / "report.json"), gate)
    card = {key: verdict[key] for key in _ON_THE_CARD}
    refused = artifact.with_name(f"{artifact.name}-refused")
    is_refused = verdict["status"] == "refuse"

    def again() -> dict[str, Any]:
        return {"candidate": fingerprint(candidate), "verdict": card}

    work = partial(_publish, candidate, card)
    out = refused if is_refused else artifact
    run_stage(out, "export", again(), work, paths_read=[candidate, report], again=again)
    if not is_refused and is_first_process():
        _remove_own(refused)
    return verdict


def _publish(candidate: Path, card: Mapping[str, Any], draft: Path) -> None:
    publish_artifact(load_artifact(candidate), card, draft)


def _remove_own(folder: Path) -> None:
    """Remove what an earlier run refused, unless somebody changed it."""
    stamp = read_stamp(folder)
    if stamp is not None and stamp["stage"] == "export" and is_whole(folder, stamp, {stamp["fingerprint"]}):
        known = {*(stamp["outputs"] or {})}
        others = [
            p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).as_posix() not in known
        ]
        if all(".attar" in path.relative_to(folder).parts for path in others):
            remove_folder(folder)


def adopt_artifact(artifact: Path, candidate: Path) -> None:
    """Take what ``export`` of an earlier version left in ``artifact`` for the candidate, as a copy.

    Earlier versions of attar judged nothing and exported into artifact/ itself; exporting again would give
    the same.
    """
    stamp = read_stamp(artifact) or earlier_stamp(artifact)
    if candidate.exists() or stamp is None or stamp["stage"] != "export" or stamp["outputs"] is None:
        return
    if "candidate" in stamp.get("inputs", {}) or not is_whole(artifact, stamp, {stamp["fingerprint"]}):
        return
    draft = candidate.with_name(f".{candidate.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    for name in stamp["outputs"]:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact / name, draft / name)
    write_stamp(draft, stamp)
    draft.rename(candidate)

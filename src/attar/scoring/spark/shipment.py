"""What a worker of Spark needs to score: packed by the driver, unpacked and verified once per process.

The artifact, the list of terms and the options travel in one archive, which Spark brings to every executor,
so that neither has to lie on a disk that all machines share. Its name begins with the hash of what it holds.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from attar.artifact import Artifact, load_artifact
from attar.errors import ArtifactError
from attar.io.files import content_hash, read_json, write_json
from attar.scoring.arrow import ArrowScorer
from attar.scoring.options import ScoreOptions
from attar.scoring.predictor import Predictor
from attar.terms.term_list import TermList

__all__ = ["Shipment", "pack", "scorer_of"]

_JOB, _ARTIFACT = "job.json", "artifact"
_PLAIN = ("text", "term", "first", "split_terms", "offsets")


@dataclass(frozen=True, slots=True)
class Shipment:
    """How a worker knows what it was sent.

    Attributes:
        name: Of the folder that Spark unpacks.
        digest: SHA-256 of the job: options, list of terms, hashes of the artifact.
        workers: Threads in each worker.
    """

    name: str
    digest: str
    workers: int


def pack(artifact: Artifact, options: ScoreOptions, workers: int, folder: Path) -> tuple[Shipment, Path]:
    """Write the archive of a job.

    Args:
        artifact: From ``load_artifact``, which has verified it.
        options: Of the job; what concerns files is left out.
        workers: Threads in each worker.
        folder: Where the archive is written.

    Returns:
        What workers know it by, and its path.
    """
    terms = options.terms
    job = {
        **{name: getattr(options, name) for name in _PLAIN},
        "columns": None if options.columns is None else list(options.columns),
        "terms": None if terms is None else {"names": terms.names, "categories": terms.categories},
        "artifact": content_hash(artifact.to_json()),
    }
    digest = content_hash(job)
    shipment = Shipment(f"attar-{digest[:16]}", digest, workers)
    path = folder / f"{shipment.name}.zip"
    write_json(folder / _JOB, job)
    with zipfile.ZipFile(path, "w") as archive:  # stored: weights do not shrink
        archive.write(folder / _JOB, _JOB)
        for name in _files_of(artifact):
            archive.write(artifact.folder / name, f"{_ARTIFACT}/{name}")
    return shipment, path


def _files_of(artifact: Artifact, under: str = "") -> list[str]:
    """Names of all files, those of members included."""
    own = [f"{under}{name}" for name in (*artifact.files, "attar.json")]
    members = (_files_of(one, f"{under}{one.folder.name}/") for one in artifact.members)
    return list(dict.fromkeys([*own, *(name for names in members for name in names)]))


@lru_cache(maxsize=2)
def scorer_of(root: str, shipment: Shipment, schema: Any) -> ArrowScorer:  # noqa: ANN401 - Arrow's
    """The scorer of a job, made once in a process: one worker runs many tasks of a job.

    Args:
        root: Where Spark unpacks archives.
        shipment: Of the job.
        schema: Arrow schema of the batches.

    Raises:
        ArtifactError: It did not arrive, or not as it was sent.
    """
    folder = Path(root) / shipment.name
    try:
        job: Mapping[str, Any] = read_json(folder / _JOB)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{folder}: the artifact did not arrive on this worker ({type(error).__name__}); is its "
            "disk full?"
        ) from error
    artifact = load_artifact(folder / _ARTIFACT)
    if content_hash(job) != shipment.digest or content_hash(artifact.to_json()) != job["artifact"]:
        raise ArtifactError(f"{folder}: another artifact or list of terms than was sent; run the job again")
    terms = None if job["terms"] is None else TermList(**job["terms"])
    plain = {name: job[name] for name in (*_PLAIN, "columns")}
    return ArrowScorer(Predictor(artifact, shipment.workers), schema, ScoreOptions(**plain, terms=terms))

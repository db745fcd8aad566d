"""Artifact: the deployable folder; nothing else is needed to score.

``model.onnx``, ``tokenizer.json``, ``checks.json`` (inputs with their logits), ``attar.json`` (task,
input, precision, limits, scores, parity, calibration, hashes) and ``README.md``, the model card.
Written by ``attar export``, read by scoring and serving.

Whoever made it is not trusted: attar.json is checked key by key, and no link is followed. What the model
and the tokenizer hold is checked before they run, by ``attar.scoring.trust``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from attar.artifact_card import HASHED_FILES, check_card
from attar.errors import ArtifactError, RecipeError
from attar.io.files import file_hash, folder_hashes, write_json
from attar.io.folders import replacing_files
from attar.io.sealed import check_seal, read_card_file, sealed
from attar.model_card import model_card
from attar.task import Task

__all__ = ["ARTIFACT_FILES", "CHECKS_FILE", "Artifact", "Precision", "load_artifact", "write_artifact"]

CHECKS_FILE = "checks.json"
"""Inputs with their logits (``attar.scoring.verify``); an older attar wrote none."""
ARTIFACT_FILES = (*HASHED_FILES, "attar.json")
_MAX_BYTES = {"model.onnx": 2 << 30, "tokenizer.json": 64 << 20, "README.md": 16 << 20, CHECKS_FILE: 64 << 20}
"""Of each file; protobuf ends at 2 GiB."""
_FORMAT_NAME = "attar-artifact"
_FORMAT_VERSION = 1

Precision = Literal["int8", "mixed", "fp32"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """The content of the folder.

    Attributes:
        folder: Where it is.
        task: Its labels, in the order of the logits.
        input: Arguments of ``attar.text.encoding.InputSpec``.
        precision: Of the linear layers; "mixed" where some have more than int8.
        layers: The precision of each linear layer, if mixed.
        products: Cost of all linear layers, relative to int8.
        temperature: The logits are divided by it before the softmax; labels do not depend on it.
        scores: What the exported model reaches on the examples it was verified on.
        parity: How it compares with its checkpoint.
        calibration: How well its probs were calibrated, before and after ``temperature``.
        notes: Provenance of the model.
        versions: Of the packages that made it.
        files: SHA-256 of the other files, by name.
    """

    folder: Path
    task: Task
    input: Mapping[str, Any]
    precision: Precision
    layers: Mapping[str, str] = field(default_factory=dict)
    products: float = 1.0
    temperature: float = 1.0
    scores: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def model_path(self) -> Path:
        """The ONNX graph."""
        return self.folder / "model.onnx"

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer, as the ``tokenizers`` package stores it."""
        return self.folder / "tokenizer.json"

    @property
    def version(self) -> str:
        """Twelve hex digits of the model's hash."""
        return self.files["model.onnx"][:12]

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        files = (self.folder / name for name in ARTIFACT_FILES)
        return sum(path.stat().st_size for path in files if path.is_file())

    def to_json(self) -> dict[str, Any]:
        """The content of ``attar.json``, with its seal."""
        names = ("input", "precision", "layers", "products", "temperature")
        more = ("scores", "parity", "calibration", "notes", "versions", "files")
        card = {
            "format": f"{_FORMAT_NAME}-{_FORMAT_VERSION}",
            "task": self.task.to_json(),
            **{name: getattr(self, name) for name in names},
            "limits": {"max_tokens": self.input["max_tokens"]},
            **{name: _finite(getattr(self, name)) for name in more},
        }
        return sealed(card)


def write_artifact(
    artifact: Artifact, *, model: bytes, tokenizer: str, checks: Mapping[str, Any] | None
) -> Artifact:
    """Write an artifact's folder, whole or not at all, and return it with the hashes of its ``files``.

    Args:
        artifact: What to write, and where.
        model: The serialised ONNX graph.
        tokenizer: The tokenizer as JSON.
        checks: The content of ``checks.json``; None leaves it out.
    """
    with replacing_files(artifact.folder, ARTIFACT_FILES, seal="attar.json") as draft:
        (draft / "model.onnx").write_bytes(model)
        (draft / "tokenizer.json").write_text(tokenizer, "utf-8")
        if checks is not None:
            write_json(draft / CHECKS_FILE, checks, indent=None)
        (draft / "README.md").write_text(model_card(artifact.to_json(), len(model) + len(tokenizer)), "utf-8")
        written = replace(artifact, files=folder_hashes(draft, HASHED_FILES))
        write_json(draft / "attar.json", written.to_json())
    return written


def load_artifact(folder: Path) -> Artifact:
    """Read and verify an artifact.

    Raises:
        ArtifactError: No such folder, no artifact, a newer format, a key or value that attar does not
            write, or a file that is missing, truncated or changed; the message says which and what to do.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; expected one that attar export wrote")
    card = _read_card(folder)
    try:
        check_seal(card)
        check_card(card)
        artifact = Artifact(
            folder=folder,
            task=Task.from_json(card["task"]),
            layers=card.get("layers", {}),
            products=card.get("products", 1.0),
            **{name: card[name] for name in _PLAIN},
        )
    except (ValueError, RecipeError) as error:
        raise ArtifactError(f"{folder}/attar.json: {error}; copy it again, or export again") from error
    _check_files(folder, artifact.files)
    return artifact


_PLAIN = (
    "input",
    "precision",
    "temperature",
    "scores",
    "parity",
    "calibration",
    "notes",
    "versions",
    "files",
)


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    missing = [name for name in hashes if not (folder / name).is_file()]
    if missing:
        raise ArtifactError(f"{folder}: {', '.join(missing)} missing; copy the whole folder, or export again")
    for name in hashes:
        _check_plain(folder / name)
        if (size := (folder / name).stat().st_size) > _MAX_BYTES[name]:
            raise ArtifactError(
                f"{folder / name}: {size:,} bytes, more than the {_MAX_BYTES[name]:,} of any artifact"
            )
    try:
        damaged = [name for name, was in hashes.items() if file_hash(folder / name) != was]
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read ({error.strerror}: {error.filename})") from error
    if damaged:
        sizes = ", ".join(f"{name} ({(folder / name).stat().st_size} bytes)" for name in damaged)
        raise ArtifactError(f"{folder}: {sizes} truncated or changed since the export; copy or export again")


def _check_plain(path: Path) -> None:
    """A link may lead anywhere: to another's file, or to a device that never ends."""
    if path.is_symlink():
        raise ArtifactError(f"{path} is a symbolic link; an artifact holds its files: copy them with cp -rL")


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "attar.json"
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise ArtifactError(f"{folder} is no artifact: it has no attar.json; there: {there}")
    _check_plain(path)
    try:
        card = read_card_file(path, strict=True)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is truncated or not JSON ({error}); copy it again, or export again"
        ) from error
    named = card.get("format")
    name, _, version = str(named)[:100].rpartition("-")
    if name != _FORMAT_NAME or not (version.isascii() and version.isdigit()):
        is_checkpoint = str(named).startswith("attar-checkpoint")
        hint = "; that is a checkpoint: run attar export on it" if is_checkpoint else ""
        raise ArtifactError(f"{folder} is no artifact: attar.json says format {str(named)[:60]!r}{hint}")
    if int(version) > _FORMAT_VERSION:
        raise ArtifactError(
            f"{folder}: format {named}, this attar reads up to {_FORMAT_NAME}-{_FORMAT_VERSION}; update attar"
        )
    return card


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    """JSON has no NaN and no infinity; a figure that is neither a number is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value

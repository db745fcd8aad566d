"""Artifact: the deployable folder; nothing else is needed to score.

``model.onnx``, ``tokenizer.json``, ``checks.json`` (inputs with their logits), ``attar.json`` (task,
input, precision, limits, scores, parity, calibration, hashes) and ``README.md``, the model card.
Written by ``attar export``, read by scoring and serving.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from attar.errors import ArtifactError, RecipeError
from attar.io.files import folder_hashes, read_json, write_json
from attar.model_card import model_card
from attar.task import Task

__all__ = ["ARTIFACT_FILES", "CHECKS_FILE", "Artifact", "Precision", "load_artifact", "write_artifact"]

CHECKS_FILE = "checks.json"
"""Inputs with their logits (``attar.scoring.verify``); an older attar wrote none."""
ARTIFACT_FILES = ("model.onnx", "tokenizer.json", "README.md", CHECKS_FILE, "attar.json")
_HASHED = ARTIFACT_FILES[:4]
_NEEDED = ARTIFACT_FILES[:3]
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
        """The content of ``attar.json``."""
        names = ("input", "precision", "layers", "products", "temperature")
        more = ("scores", "parity", "calibration", "notes", "versions", "files")
        return {
            "format": f"{_FORMAT_NAME}-{_FORMAT_VERSION}",
            "task": self.task.to_json(),
            **{name: getattr(self, name) for name in names},
            "limits": {"max_tokens": self.input["max_tokens"]},
            **{name: getattr(self, name) for name in more},
        }


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
    folder = artifact.folder
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        (draft / "model.onnx").write_bytes(model)
        (draft / "tokenizer.json").write_text(tokenizer, "utf-8")
        if checks is not None:
            write_json(draft / CHECKS_FILE, checks, indent=None)
        (draft / "README.md").write_text(model_card(artifact.to_json(), len(model) + len(tokenizer)), "utf-8")
        written = replace(artifact, files=folder_hashes(draft, _HASHED))
        write_json(draft / "attar.json", written.to_json())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "attar.json").unlink(missing_ok=True)  # without it the folder is no artifact
        for name in ARTIFACT_FILES:
            if (draft / name).exists():
                (draft / name).replace(folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return written


def load_artifact(folder: Path) -> Artifact:
    """Read and verify an artifact.

    Raises:
        ArtifactError: No such folder, no artifact, a newer format, or a file that is missing,
            truncated or changed; the message says which and what to do.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; expected one that attar export wrote")
    card = _read_card(folder)
    try:
        hashes = {name: card["files"][name] for name in _HASHED if name in {*_NEEDED, *card["files"]}}
        artifact = Artifact(
            folder=folder,
            task=Task.from_json(card["task"]),
            files=hashes,
            layers=card.get("layers", {}),
            products=card.get("products", 1.0),
            **{name: card[name] for name in _PLAIN},
        )
        whole = artifact.input["max_tokens"] and artifact.temperature > 0
    except (KeyError, TypeError, RecipeError) as error:
        raise ArtifactError(f"{folder}/attar.json is incomplete ({error}); export again") from error
    if not whole:
        raise ArtifactError(f"{folder}/attar.json: temperature and max_tokens must be positive; export again")
    found = folder_hashes(folder, tuple(hashes))
    missing = [name for name in hashes if name not in found]
    if missing:
        raise ArtifactError(f"{folder}: {', '.join(missing)} missing; copy the whole folder, or export again")
    damaged = [name for name in hashes if found[name] != hashes[name]]
    if damaged:
        sizes = ", ".join(f"{name} ({(folder / name).stat().st_size} bytes)" for name in damaged)
        raise ArtifactError(f"{folder}: {sizes} truncated or changed since the export; copy or export again")
    return artifact


_PLAIN = ("input", "precision", "temperature", "scores", "parity", "calibration", "notes", "versions")


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / "attar.json"
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise ArtifactError(f"{folder} is no artifact: it has no attar.json; there: {there}")
    try:
        card = read_json(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is truncated or not JSON ({error}); copy it again, or export again"
        ) from error
    named = card.get("format") if isinstance(card, dict) else None
    name, _, version = str(named).rpartition("-")
    if name != _FORMAT_NAME or not version.isdigit():
        is_checkpoint = str(named).startswith("attar-checkpoint")
        hint = "; that is a checkpoint: run attar export on it" if is_checkpoint else ""
        raise ArtifactError(f"{folder} is no artifact: attar.json says format {named!r}{hint}")
    if int(version) > _FORMAT_VERSION:
        raise ArtifactError(
            f"{folder}: format {named}, this attar reads up to {_FORMAT_NAME}-{_FORMAT_VERSION}; update attar"
        )
    assert isinstance(card, dict)
    return card

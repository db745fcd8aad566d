"""Artifact: the deployable folder; nothing else is needed to score.

Each has ``attar.json`` (task, input, precision, limits, scores, parity, calibration, verdict, hashes) and
``README.md``, the model card. Of its kind are the others: a network's ``model.onnx`` and
``tokenizer.json``, or a linear model's ``linear.safetensors`` and ``ngrams.json``, with ``checks.json``
(inputs with their logits); a cascade has the folders of its members, ``1``, ``2`` and perhaps ``3``.
Written by ``attar export``, ``run`` and ``cascade``, read by scoring and serving.

Whoever made it is not trusted: attar.json is checked key by key, and no link is followed. What the model
and the tokenizer hold is checked before they run, by ``attar.scoring.trust``.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from attar.artifact_card import MEMBERS, Kind, check_card, hashed_files
from attar.errors import ArtifactError, GateError, RecipeError
from attar.io.files import content_hash, file_hash, folder_hashes, write_json
from attar.io.folders import replacing_files
from attar.io.sealed import check_seal, read_card_file, sealed
from attar.model_card import model_card
from attar.ready import artifact_folder, ready_models
from attar.task import Task

__all__ = [
    "ARTIFACT_FILES",
    "CHECKS_FILE",
    "Artifact",
    "Precision",
    "check_not_refused",
    "load_artifact",
    "publish_artifact",
    "refusal",
    "write_artifact",
    "write_files",
]

CHECKS_FILE = "checks.json"
"""Inputs with their logits (``attar.scoring.verify``); an older attar wrote none."""
ARTIFACT_FILES = (*hashed_files("onnx"), "attar.json")
"""Of a network."""
_MAX_BYTES = {
    "model.onnx": 2 << 30,  # protobuf ends there
    "tokenizer.json": 64 << 20,
    "linear.safetensors": 1 << 30,
    "ngrams.json": 256 << 20,
    "README.md": 16 << 20,
    CHECKS_FILE: 64 << 20,
    **dict.fromkeys((f"{member}/attar.json" for member in MEMBERS), 16 << 20),
}
_WEIGHTS = {"onnx": "model.onnx", "linear": "linear.safetensors"}
_FORMAT_NAME = "attar-artifact"
_FORMAT_VERSION = 2
"""1 is a network's without a verdict, which earlier versions of attar read too."""

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
        kind: What computes: "onnx", "linear" or "cascade".
        verdict: What the gate said of it (``attar.gate``): ``status``, ``headline``, ``conditions``; empty
            where it was never judged.
        cascade: Of a cascade, ``thresholds``: the least prob at which each member but the last answers.
        members: Of a cascade, its artifacts in turn.
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
    kind: Kind = "onnx"
    verdict: Mapping[str, Any] = field(default_factory=dict)
    cascade: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Artifact, ...] = ()

    @property
    def model_path(self) -> Path:
        """The ONNX graph, or the weights of a linear model; a cascade has none of its own."""
        return self.folder / _WEIGHTS.get(self.kind, "attar.json")

    @property
    def model_bytes(self) -> int:
        """Size of what computes: the file of weights, of a cascade those of all members."""
        if self.members:
            return sum(member.model_bytes for member in self.members)
        return self.model_path.stat().st_size

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer, as the ``tokenizers`` package stores it."""
        return self.folder / "tokenizer.json"

    @property
    def version(self) -> str:
        """Twelve hex digits of the model's hash, of a cascade those of its thresholds and members."""
        if self.kind == "cascade":
            return content_hash([self.cascade.get("thresholds"), dict(self.files)])[:12]
        return self.files[_WEIGHTS[self.kind]][:12]

    @property
    def size_bytes(self) -> int:
        """Size of all files, those of members included."""
        names = {*hashed_files(self.kind), "attar.json"} - {f"{member}/attar.json" for member in MEMBERS}
        files = (self.folder / name for name in names)
        own = sum(path.stat().st_size for path in files if path.is_file())
        return own + sum(member.size_bytes for member in self.members)

    def to_json(self) -> dict[str, Any]:
        """The content of ``attar.json``, with its seal."""
        names = ("input", "precision", "layers", "products", "temperature")
        more = ("scores", "parity", "calibration", "notes", "versions", "files")
        newer = {name: getattr(self, name) for name in ("verdict", "cascade") if getattr(self, name)}
        if self.kind != "onnx":
            newer = {"kind": self.kind, **newer}
        longest = {"limits": {"max_tokens": self.input["max_tokens"]}} if "max_tokens" in self.input else {}
        card = {
            "format": f"{_FORMAT_NAME}-{_FORMAT_VERSION if newer else 1}",
            **{name: _finite(value) for name, value in newer.items()},
            "task": self.task.to_json(),
            **{name: getattr(self, name) for name in names},
            **longest,
            **{name: _finite(getattr(self, name)) for name in more},
        }
        return sealed(card)


def refusal(artifact: Artifact) -> str | None:
    """Why the gate refused an artifact, in its own words on one line; None where it did not."""
    if artifact.verdict.get("status") != "refuse":
        return None
    failed = [one for one in artifact.verdict["conditions"] if one["status"] == "refuse"]
    return " ".join(one["said"] for one in failed)


def check_not_refused(artifact: Artifact) -> None:
    """Stop before an artifact is used that the gate refused; ``--accept-refused`` leaves this out.

    Raises:
        GateError: It was refused; the message says why.
    """
    if said := refusal(artifact):
        raise GateError(f"the gate refused {artifact.folder}: {said} --accept-refused takes it all the same")


def write_artifact(
    artifact: Artifact, *, model: bytes, tokenizer: str, checks: Mapping[str, Any] | None
) -> Artifact:
    """Write the folder of a network, whole or not at all; see ``write_files``.

    Args:
        artifact: What to write, and where.
        model: The serialised ONNX graph.
        tokenizer: The tokenizer as JSON.
        checks: The content of ``checks.json``; None leaves it out.
    """
    contents = {"model.onnx": model, "tokenizer.json": tokenizer.encode()}
    return write_files(artifact, contents, checks)


def write_files(
    artifact: Artifact, contents: Mapping[str, bytes], checks: Mapping[str, Any] | None
) -> Artifact:
    """Write an artifact's folder, whole or not at all, and return it with the hashes of its ``files``.

    Args:
        artifact: What to write, and where. The folders of its members are there already.
        contents: The files of its kind, by name.
        checks: The content of ``checks.json``; None leaves it out.
    """
    folder, names = artifact.folder, hashed_files(artifact.kind)
    own = tuple(name for name in names if "/" not in name)
    with replacing_files(folder, (*own, "attar.json"), seal="attar.json") as draft:
        for name, content in contents.items():
            (draft / name).write_bytes(content)
        if checks is not None:
            write_json(draft / CHECKS_FILE, checks, indent=None)
        size = sum(map(len, contents.values())) + sum(member.size_bytes for member in artifact.members)
        (draft / "README.md").write_text(model_card(artifact.to_json(), size), "utf-8")
        of_members = folder_hashes(folder, tuple(name for name in names if "/" in name))
        files = folder_hashes(draft, names) | of_members
        written = replace(artifact, files=files)
        write_json(draft / "attar.json", written.to_json())
    return written


def publish_artifact(artifact: Artifact, verdict: Mapping[str, Any], folder: Path) -> Artifact:
    """Write a copy of an artifact with the gate's verdict in its cards; the artifact itself stays as it is.

    Args:
        artifact: From ``load_artifact``.
        verdict: ``attar.gate.verdict.Verdict.to_json``.
        folder: New, or an empty draft.
    """
    assert not artifact.members, "a cascade has no run that would publish it"
    folder.mkdir(parents=True, exist_ok=True)
    for name in artifact.files:
        if name != "README.md":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.folder / name, folder / name)
    judged = replace(artifact, folder=folder, verdict=verdict)
    size = sum((folder / name).stat().st_size for name in artifact.files if name != "README.md")
    (folder / "README.md").write_text(model_card(judged.to_json(), size), "utf-8")
    judged = replace(judged, files={**artifact.files, "README.md": file_hash(folder / "README.md")})
    write_json(folder / "attar.json", judged.to_json())
    return judged


def load_artifact(folder: Path) -> Artifact:
    """Read and verify an artifact.

    Args:
        folder: Its folder, or the name of a ready model.

    Raises:
        ArtifactError: No such folder, no artifact, a newer format, a key or value that attar does not
            write, or a file that is missing, truncated or changed; the message says which and what to do.
    """
    folder = artifact_folder(folder)
    if not folder.is_dir():
        ready = "".join(f", or the name of a ready model, {name}" for name in ready_models())
        raise ArtifactError(f"{folder}: no such folder; expected one that attar export wrote{ready}")
    card = _read_card(folder)
    try:
        check_seal(card)
        check_card(card)
        artifact = Artifact(
            folder=folder,
            task=Task.from_json(card["task"]),
            **{name: card[name] for name in _PLAIN},
            **{name: card[name] for name in _OPTIONAL if name in card},
        )
    except (ValueError, RecipeError) as error:
        raise ArtifactError(f"{folder}/attar.json: {error}; copy it again, or export again") from error
    _check_files(folder, artifact.files)
    return artifact if artifact.kind != "cascade" else replace(artifact, members=_load_members(artifact))


_MEASURED = ("scores", "parity", "calibration")
_PLAIN = ("input", "precision", "temperature", *_MEASURED, "notes", "versions", "files")
_OPTIONAL = ("kind", "layers", "products", "verdict", "cascade")


def _load_members(artifact: Artifact) -> tuple[Artifact, ...]:
    """The artifacts of a cascade, whole and of one task."""
    names = [member for member in MEMBERS if f"{member}/attar.json" in artifact.files]
    members = []
    for name in names:
        _check_plain(artifact.folder / name)
        member = load_artifact(artifact.folder / name)
        asked = (member.task.labels, member.task.style)
        if member.kind == "cascade" or asked != (artifact.task.labels, artifact.task.style):
            raise ArtifactError(
                f"{artifact.folder}: its member {name} is a cascade itself, or of another task; make it "
                "again with attar cascade"
            )
        members.append(member)
    return tuple(members)


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

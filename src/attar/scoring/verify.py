"""``attar verify``: whether an artifact gives the same logits here as where it was exported."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import onnxruntime as ort

from attar.artifact import CHECKS_FILE, load_artifact
from attar.errors import ArtifactError
from attar.scoring.self_check import Compared, compare, read_checks
from attar.scoring.session import OnnxModel
from attar.system_info import system_info
from attar.text.encoding import InputSpec

__all__ = ["Verification", "verify"]


class Verification(NamedTuple):
    """What ``attar verify`` found.

    Attributes:
        compared: All stored inputs, and how their logits differ here.
        processor: Its name and instruction sets.
        runtime: ONNX Runtime's version.
        precision: The artifact's.
    """

    compared: Compared
    processor: str
    runtime: str
    precision: str


def verify(folder: Path) -> Verification:
    """Compute all of an artifact's stored inputs on this machine.

    Raises:
        ArtifactError: It is no whole artifact, or has no stored inputs.
    """
    artifact = load_artifact(folder)
    checks = read_checks(artifact)
    if checks is None:
        raise ArtifactError(
            f"{folder} has no {CHECKS_FILE} to verify: it was exported by an older attar; "
            f"attar convert {folder} NEW adds one"
        )
    # Padding is masked out; any token of the vocabulary will do.
    model = OnnxModel(artifact.model_path, pad=0, spec=InputSpec.from_json(artifact.input))
    system = system_info()
    processor = f"{system['cpu']} ({', '.join(system['flags'])})"
    return Verification(compare(model.run_pass, checks), processor, ort.__version__, artifact.precision)

"""``attar verify``: whether an artifact gives the same logits here as where it was exported.

``attar export`` stores some 64 inputs with their logits in ``checks.json``. The first few are
computed when an artifact is first used in a process, all of them by ``attar verify``. A machine with
exact integer products gives the same logits, but for values that fp32's last bits move across a
rounding step; a kernel that saturates, or a damaged model, does not.

An int8 artifact of an older attar has no such file, and its weights may saturate. It is used where a
full-range product of ONNX Runtime is exact, and refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from attar.artifact import CHECKS_FILE, Artifact, load_artifact
from attar.errors import ArtifactError
from attar.io.files import read_json
from attar.scoring.session import OnnxModel, Pass
from attar.scoring.trust import check_model
from attar.system_info import system_info
from attar.text.encoding import Encoding, InputSpec

__all__ = [
    "Checks",
    "Compared",
    "Tolerance",
    "Verification",
    "compare",
    "first_use_check",
    "kernels_saturate",
    "read_checks",
    "verify",
]

_AT_FIRST_USE = 4
_BATCH = 16
_PROBE = Path(__file__).with_name("saturation_probe.onnx")


class Tolerance(NamedTuple):
    """How far logits may be from the stored ones.

    Attributes:
        largest: The largest difference of any input.
        median: The median of the inputs' largest differences.
    """

    largest: float
    median: float


@dataclass(frozen=True, slots=True, eq=False)
class Checks:
    """Stored inputs and the logits that they must give.

    Attributes:
        encodings: N inputs, the shortest first.
        passes: [N, C] logits of the first pass, and of the high-precision pass where there is one.
        tolerance: How far logits may be from those.
    """

    encodings: Sequence[Encoding]
    passes: Sequence[NDArray[np.float32]]
    tolerance: Tolerance

    def to_json(self) -> dict[str, Any]:
        """The content of ``checks.json``."""
        return {
            "tolerance": self.tolerance._asdict(),
            "inputs": [[one.ids.tolist(), one.second, one.first_position] for one in self.encodings],
            "passes": [logits.tolist() for logits in self.passes],
        }

    @classmethod
    def from_json(cls, value: Any) -> Checks:  # noqa: ANN401 - JSON is any
        """Undo ``to_json``; ``KeyError``, ``TypeError`` and ``ValueError`` are the caller's to explain."""
        encodings = [
            Encoding(np.array(ids, np.int32), int(second), int(position))
            for ids, second, position in value["inputs"]
        ]
        for ids, second, position in encodings:
            if ids.ndim != 1 or not 0 <= second <= len(ids) or not 0 <= position < len(ids):
                raise ValueError("an input whose parts do not fit")
        passes = [np.array(logits, np.float32) for logits in value["passes"]]
        if not passes or any(logits.shape != (len(encodings), passes[0].shape[1]) for logits in passes):
            raise ValueError("not as many logits as inputs")
        return cls(encodings, passes, Tolerance(**value["tolerance"]))


class Compared(NamedTuple):
    """How logits differ from the stored ones.

    Attributes:
        num: Inputs compared.
        found: Their differences.
        allowed: What they may be.
        changed: Inputs whose label differs in some pass.
    """

    num: int
    found: Tolerance
    allowed: Tolerance
    changed: int

    @property
    def passed(self) -> bool:
        """Whether both differences are allowed; NaN is not."""
        return self.found.largest <= self.allowed.largest and self.found.median <= self.allowed.median


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
    check_model(artifact)
    # Padding is masked out; any token of the vocabulary will do.
    model = OnnxModel(artifact.model_path, pad=0, spec=InputSpec.from_json(artifact.input))
    system = system_info()
    processor = f"{system['cpu']} ({', '.join(system['flags'])})"
    return Verification(compare(model.run_pass, checks), processor, ort.__version__, artifact.precision)


def read_checks(artifact: Artifact) -> Checks | None:
    """An artifact's stored inputs; None where it has none.

    Raises:
        ArtifactError: They cannot be read.
    """
    path = artifact.folder / CHECKS_FILE
    if CHECKS_FILE not in artifact.files:
        return None
    try:
        return Checks.from_json(read_json(path))
    except (OSError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); copy the folder or export again") from error


def compare(run: Pass, checks: Checks, count: int | None = None) -> Compared:
    """Compute the first ``count`` stored inputs in the first pass, or all in every pass, and compare.

    Args:
        run: Computes logits [B, C] of encodings; see ``OnnxModel.run_pass``.
        checks: What they must be.
        count: How many inputs; None takes all.
    """
    encodings = checks.encodings[:count]
    begins = range(0, len(encodings), _BATCH)
    differences, changed = np.zeros(len(encodings), np.float32), np.zeros(len(encodings), bool)
    for number, logits in enumerate(checks.passes if count is None else checks.passes[:1]):
        stored = logits[: len(encodings)]
        found = np.concatenate([run(encodings[i : i + _BATCH], high_precision=number == 1) for i in begins])
        differences = np.maximum(differences, np.abs(found - stored).max(1))
        changed |= found.argmax(1) != stored.argmax(1)
    lower_median = float(np.sort(differences)[(len(differences) - 1) // 2])
    summary = Tolerance(float(differences.max()), lower_median)
    return Compared(len(encodings), summary, checks.tolerance, int(changed.sum()))


def first_use_check(artifact: Artifact, run: Pass) -> None:
    """Check a few stored inputs, in milliseconds.

    Raises:
        ArtifactError: This machine computes other logits than the one that exported the artifact, or would.
    """
    checks = read_checks(artifact)
    if checks is None:
        if artifact.precision == "int8" and kernels_saturate():
            raise ArtifactError(
                f"{artifact.folder}: exported by an older attar; its int8 weights saturate on this "
                "processor, which has no VNNI, so its labels would be wrong. Run "
                f"attar convert {artifact.folder} NEW for an artifact that is exact everywhere, or export "
                "again for a faster one"
            )
        return
    found = compare(run, checks, _AT_FIRST_USE)
    if not found.passed:
        raise ArtifactError(
            f"{artifact.folder} gives other logits here than where it was exported: they differ by up to "
            f"{found.found.largest:.3g} ({found.allowed.largest:.3g} allowed), the median by "
            f"{found.found.median:.2g} ({found.allowed.median:.2g}). Run attar verify {artifact.folder} for "
            f"details; copy the folder again, or try another version of ONNX Runtime (here {ort.__version__})"
        )


def kernels_saturate() -> bool:
    """Whether ONNX Runtime's products of uint8 and int8 are wrong on this processor at full range."""
    graph = _PROBE.read_bytes()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"codes": np.full((4, 8), 255, np.uint8)})
    return not np.array_equal(found, np.full((4, 16), 8 * 255 * 127, np.float32))

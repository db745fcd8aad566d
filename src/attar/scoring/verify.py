"""``attar verify``: whether an artifact gives the same logits here as where it was exported.

``attar export`` stores some 64 inputs with their logits in ``checks.json``. The first few are
computed when an artifact is first used in a process, all of them by ``attar verify``. A machine with
exact integer products gives the same logits, but for values that fp32's last bits move across a
rounding step; a kernel that saturates, or a damaged model, does not.

A linear model is computed in float64 and gives the same logits but for the last bits of float32; a cascade
is verified member by member.

An int8 artifact of an older attar has no such file, and its weights may saturate. It is used where a
full-range product of ONNX Runtime is exact, and refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from attar.artifact import CHECKS_FILE, Artifact, load_artifact
from attar.errors import ArtifactError
from attar.io.files import read_json
from attar.scoring.checks import (
    Checks,
    Compared,
    Run,
    Tolerance,
    compare,
    stored_encodings,
    stored_examples,
)
from attar.scoring.linear import LinearModel, LinearScorer
from attar.scoring.session import OnnxModel, Pass
from attar.scoring.trust import check_model
from attar.system_info import system_info
from attar.task import Example
from attar.text.encoding import Encoding, InputSpec

__all__ = [
    "Verification",
    "compare",
    "first_use_check",
    "kernels_saturate",
    "load_linear",
    "make_linear_checks",
    "read_checks",
    "verify",
]

_AT_FIRST_USE = 4
_LINEAR_TOLERANCE = Tolerance(largest=1e-3, median=1e-4)
_NUM_LINEAR = 64
_LINEAR_SEED = 0
_PROBE = Path(__file__).with_name("saturation_probe.onnx")


class Verification(NamedTuple):
    """What ``attar verify`` found.

    Attributes:
        compared: All stored inputs, and how their logits differ here.
        processor: Its name and instruction sets.
        runtime: ONNX Runtime or NumPy, and its version.
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
    return _verification(load_artifact(folder))


def _verification(artifact: Artifact) -> Verification:
    system = system_info()
    processor, runtime = f"{system['cpu']} ({', '.join(system['flags'])})", f"ONNX Runtime {ort.__version__}"
    match artifact.kind:
        case "cascade":
            found = [_verification(member) for member in artifact.members]
            compared = _worst([one.compared for one in found])
            runtime = ", ".join(dict.fromkeys(one.runtime for one in found))
        case "linear":
            scorer = LinearScorer(LinearModel.from_artifact(artifact), artifact.temperature)
            compared = compare(_linear_pass(scorer), _read_linear_checks(artifact))
            runtime = f"NumPy {np.__version__}"
        case _:
            checks = read_checks(artifact)
            if checks is None:
                raise ArtifactError(
                    f"{artifact.folder} has no {CHECKS_FILE} to verify: it was exported by an older attar; "
                    f"attar convert {artifact.folder} NEW adds one"
                )
            check_model(artifact)
            # Padding is masked out; any token of the vocabulary will do.
            model = OnnxModel(artifact.model_path, pad=0, spec=InputSpec.from_json(artifact.input))
            compared = compare(model.run_pass, checks)
    return Verification(compared, processor, runtime, artifact.precision)


def _worst(members: Sequence[Compared]) -> Compared:
    """The inputs of all members; the differences of one that did not pass, else the largest."""
    worst = max(members, key=lambda one: (not one.passed, one.found.largest / one.allowed.largest))
    return worst._replace(num=sum(one.num for one in members), changed=sum(one.changed for one in members))


def read_checks(artifact: Artifact) -> Checks[Encoding] | None:
    """A network's stored inputs; None where it has none.

    Raises:
        ArtifactError: They cannot be read.
    """
    if CHECKS_FILE not in artifact.files:
        return None
    value = _read_stored(artifact)
    try:
        return Checks.of_stored(stored_encodings(value), value)
    except _UNREADABLE as error:
        raise _unreadable(artifact, error) from error


def _read_linear_checks(artifact: Artifact) -> Checks[Example]:
    value = _read_stored(artifact)
    try:
        return Checks.of_stored(stored_examples(value), value)
    except _UNREADABLE as error:
        raise _unreadable(artifact, error) from error


_UNREADABLE = (OSError, KeyError, TypeError, ValueError, IndexError, OverflowError)


def _read_stored(artifact: Artifact) -> dict[str, Any]:
    try:
        return dict(read_json(artifact.folder / CHECKS_FILE))
    except _UNREADABLE as error:
        raise _unreadable(artifact, error) from error


def _unreadable(artifact: Artifact, error: Exception) -> ArtifactError:
    path = artifact.folder / CHECKS_FILE
    return ArtifactError(f"{path} cannot be read ({error}); copy the folder or export again")


def load_linear(artifact: Artifact) -> LinearScorer:
    """Read a linear artifact, and check a few of its stored inputs.

    Raises:
        ArtifactError: Its files hold what no linear model of attar's holds, or it gives other logits here
            than where it was made.
    """
    scorer = LinearScorer(LinearModel.from_artifact(artifact), artifact.temperature)
    found = compare(_linear_pass(scorer), _read_linear_checks(artifact), _AT_FIRST_USE)
    if not found.passed:
        raise ArtifactError(
            f"{artifact.folder} gives other logits here than where it was made: they differ by up to "
            f"{found.found.largest:.3g} ({found.allowed.largest:.3g} allowed); copy the folder again, or run "
            "attar run again"
        )
    return scorer


def make_linear_checks(scorer: LinearScorer) -> Checks[Example]:
    """Inputs for a linear model's self-check, random characters that it knows, and what it gives for them."""
    rng, model = np.random.default_rng(_LINEAR_SEED), scorer.model
    chars = sorted({char for gram in model.ngrams for char in gram if char.isprintable()}) or ["_"]
    has_term, made = model.style in ("marked_pair", "pair"), []
    for number in range(_NUM_LINEAR):
        text, other = ("".join(rng.choice(chars, 3 + number)) for _ in range(2))
        start = int(rng.integers(0, len(text) - 1)) if has_term else 0
        second = other if model.style == "sentence_pair" else ""
        made.append(Example(text, start, start + 2 if has_term else 0, second=second))
    return Checks(made, [scorer.logits(made)], _LINEAR_TOLERANCE)


def _linear_pass(scorer: LinearScorer) -> Run[Example]:
    def run(encodings: Sequence[Example], *, high_precision: bool = False) -> NDArray[np.float32]:
        del high_precision  # it has one
        return scorer.logits(encodings)

    return run


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

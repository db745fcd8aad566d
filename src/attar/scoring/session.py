"""ONNX Runtime behind one call: encodings in, logits out.

The one place that runs an exported graph: export's parity check and the predictor both use it, so
what is verified is what scores. Logits that are not finite are an error here, whoever asked.

An int8 graph has two passes. Rows whose two largest logits are closer than the graph's margin are
computed again in the high-precision pass, with 16-bit activations. Whether an example is one of them
depends on that example alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from attar.errors import ArtifactError
from attar.text.encoding import Encoding, InputSpec, model_inputs

__all__ = ["HIGH_PRECISION", "MARGIN", "OnnxModel", "Pass", "margins"]

HIGH_PRECISION = "fine"
"""Name of the bool input that asks an int8 graph for the high-precision pass."""
MARGIN = "attar.tie_margin"
"""Metadata key of an int8 graph's margin, below which a row is due for the high-precision pass."""

# On a CPU the fused kernel takes several times as long as the addition and the norm.
_DISABLED_OPTIMIZERS = ["SkipLayerNormFusion"]


class Pass(Protocol):
    """One pass of a graph."""

    def __call__(self, encodings: Sequence[Encoding], *, high_precision: bool = False) -> NDArray[np.float32]:
        """Logits [B, C] of B encodings."""
        ...


def margins(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """[B] the largest logit of each row of logits [B, C] less the second largest."""
    ordered = np.sort(logits, 1)
    found: NDArray[np.float32] = ordered[:, -1] - ordered[:, -2]
    return found


class _Opened(NamedTuple):
    session: ort.InferenceSession
    margin: float | None
    """None where the graph has one pass."""


class OnnxModel:
    """An exported classifier.

    The session is made at the first call and again after a fork, and computes in the calling
    thread; several threads may call at once.

    Args:
        source: A file, or a serialised graph.
        pad: Id of the padding token.
        spec: The input, which decides what the graph takes.
        check: Called with the opened graph's pass before it is used; its errors are the first call's.
    """

    def __init__(
        self, source: Path | bytes, *, pad: int, spec: InputSpec, check: Callable[[Pass], None] | None = None
    ) -> None:
        self._source = source
        self._pad = pad
        self._spec = spec
        self._check = check
        self._opened: _Opened | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        kept = ("_source", "_pad", "_spec", "_check")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _opened=None, _pid=os.getpid(), _lock=threading.Lock())

    def logits(self, encodings: Sequence[Encoding], length: int | None = None) -> NDArray[np.float32]:
        """Logits [B, C] of one batch.

        Args:
            encodings: B of them.
            length: Pad to this many tokens; None pads to the longest.
        """
        logits = self.run_pass(encodings, length)
        low = self.low_margin_rows(logits)
        if low:
            logits[low] = self.run_pass([encodings[i] for i in low], length, high_precision=True)
        return logits

    def low_margin_rows(self, logits: NDArray[np.float32]) -> list[int]:
        """Rows of a first pass's logits [B, C] that are due for the high-precision pass."""
        margin = self._ready().margin
        rows: list[int] = [] if margin is None else np.flatnonzero(margins(logits) < margin).tolist()
        return rows

    def run_pass(
        self, encodings: Sequence[Encoding], length: int | None = None, *, high_precision: bool = False
    ) -> NDArray[np.float32]:
        """Logits [B, C] of one pass; see ``logits``.

        Args:
            encodings: B of them.
            length: Pad to this many tokens; None pads to the longest.
            high_precision: The second pass of an int8 graph instead of the first.

        Raises:
            ArtifactError: The graph cannot be opened or computed, or its logits are not finite.
        """
        return self._run(self._ready(), encodings, length, high_precision=high_precision)

    @property
    def _name(self) -> str:
        return "the exported graph" if isinstance(self._source, bytes) else str(self._source)

    @property
    def has_high_precision_pass(self) -> bool:
        """Whether the graph computes low-margin rows a second time."""
        return self._ready().margin is not None

    def _run(
        self,
        opened: _Opened,
        encodings: Sequence[Encoding],
        length: int | None = None,
        *,
        high_precision: bool = False,
    ) -> NDArray[np.float32]:
        inputs = model_inputs(encodings, self._pad, self._spec, length)
        if opened.margin is not None:
            inputs[HIGH_PRECISION] = np.array(high_precision)
        try:
            (found,) = opened.session.run(["logits"], inputs)
        except Exception as error:  # ONNX Runtime's own errors share no public base
            raise ArtifactError(
                f"{self._name}: ONNX Runtime {ort.__version__} cannot compute it ({str(error)[:200]}). "
                "Copy the artifact again, or export again"
            ) from error
        logits = np.asarray(found, np.float32)
        if logits.ndim != 2 or len(logits) != len(encodings):
            raise ArtifactError(
                f"{self._name} gives logits of shape {list(logits.shape)} for {len(encodings)} inputs; "
                "export again"
            )
        if not np.isfinite(logits).all():
            raise ArtifactError(
                f"{self._name} gives logits that are not finite, which are no prediction. "
                "Its weights are damaged or never were right: copy the artifact again, or train and export"
            )
        return logits

    def _ready(self) -> _Opened:
        if self._pid != os.getpid():
            # A fork: one of the parent's other threads may have held the lock.
            self._lock = threading.Lock()
            self._opened = None
            self._pid = os.getpid()
        opened = self._opened
        if opened is None:
            with self._lock:
                opened = self._opened
                if opened is None:
                    opened = self._open()
                    if self._check is not None:
                        self._check(partial(self._run, opened))
                    self._opened = opened
        return opened

    def _open(self) -> _Opened:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = self._source if isinstance(self._source, bytes) else str(self._source)
        try:
            session = ort.InferenceSession(
                source, options, providers=["CPUExecutionProvider"], disabled_optimizers=_DISABLED_OPTIMIZERS
            )
        except Exception as error:  # ONNX Runtime's own errors share no public base
            raise ArtifactError(
                f"{self._name} cannot be opened by ONNX Runtime {ort.__version__}: {str(error)[:200]}"
            ) from error
        margin = session.get_modelmeta().custom_metadata_map.get(MARGIN)
        return _Opened(session, None if margin is None else float(margin))

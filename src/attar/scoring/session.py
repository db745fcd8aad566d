"""ONNX Runtime behind one call: encodings in, logits out.

The one place that runs an exported graph; export's parity check and the predictor both stand on
it, so what is verified is what scores.

An int8 graph looks twice where its answer is nearly a tie: if the best two logits of an example are
nearer than the graph's own margin, it computes that example again, with the inputs of its layers
in two uint8 parts, sixteen bits together. Whether it does depends on the example alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from attar.errors import ArtifactError
from attar.text.encoding import Encoding, InputSpec, model_inputs

__all__ = ["FINE", "TIE_MARGIN", "OnnxModel", "Pass"]

FINE = "fine"
"""The input that asks an int8 graph for the second look."""
TIE_MARGIN = "attar.tie_margin"
"""The metadata of an int8 graph that says how near two logits are nearly a tie."""

_SLOWER = ["SkipLayerNormFusion"]  # on a CPU the fused kernel takes several times the add and the norm


class Pass(Protocol):
    """One pass of a graph."""

    def __call__(self, encodings: Sequence[Encoding], *, fine: bool = False) -> NDArray[np.float32]:
        """Logits [B, C] of B encodings; ``fine`` asks for the high-precision pass."""
        ...


class _Opened(NamedTuple):
    session: ort.InferenceSession
    tie_margin: float | None
    """None where the graph looks once."""


class OnnxModel:
    """An exported classifier.

    The session is made at the first call and again after a fork, and computes in the calling
    thread; several threads may call at once.

    Args:
        source: A file, or a serialised graph.
        pad: Id of the padding token.
        spec: The form of the input, which decides what the graph takes.
        check: Given the opened graph's pass before anyone else is; what it raises, the first call does.
    """

    def __init__(
        self,
        source: Path | bytes,
        *,
        pad: int,
        spec: InputSpec,
        check: Callable[[Pass], None] | None = None,
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
        ties = self.low_margin_rows(logits)
        if ties:
            logits[ties] = self.run_pass([encodings[i] for i in ties], length, fine=True)
        return logits

    def low_margin_rows(self, logits: NDArray[np.float32]) -> list[int]:
        """Rows of a first look's logits [B, C] that need a second."""
        margin = self._ready().tie_margin
        if margin is None:
            return []
        best = np.sort(logits, 1)
        ties: list[int] = np.flatnonzero(best[:, -1] - best[:, -2] < margin).tolist()
        return ties

    def run_pass(
        self, encodings: Sequence[Encoding], length: int | None = None, *, fine: bool = False
    ) -> NDArray[np.float32]:
        """Logits [B, C] of one pass; see ``logits``.

        Args:
            encodings: B of them.
            length: Pad to this many tokens; None pads to the longest.
            fine: The second look of an int8 graph.
        """
        return self._run(self._ready(), encodings, length, fine=fine)

    @property
    def has_high_precision_pass(self) -> bool:
        """Whether the graph computes near ties a second time."""
        return self._ready().tie_margin is not None

    def _run(
        self, opened: _Opened, encodings: Sequence[Encoding], length: int | None = None, *, fine: bool
    ) -> NDArray[np.float32]:
        inputs = model_inputs(encodings, self._pad, self._spec, length)
        if opened.tie_margin is not None:
            inputs[FINE] = np.array(fine)
        (logits,) = opened.session.run(["logits"], inputs)
        return np.asarray(logits, np.float32)

    def _ready(self) -> _Opened:
        if self._pid != os.getpid():
            # A fork: one of the parent's other threads may have held the lock.
            self._lock = threading.Lock()
            self._opened = None
            self._pid = os.getpid()
        opened = self._opened
        if opened is None:
            with self._lock:
                opened = self._opened or self._checked(self._open())
                self._opened = opened
        return opened

    def _checked(self, opened: _Opened) -> _Opened:
        if self._check is not None:

            def run(encodings: Sequence[Encoding], *, fine: bool = False) -> NDArray[np.float32]:
                return self._run(opened, encodings, fine=fine)

            self._check(run)
        return opened

    def _open(self) -> _Opened:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = self._source if isinstance(self._source, bytes) else str(self._source)
        try:
            session = ort.InferenceSession(
                source, options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
            )
        except Exception as error:  # ONNX Runtime's own errors share no public base
            where = "the exported graph" if isinstance(source, bytes) else source
            raise ArtifactError(
                f"{where} cannot be opened by ONNX Runtime {ort.__version__}: {str(error)[:200]}"
            ) from error
        margin = session.get_modelmeta().custom_metadata_map.get(TIE_MARGIN)
        return _Opened(session, None if margin is None else float(margin))

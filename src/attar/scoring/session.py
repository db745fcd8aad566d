"""ONNX Runtime behind one call: encodings in, logits out.

The one place that runs an exported graph; export's parity check and the predictor both stand on
it, so what is verified is what scores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from attar.errors import ArtifactError
from attar.text.encoding import Encoding, InputSpec, model_inputs

__all__ = ["OnnxModel"]


class OnnxModel:
    """An exported classifier.

    The session is made at the first call and again after a fork, and computes in the calling
    thread; several threads may call at once.

    Args:
        source: A file, or a serialised graph.
        pad: Id of the padding token.
        spec: The form of the input, which decides what the graph takes.
    """

    def __init__(self, source: Path | bytes, *, pad: int, spec: InputSpec) -> None:
        self._source = source
        self._pad = pad
        self._spec = spec
        self._session: ort.InferenceSession | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        return {"_source": self._source, "_pad": self._pad, "_spec": self._spec}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _session=None, _pid=os.getpid(), _lock=threading.Lock())

    def logits(self, encodings: Sequence[Encoding], length: int | None = None) -> NDArray[np.float32]:
        """Logits [B, C] of one batch.

        Args:
            encodings: B of them.
            length: Pad to this many tokens; None pads to the longest.
        """
        inputs = model_inputs(encodings, self._pad, self._spec, length)
        (logits,) = self._ready().run(["logits"], inputs)
        return np.asarray(logits, np.float32)

    def _ready(self) -> ort.InferenceSession:
        if self._pid != os.getpid():
            # A fork: one of the parent's other threads may have held the lock.
            self._lock = threading.Lock()
            self._session = None
            self._pid = os.getpid()
        session = self._session
        if session is None:
            with self._lock:
                session = self._session or self._open()
                self._session = session
        return session

    def _open(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = self._source if isinstance(self._source, bytes) else str(self._source)
        try:
            return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own errors share no public base
            where = "the exported graph" if isinstance(source, bytes) else source
            raise ArtifactError(
                f"{where} cannot be opened by ONNX Runtime {ort.__version__}: {str(error)[:200]}"
            ) from error

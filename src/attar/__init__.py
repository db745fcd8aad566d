"""attar: turns labelled Chinese reviews into a small, fast aspect-sentiment model that can be trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attar.errors import AttarError

if TYPE_CHECKING:
    from attar.scoring.predictor import load

# Official builds of ONNX Runtime report their use to Microsoft, and number the machine, unless this is set
# before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__all__ = ["AttarError", "__version__", "load"]


def __getattr__(name: str) -> object:
    # Only scoring needs NumPy and ONNX Runtime; `import attar` and the command line stay light.
    if name == "load":
        from attar.scoring.predictor import load

        return load
    raise AttributeError(f"module 'attar' has no attribute {name!r}")

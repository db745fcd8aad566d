import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bench():
    """``bench(name)`` imports a script of benchmarks/ or a module beside it."""
    paths = [str(ROOT / "benchmarks"), str(ROOT / "classic")]
    before = set(sys.modules)
    sys.path[:0] = paths
    yield importlib.import_module
    for path in paths:
        sys.path.remove(path)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(tuple(paths)):
            del sys.modules[name]

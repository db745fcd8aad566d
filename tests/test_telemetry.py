"""Nothing of what attar loads reports its use, or numbers the machine."""

import os
import subprocess
import sys

import pytest

PROGRAM = "import attar.scoring.session, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


@pytest.mark.parametrize("said", [None, "1"])
def test_onnxruntime_is_loaded_without_its_reports(tmp_path, said):
    places = {"HOME": tmp_path, "TMPDIR": tmp_path, "XDG_CACHE_HOME": tmp_path, "XDG_DATA_HOME": tmp_path}
    environment = {name: one for name, one in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {name: str(one) for name, one in places.items()} | (
        {} if said is None else {"ORT_DISABLE_TELEMETRY": said}
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert list(tmp_path.iterdir()) == []

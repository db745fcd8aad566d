"""A log of metrics that a kill or a disk has damaged."""

import json
import logging

import pytest

from attar.training.metrics_log import MetricsLog


def resumed(folder, after_step):
    with MetricsLog(folder, enabled=True).opened(after_step):
        pass
    return (folder / "metrics.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    "damaged",
    [
        b"\xff\xfe\n",
        b"{\n",
        b'{"step": "1"}\n',
        b'{"stop": 1}\n',
        b"[" * 100_000 + b"\n",
        b"3\n",
        b"\x00\n",
        b"\n",
    ],
)
def test_damaged_lines_are_left_out_and_counted(tmp_path, caplog, damaged):
    lines = [json.dumps({"step": step, "loss": 0.5}).encode() + b"\n" for step in (1, 2, 3)]
    (tmp_path / "metrics.jsonl").write_bytes(lines[0] + damaged + lines[1] + lines[2] + b'{"step": 3, "lo')
    with caplog.at_level(logging.WARNING):
        assert resumed(tmp_path, 2).encode() == lines[0] + lines[1]
    assert "1 damaged lines are left out" in caplog.text


def test_a_line_that_a_kill_cut_short_is_no_damage(tmp_path, caplog):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2')
    with caplog.at_level(logging.WARNING):
        assert resumed(tmp_path, 5) == '{"step": 1}\n'
    assert not caplog.records
    assert resumed(tmp_path, 0) == ""

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
    assert "1 damaged lines are left out: 2" in caplog.text


def test_a_line_that_a_kill_cut_short_is_no_damage(tmp_path, caplog):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2')
    with caplog.at_level(logging.WARNING):
        assert resumed(tmp_path, 5) == '{"step": 1}\n'
    assert not caplog.records
    assert resumed(tmp_path, 0) == ""


def test_every_flipped_bit_of_a_line_is_known_by_its_checksum(tmp_path, caplog):
    log = MetricsLog(tmp_path, enabled=True)
    with log.opened(0):
        for step in (1, 2, 3):
            log.write(step, {"loss/hard": 1.5 * step, "learning_rate": 1e-4})
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    first, second, third = whole.splitlines(keepends=True)
    assert json.loads(first)["loss/hard"] == 1.5
    assert resumed(tmp_path, 3).encode() == whole
    for bit in range(8 * len(first), 8 * (len(whole) - len(third)), 3):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert resumed(tmp_path, 3).encode() in (first + third, first), bit
        assert "damaged lines are left out: 2" in caplog.text
    assert second not in (first, third)

"""The states that a killed training resumes from."""

import logging

import torch

from attar.training.state import TrainingStates


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path):
    states = TrainingStates(tmp_path / "deep" / "state")
    assert states.latest() is None
    for step in (3, 20, 100):
        states.save(step, {"step": step, "weights": {"w": torch.full((2,), step)}})
    assert [p.name[:13] for p in sorted(states.folder.iterdir())] == ["step-00000020", "step-00000100"]
    assert states.latest()["step"] == 100
    assert states.latest()["weights"]["w"].tolist() == [100, 100]


def test_a_file_that_is_whole_but_no_state_is_not_used(tmp_path, caplog):
    from attar.io.files import file_hash

    states = TrainingStates(tmp_path)
    states.save(1, {"step": 1})
    odd = tmp_path / "odd"
    odd.write_bytes(b"not what torch writes")
    odd.rename(tmp_path / f"step-00000002-{file_hash(odd)[:32]}.pt")
    with caplog.at_level(logging.WARNING):
        assert states.latest()["step"] == 1
    assert "cannot be read" in caplog.text


def test_no_state_that_is_whole(tmp_path):
    states = TrainingStates(tmp_path)
    states.save(1, {"step": 1})
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert states.latest() is None


def test_a_draft_left_by_a_kill_is_no_state(tmp_path):
    states = TrainingStates(tmp_path)
    (tmp_path / "draft.pt").write_bytes(b"half")
    assert states.latest() is None
    states.save(1, {"step": 1})
    assert states.latest() == {"step": 1}


def test_the_state_of_another_training_is_not_used(tmp_path, caplog):
    TrainingStates(tmp_path).save(1, {"step": 1})  # of an older attar, which names no owner
    TrainingStates(tmp_path, "theirs").save(2, {"step": 2})
    assert TrainingStates(tmp_path, "theirs").latest() == {"step": 2}
    assert TrainingStates(tmp_path).latest() == {"step": 2}
    with caplog.at_level(logging.WARNING):
        assert TrainingStates(tmp_path, "ours").latest() == {"step": 1}
    assert "another training's" in caplog.text

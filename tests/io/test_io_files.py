"""Files written whole or not at all, with the rights of the umask, and none of somebody else's replaced."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attar.io.files import (
    atomic_write,
    remove_unused,
    same_rights,
    write_beside,
    write_json,
    write_new,
)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_a_file_has_the_rights_that_the_umask_gives(tmp_path, mask):
    private = tmp_path / "sub" / "private"
    private.parent.mkdir()
    private.touch()
    private.chmod(0o600)
    link = tmp_path / "sub" / "link"
    link.symlink_to("nowhere")
    before = os.umask(mask)
    try:
        write_json(tmp_path / "sub" / "a.json", {})
        same_rights(tmp_path, tmp_path / "sub" / "a.json")
    finally:
        os.umask(before)
    for path in (tmp_path / "sub" / "a.json", private):
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["a.json", "link", "private"]


def test_a_block_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("before")
    for error in (OSError, KeyboardInterrupt):
        with pytest.raises(error), atomic_write(path) as draft:
            draft.write_text("half")
            raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_name_is_written(tmp_path):
    path = tmp_path / f"{'长' * 80}.json"
    write_json(path, {})
    assert list(tmp_path.iterdir()) == [path]


def test_what_accompanies_a_result_replaces_no_other_file(tmp_path):
    path, other = tmp_path / "tasks.xml", tmp_path / "tasks.attar.xml"
    assert write_beside(path, "ours") == path
    assert write_beside(path, "ours") == path
    path.write_text("mine")
    assert write_beside(path, "ours") == other
    assert write_beside(path, "ours, again") == other
    assert (path.read_text(), other.read_text()) == ("mine", "ours, again")


KILLED = """
import os, signal, sys
from pathlib import Path
from attar.io.files import atomic_write
with atomic_write(Path(sys.argv[1])) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_was_writing_goes_with_the_next_file_of_that_name(tmp_path):
    out = tmp_path / "scored.csv"
    done = subprocess.run([sys.executable, "-c", KILLED, out], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    others = [
        ".scored.attar-0123abcd.xlsx",
        ".scored.more.attar-0123abcd.csv",
        ".scored.attar-notes.csv.swp",
        ".scored.attar-my-notes.csv",
    ]
    for name in others:
        (tmp_path / name).write_text("another's")
    with atomic_write(out) as first, atomic_write(out) as second:  # neither takes the other's for a leftover
        assert first.exists()
        assert second.exists()
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "scored.csv"])


def test_a_temporary_file_that_is_taken_for_a_leftover_is_made_again(tmp_path, monkeypatch):
    """Another process may find it between its making and its lock."""
    made, real = [], fcntl.flock

    def lock(handle, how):
        if how == fcntl.LOCK_SH and not made:
            (path,) = tmp_path.iterdir()
            made.append(path)
            assert remove_unused(path)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with atomic_write(tmp_path / "scored.csv") as draft:
        assert draft not in made
        draft.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["scored.csv"]


def test_without_locks_nothing_is_taken_for_a_leftover(tmp_path, monkeypatch):
    def none(*_):
        raise OSError

    (tmp_path / ".scored.attar-0123abcd.csv").touch()
    monkeypatch.setattr(fcntl, "flock", none)
    with atomic_write(tmp_path / "scored.csv") as draft:
        draft.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("has_links", [True, False])
def test_a_new_file_never_takes_the_place_of_another(tmp_path, monkeypatch, has_links):
    if not has_links:

        def refuse(*_):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    write_new(tmp_path / "mine.toml", "first\n")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "mine.toml", "second\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]
    assert (tmp_path / "mine.toml").read_text("utf-8") == "first\n"

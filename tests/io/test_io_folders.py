"""Folders that take the place of others: what moves along, what must not be written to."""

import os

import pytest

from attar.errors import RunError
from attar.io import folders
from attar.io.folders import (
    carry_over,
    check_out,
    check_room,
    check_writable,
    exchange,
    has_files,
    remove_folder,
)


@pytest.fixture
def two(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "own").write_text(name)
    return tmp_path / "old", tmp_path / "new"


def test_two_folders_exchange_their_names(two):
    old, new = two
    assert exchange(old, new)
    assert (old / "sub" / "own").read_text() == "new"
    assert (new / "sub" / "own").read_text() == "old"


def test_what_cannot_be_exchanged_stays_as_it_is(two, tmp_path):
    old, _ = two
    assert not exchange(old, tmp_path / "nowhere")
    assert (old / "sub" / "own").read_text() == "old"


def test_what_is_not_own_moves_along_and_nothing_is_replaced(two):
    old, new = two
    (old / "sub" / "notes.txt").write_text("mine")
    (old / "table.xlsx").write_text("with remarks")
    (old / "mine").mkdir()
    (old / "mine" / "more").write_text("more")
    (old / "link").symlink_to(new)
    for name in ("table.xlsx", "table.kept.xlsx"):
        (new / name).write_text("of the new result")
    (new / "mine").write_text("a file in the way of a folder")
    moved = carry_over(old, new, lambda name: name == "sub/own")
    assert sorted(moved) == ["link", "mine.kept/more", "sub/notes.txt", "table.kept-2.xlsx"]
    assert (new / "sub" / "own").read_text() == "new"
    assert (new / "table.xlsx").read_text() == "of the new result"
    assert (new / "table.kept-2.xlsx").read_text() == "with remarks"
    assert (new / "link").is_symlink()
    assert not has_files(old)


def test_a_place_has_files_or_only_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not has_files(tmp_path)
    assert not has_files(tmp_path / "nowhere")
    (tmp_path / "a" / "b" / "link").symlink_to("nowhere")
    assert has_files(tmp_path)
    assert has_files(tmp_path / "a" / "b" / "link")


def test_a_removed_folder_leaves_what_its_links_lead_to(two):
    old, new = two
    (old / "link").symlink_to(new)
    (old / "file").symlink_to(new / "sub" / "own")
    remove_folder(old)
    assert not old.exists()
    assert (new / "sub" / "own").exists()


@pytest.fixture
def inputs(tmp_path):
    """A folder with a file, and links to both."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "rows.csv").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


@pytest.mark.parametrize(
    ("out", "read", "how"),
    [
        ("data", "data", "is"),
        ("link", "data", "is"),
        ("data", "link", "is"),
        ("data/deep/../../data", "data", "is"),
        ("data", "data/deep", "holds"),
        ("link", "data/rows.csv", "holds"),
        (".", "data", "holds"),
        ("data/new", "data", "lies in"),
        ("link/new/deeper", "data", "lies in"),
        ("data/deep", "link", "lies in"),
    ],
)
def test_a_folder_that_touches_an_input_is_refused(inputs, out, read, how):
    with pytest.raises(RunError, match=rf"{how} .*{read}, which this command reads.*--out"):
        check_out(inputs / out, [inputs / "nowhere", inputs / read])


@pytest.mark.parametrize("out", ["database", "dat", "new/data", "data2/deep"])
def test_a_folder_apart_from_the_inputs_is_taken(inputs, out):
    assert check_out(inputs / out, [inputs / "data", inputs / "link" / "rows.csv"]) == inputs / out


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("data/rows.csv", "a file stands where the folder should go"),
        ("data/rows.csv/deeper", "a file stands where the folder should go"),
        ("x" * 250, "must have 1 to 240 bytes"),
        ("长" * 100, "must have 1 to 240 bytes"),
        ("x" * 300, "must have 1 to 240 bytes"),
        ("a\0b", "no name for a folder"),
        ("loop", "no name for a folder|a file stands"),
        ("loop/deeper", "no name for a folder|a file"),
    ],
)
def test_names_that_cannot_be_folders(inputs, out, said):
    with pytest.raises(RunError, match=said):
        check_out(inputs / out, [])


def test_the_current_folder_is_not_replaced(inputs, monkeypatch):
    monkeypatch.chdir(inputs / "data" / "deep")
    for out in (".", ".."):
        with pytest.raises(RunError, match="the folder that you are in"):
            check_out(inputs / "data" / "deep" / out, [])


def test_a_mount_point_and_a_parent_that_cannot_be_written_to(inputs, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: path == inputs / "data")
    with pytest.raises(RunError, match="is a mount point"):
        check_out(inputs / "data", [])
    monkeypatch.setattr(os, "access", lambda path, _: path != inputs)
    with pytest.raises(RunError, match="cannot be written to"):
        check_writable(check_out(inputs / "new" / "deeper", []))


def test_too_little_room(inputs):
    check_room(inputs / "new", 0)
    with pytest.raises(RunError, match=r"MB free there, at least .* are needed"):
        check_room(inputs / "new" / "deeper", 1 << 60)
    assert folders._LEAST_ROOM < 1 << 21

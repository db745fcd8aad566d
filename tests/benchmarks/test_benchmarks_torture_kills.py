"""A share of the torture's kills, full disks and wrong outputs: of the verbs that need no torch."""

import random

import pytest
import typer

from attar.cli.app import app
from attar.io.files import atomic_write


@pytest.fixture(scope="module")
def place(bench, tmp_path_factory, artifact_folder):
    forks, make_place = bench("torturing.forks").Forks, bench("torturing.place").make_place
    folder = tmp_path_factory.mktemp("torture") / "place"
    with forks(with_models=False) as started:
        yield make_place(folder, started, num_rows=40, artifact=artifact_folder)


@pytest.mark.parametrize("name", ["prepare", "score"])
def test_a_killed_command_resumes_to_the_same_bytes(bench, place, name):
    row = bench("torturing.kills").kill_verb(place, name, 3, random.Random(0))  # noqa: S311
    assert row.failures == []
    assert row.count == 3


@pytest.mark.parametrize("name", ["prepare", "score"])
def test_a_stopped_command_says_so_and_resumes_to_the_same_bytes(bench, place, name):
    row = bench("torturing.stops").stop_verb(place, name, 2, random.Random(0))  # noqa: S311
    assert row.failures == []
    assert row.count == 2


def test_a_service_that_is_stopped_as_it_starts_ends(bench, place):
    row = bench("torturing.stops").stop_service(place, 3, random.Random(0))  # noqa: S311
    assert row.failures == []
    assert row.count == 3


@pytest.mark.parametrize("name", ["prepare", "score", "compare"])
def test_no_room_costs_no_earlier_result(bench, place, name):
    disks = bench("torturing.disks")
    if not disks.can_mount(place.folder):
        pytest.skip("mounting a file system needs root")
    row = disks.verb_on_disks(place, name, (0.4,))
    assert row.failures == []
    assert row.outcomes["one line, the earlier result stands"] > 0
    assert row.outcomes["refused where it is read-only"] > 0


@pytest.mark.parametrize(("name", "every"), [("prepare", 4), ("score", 5), ("terms", 4), ("compare", 4)])
def test_a_wrong_output_is_refused_before_anything_is_touched(bench, place, name, every):
    outs = bench("torturing.outs")
    if not place.at("wrong").exists():
        outs.make_wrong_things(place)
    row = outs.verb_with_wrong_outs(place, name, every=every)
    assert row.failures == []
    assert row.count >= 3


def test_each_command_is_tried(bench):
    """A new command joins the torture, or stands here with the reason."""
    commands = set(typer.main.get_group(app).commands)
    written = {verb.name for verb in bench("torturing.place").VERBS.values()}
    # run is its stages; the others write nothing
    assert commands - written == {"run", "serve", "verify", "clean"}
    assert {place.split()[0].rstrip(",") for place in bench("torturing.secrets").PLACES} == commands
    read = {name.partition(",")[0] for name in bench("torturing.scale").VERBS}
    # these read no rows of the user's, or few
    assert commands - read == {"run", "serve", "verify", "clean", "convert", "bench"}


def test_what_is_broken_is_told(bench, tmp_path):
    """The parts' own eyes: hidden files, a file that differs, a line that is none."""
    snapshots, done = bench("torturing.snapshots"), bench("torturing.forks").Done
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("one")
    before = snapshots.snapshot(tmp_path)
    with atomic_write(tmp_path / "a" / "file") as draft:
        draft.write_text("two")
        assert snapshots.hidden(tmp_path) == [draft]
        assert snapshots.difference(snapshots.snapshot(tmp_path), before) == f"a/{draft.name} is more"
    assert snapshots.difference(snapshots.snapshot(tmp_path), before) == "a/file differs"
    assert snapshots.difference({}, before) == ". is missing, a is missing, a/file is missing"
    assert done(2, "attar: no room\n", 1.0).fault(2) == ""
    for wrong in (
        done(2, "", 1.0),
        done(0, "", 1.0),
        done(2, "Traceback\nattar: x\n", 1.0),
        done(None, "", 1.0),
    ):
        assert wrong.fault(2)

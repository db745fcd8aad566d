"""A share of the torture's workbooks, mutated inputs, secrets and growth."""

import math
import random
import socket
from pathlib import Path

import pytest

from attar.errors import DataError, redacted
from attar.io.tables.table_files import open_tables

SEED = 5


@pytest.fixture(scope="module")
def workbooks(bench):
    return bench("torturing.workbooks")


@pytest.fixture(scope="module")
def fuzzing(bench):
    return bench("torturing.fuzzing")


def test_hostile_workbooks_are_refused_in_words(workbooks, tmp_path):
    names = set(workbooks.HOSTILE_WORKBOOKS)
    assert names >= workbooks.HEAVY
    assert len(names) >= 50
    wrong, path = [], tmp_path / "book.xlsx"
    for what in sorted(names - workbooks.HEAVY):
        hostile = workbooks.HOSTILE_WORKBOOKS[what]
        hostile.write(path)
        try:
            rows = [row for table in open_tables(path) for row in table.rows()]
        except DataError as error:
            if "\n" in str(error) or str(path) not in str(error):
                wrong.append(f"{what}: {error}")
            continue
        if hostile.is_refused:
            wrong.append(f"{what}: {len(rows)} rows were read")
    assert "\n".join(wrong) == ""


def test_a_good_workbook_is_read(bench, tmp_path):
    writing = bench("torturing.workbook_writing")
    writing.write_parts(tmp_path / "book.xlsx", writing.plain_parts())
    (table,) = open_tables(tmp_path / "book.xlsx")
    assert [row.values["term"] for row in table.rows()] == ["香味"] * 10


def test_fuzzed_inputs_end_in_a_result_or_in_words(fuzzing, artifact_folder, tmp_path):
    failures, outcomes = [], dict.fromkeys(("past the parser", "each row refused", "refused in words"), 0)
    with fuzzing.services(tmp_path, artifact_folder) as services:
        for name, target in fuzzing.TARGETS.items():
            row = fuzzing.fuzz(name, max(8, target.weight // 4), SEED, services)
            failures += row.failures
            for outcome, count in row.outcomes.items():
                outcomes[outcome] += count
    assert failures == []
    assert 3 * outcomes["past the parser"] >= sum(outcomes.values())
    assert outcomes["refused in words"] > 20


def test_what_escapes_is_a_failure(fuzzing, monkeypatch):
    def escape(rng, _):
        raise (KeyError if rng.random() < 0.5 else DataError)("x\ny")

    monkeypatch.setattr(fuzzing, "TARGETS", {"one": fuzzing.Target(1, escape)})
    row = fuzzing.fuzz("one", 20, SEED, None)
    assert len(row.failures) == 20
    assert {line.split(": ")[1] for line in row.failures} == {"KeyError", "a message of several lines"}


@pytest.fixture(scope="module")
def secrets(bench):
    return bench("torturing.secrets")


SAID = (
    "{}", "{} does not exist", "a/{}: no such file", "{}.jsonl", "--set 'data.sources:{}'", "[{{path='{}'}}]",
)  # fmt: skip


def test_every_spelling_is_left_out_of_messages(secrets):
    seen = [
        (spelling, line)
        for spelling, address in secrets.ADDRESSES.items()
        for line in SAID
        for written in (address, str(Path(address)), repr(address))
        if secrets.SECRET in redacted(line.format(written))
    ]
    assert seen == []


def test_secrets_are_nowhere_to_be_seen(secrets, bench, artifact_folder, tmp_path):
    bench("torturing.children").import_verbs()
    rng = random.Random(SEED)  # noqa: S311
    chosen = rng.sample(list(secrets.attempts()), 12)
    wrong = []
    taken = socket.create_server(("127.0.0.1", 0))
    for number, attempt in enumerate(chosen):
        folder = tmp_path / str(number)
        secrets.make_place(folder, artifact_folder)
        ended = secrets.try_once(attempt, folder, taken.getsockname()[1])
        if found := secrets.leak(folder, ended) or ended.broken:
            wrong.append(f"{attempt.place}, {attempt.spelling}: {found}")
    taken.close()
    assert "\n".join(wrong) == ""


def test_a_secret_that_is_seen_is_found(secrets, bench, tmp_path):
    ended = bench("torturing.children").Ended(2, f"attar: {secrets.SECRET}", 0, 0.0)
    assert "said it" in secrets.leak(tmp_path, ended)
    quiet = bench("torturing.children").Ended(2, "attar: x", 0, 0.0)
    assert secrets.leak(tmp_path, quiet) == ""
    (tmp_path / "a.log").write_text(f"x{secrets.SECRET}")
    assert secrets.leak(tmp_path, quiet) == "it is in a.log"
    (tmp_path / f"b{secrets.SECRET}").mkdir()
    assert "in the name" in secrets.leak(tmp_path, quiet)


def test_growth_is_a_power_of_the_size(bench):
    growth = bench("torturing.scale").growth
    sizes = [100, 1_000, 10_000]
    assert growth([3.0, 4.0, 13.0], sizes, 0.1) == pytest.approx(1.0)
    assert growth([3.0, 4.0, 103.0], sizes, 0.1) == pytest.approx(2.0)
    assert growth([6.4, 6.7, 16.8], sizes, 0.1) == pytest.approx(math.log10(10.4 / 0.64))  # a start is no row
    assert growth([3.0, 3.0, 3.05], sizes, 0.1) == 0.0

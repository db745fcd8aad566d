"""Options that are given twice."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "artifact", "--in", "a.csv", "--out", "b.csv", "--out", "c.csv"),
        ("compare", "a.csv", "--task", "cosmetics", "--task", "newcos"),
        ("prepare", "a.csv", "--out", "x", "--out=y"),
    ],
)
def test_of_two_values_none_is_lost_silently(arguments, attar_main, one_line):
    code, _, said = attar_main(*arguments)
    assert "is given 2 times; it has one value" in one_line(code, said)


def test_options_with_several_values_and_switches_may_come_twice(tmp_path, attar_main, one_line):
    missing = tmp_path / "a.csv"
    code, _, said = attar_main(
        "prepare", missing, "--out", tmp_path / "x", "--set", "data.dev=0.2", "--set", "data.test=0.2"
    )
    assert "a.csv" in one_line(code, said)
    code, _, said = attar_main("compare", missing, "--no-quotes", "--no-quotes", "--out", tmp_path / "o.xlsx")
    assert "no such file" in one_line(code, said)

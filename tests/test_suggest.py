"""The nearest of the known names, at the end of a message."""

import pytest

from attar.suggest import did_you_mean


@pytest.mark.parametrize(
    ("name", "expected"), [("temperatur", "; did you mean 'temperature'?"), ("xyz", ""), ("", "")]
)
def test_the_nearest_name(name, expected):
    assert did_you_mean(name, ("temperature", "weight")) == expected


def test_a_lower_cutoff_finds_more():
    assert did_you_mean("temp", ("temperature",)) == ""
    assert did_you_mean("temp", ("temperature",), cutoff=0.5) == "; did you mean 'temperature'?"

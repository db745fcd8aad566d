"""Parts of pictures: scales, ticks, text that is escaped, drawings that stand alone."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.svg import Scale, drawing, standalone, text, text_width


def test_a_scale_reaches_from_end_to_end():
    assert [Scale(0, 10, 100, 300)(value) for value in (0, 5, 10)] == [100, 200, 300]
    assert [Scale(1, 100, 300, 100, log=True)(value) for value in (1, 10, 100)] == [300, 200, 100]


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0, 1, 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Scale(0.68, 0.86, 0, 1), [0.7, 0.75, 0.8, 0.85]),
        (Scale(0.2, 0.9, 0, 1), [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        (Scale(8, 70, 0, 1, log=True), [10, 20, 50]),
        (Scale(17, 24_000, 0, 1, log=True), [100, 1000, 10_000]),
    ],
)
def test_ticks_are_round_values(scale, ticks):
    assert scale.ticks() == pytest.approx(ticks)


@given(st.floats(1e-3, 1e5), st.floats(1.5, 1e4), st.booleans())
def test_ticks_are_within_the_scale_and_few(low, times, log):
    scale = Scale(low, low * times, 0, 100, log)
    assert all(-1e-6 <= scale(tick) <= 100 + 1e-6 for tick in scale.ticks())
    assert len(scale.ticks()) <= 12


def test_text_is_escaped_and_a_character_of_chinese_is_wide():
    assert ET.fromstring(text(1, 2, "<a> & 好")).text == "<a> & 好"  # noqa: S314 - our own
    assert text_width("好好") > text_width("ok")


def test_a_picture_alone_has_its_own_colours():
    drawn = drawing(10, 10, [text(1, 2, "a")])
    assert "--ink:" not in drawn
    alone = ET.fromstring(standalone(drawn))  # noqa: S314 - our own
    assert "--ink: #" in alone[0].text

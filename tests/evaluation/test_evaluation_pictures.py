"""The pictures: live text, page colours, labels that do not cover one another."""

import itertools
import logging
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.transforms import Bbox

from attar.evaluation.calibration import reliability
from attar.evaluation.pictures import Point, _drawing, _tradeoff, confusion_svg, reliability_svg, tradeoff_svg

CROWDED = [
    Point("teacher", 45, 0.800, 0.77, 0.83, 97_000_000),
    Point("student", 600, 0.792, 0.76, 0.82, 23_000_000),
    Point("student_int8", 900, 0.791, 0.76, 0.82, 6_000_000, highlighted=True),
    Point("finetuned", 880, 0.789, 0.75, 0.82, 6_000_000),
    Point("tfidf", 10_000, 0.72, 0.69, 0.75, 4_000_000),
    Point("majority", 300_000, 0.29, 0.28, 0.30, 12),
    Point("unsized", 50, 0.798, 0.77, 0.83, None),
]


def texts(svg):
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_confusion_keeps_chinese_as_text_without_a_word_of_warning(caplog):
    with caplog.at_level(logging.WARNING):
        svg = confusion_svg(np.array([[50, 1], [2, 1234]]), ("消极", "积极"))
    assert texts(svg).count("消极") == 2
    assert "1,234" in texts(svg)
    assert "var(--accent)" in svg
    assert not caplog.records


def test_a_label_without_examples_is_drawn():
    assert "0%" in texts(confusion_svg(np.array([[0, 0], [1, 2]]), ("否", "是")))


def test_reliability_is_drawn_also_of_one_bin():
    svg = reliability_svg(reliability(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])))
    assert "accuracy" in texts(svg)


@pytest.mark.parametrize("points", [CROWDED, CROWDED[:1], CROWDED[:4], CROWDED[5:]])
def test_tradeoff_labels_do_not_overlap(points):
    with _drawing(8.6, 4.3) as (figure, axes):
        _tradeoff(figure, axes, points)
        renderer = figure.canvas.get_renderer()
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == len(points)
    for first, second in itertools.combinations(boxes, 2):
        assert Bbox.intersection(first, second) is None


def test_tradeoff_is_the_same_every_time_and_leaves_no_trace():
    before = dict(mpl.rcParams)
    first = tradeoff_svg(CROWDED)
    assert first == tradeoff_svg(CROWDED)
    assert dict(mpl.rcParams) == before
    assert "student_int8 · 6.0 MB" in texts(first)
    assert "majority · 12 B" in texts(first)

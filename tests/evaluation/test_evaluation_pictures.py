"""The pictures: live text, page colours, labels that do not cover one another."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from attar.evaluation.calibration import reliability
from attar.evaluation.pictures import Point, confusion_svg, reliability_svg, tradeoff_svg
from attar.svg import text_width

SVG = "{http://www.w3.org/2000/svg}"

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
    return [element.text for element in root.iter(f"{SVG}text")]


def test_confusion_keeps_chinese_as_text():
    svg = confusion_svg(np.array([[50, 1], [2, 1234]]), ("消极", "积极"))
    assert texts(svg).count("消极") == 2
    assert "1,234" in texts(svg)
    assert "var(--accent)" in svg


def test_a_label_without_examples_is_drawn():
    assert "0%" in texts(confusion_svg(np.array([[0, 0], [1, 2]]), ("否", "是")))


def test_reliability_is_drawn_also_of_one_bin():
    svg = reliability_svg(reliability(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])))
    assert "accuracy" in texts(svg)


def box_of(element):
    """The pixels that a label covers, about."""
    style = dict(part.split(": ") for part in element.get("style").split("; "))
    width = text_width(element.text, 13, bold="font-weight" in style)
    left = float(element.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[style["text-anchor"]] * width
    return left, float(element.get("y")) - 12, left + width, float(element.get("y")) + 3


@pytest.mark.parametrize("points", [CROWDED, CROWDED[:1], CROWDED[:4], CROWDED[5:]])
def test_tradeoff_labels_do_not_overlap(points):
    root = ET.fromstring(tradeoff_svg(points))  # noqa: S314 - our own
    _, _, width, height = map(float, root.get("viewBox").split())
    labels = {point.label for point in points}
    boxes = [box_of(each) for each in root.iter(f"{SVG}text") if each.text in labels]
    assert len(boxes) == len(points)
    assert all(0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height for box in boxes)
    for a, b in itertools.combinations(boxes, 2):
        assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])


def test_tradeoff_is_the_same_every_time():
    first = tradeoff_svg(CROWDED)
    assert first == tradeoff_svg(CROWDED)
    assert "student_int8 · 6.0 MB" in texts(first)
    assert "majority · 12 B" in texts(first)


def test_a_report_without_timed_models_has_a_picture_too():
    assert "macro-F1" in texts(tradeoff_svg([]))

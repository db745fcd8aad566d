"""Who meets whom, who differs, and how far two agree."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from attar.compare.comparison import Comparison, figures_of
from attar.compare.join import Annotation, Case, agreement, gold_of, join
from attar.compare.workbook import write_answers, write_side_by_side
from attar.task import BUILT_IN_TASKS, Example

LABELS = st.sampled_from("abc")
QUESTIONS = st.tuples(st.sampled_from(["x y", "y x"]), st.sampled_from([(0, 1), (2, 3)]), LABELS)


def annotations(questions, *, with_spans=True):
    return [
        Annotation(text, text[start:end], *((start, end) if with_spans else (None, None)), label=label)
        for text, (start, end), label in questions
    ]


@given(st.lists(QUESTIONS, max_size=8), st.lists(QUESTIONS, max_size=8), st.booleans())
def test_a_join_loses_no_answer_and_pairs_equal_questions(first, second, with_spans):
    a, b = annotations(first), annotations(second, with_spans=with_spans)
    cases = join(a, b)
    sides = [case.sides for case in cases]
    assert [id(x) for x, _ in sides if x] == [id(annotation) for annotation in a]
    assert sorted(id(y) for _, y in sides if y) == sorted(id(annotation) for annotation in b)
    for x, y in sides:
        if x and y:
            assert (x.text, x.term) == (y.text, y.term)
            assert not with_spans or (x.start, x.end) == (y.start, y.end)
    left = {(x.text, x.term, x.start) for x, y in sides if y is None}
    right = {(y.text, y.term, y.start) for x, y in sides if x is None}
    assert not left & right


def test_repeated_questions_meet_in_turn():
    a = annotations([("x y", (0, 1), "a"), ("x y", (0, 1), "b")])
    b = annotations([("x y", (0, 1), "c")])
    assert [tuple(case.labels) for case in join(a, b)] == [("a", "c"), ("b", None)]


@given(st.lists(st.tuples(LABELS, LABELS), max_size=40))
def test_kappa_is_scikit_learns(pairs):
    found = agreement(pairs)
    assert (found.num, found.num_same) == (len(pairs), sum(x == y for x, y in pairs))
    if len({label for pair in pairs for label in pair}) < 2:
        assert found.kappa is None
        return
    assert found.kappa == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


def test_kappa_by_hand():
    # 45 + 15 of 100 alike; by chance 0.6 * 0.7 + 0.4 * 0.3 = 0.54.
    pairs = [("y", "y")] * 45 + [("y", "n")] * 15 + [("n", "y")] * 25 + [("n", "n")] * 15
    found = agreement(pairs)
    assert found.share == 0.6
    assert found.kappa == pytest.approx((0.6 - 0.54) / 0.46)


def test_gold_goes_to_every_repetition_and_a_contradiction_is_none():
    asked = annotations([("x y", (0, 1), "a"), ("x y", (0, 1), "b"), ("y x", (0, 1), "a")])
    gold = annotations(
        [("x y", (0, 1), "c"), ("y x", (0, 1), "a"), ("y x", (0, 1), "b"), ("y x", (2, 3), "a")]
    )
    found = gold_of(asked, gold)
    assert found.labels == ["c", "c", None]
    assert found.unused == [gold[3]]
    assert found.num_contradictory == 1


def sheet(path, title):
    head, *rows = openpyxl.load_workbook(path)[title].iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_sheets_of_two(tmp_path):
    def one(number, label, prob):
        return Annotation(
            f"x{number}", "x", 0, 1, label, prob, {"p": prob, "n": 1 - prob}, groups={"channel": "c"}
        )

    cases = [
        Case((one(0, "p", 0.9), one(0, "p", 0.8)), "p"),
        Case((one(1, "p", 0.6), one(1, "n", 0.1)), "n"),
        Case((one(2, "p", 0.8), one(2, "p", 0.8)), "n"),
        Case((one(3, "p", 0.7), one(3, "n", 0.7)), None),
        Case((one(4, "n", 0.1), None), "n"),
        Case((None, one(5, "n", 0.2)), "p"),
    ]
    only_gold = [Annotation("z", "z", 0, 1, "p")]
    comparison = Comparison(("one", "two"), cases, ["p", "n"], only_gold, {"said": "so"})
    path, figures = tmp_path / "c.xlsx", figures_of(comparison)
    num_rows = write_side_by_side(path, comparison, figures)
    assert num_rows == {
        "result": 6, "different": 2, "wrong one": 2, "correct one": 2, "wrong two": 2, "correct two": 2,
        "both wrong": 1, "only in one": 1, "only in two": 1, "only in gold": 1,
    }  # fmt: skip
    assert openpyxl.load_workbook(path).sheetnames == ["summary", *num_rows]
    (agreed,) = figures["agreement"]
    assert (agreed["num_both"], agreed["num_same"], agreed["share"]) == (4, 2, 0.5)
    assert figures["sides"]["one"] == {
        "num": 5, "num_gold": 4, "accuracy": 0.5, "macro_f1": pytest.approx((0.5 + 0.5) / 2),
        "without_gold": [],
    }  # fmt: skip
    assert [row["text"] for row in sheet(path, "different")] == ["x3", "x1"]
    assert [row["text"] for row in sheet(path, "wrong one")] == ["x2", "x1"]
    (both,) = sheet(path, "both wrong")
    assert (both["label one"], both["prob one"], both["label two"], both["prob_p two"]) == (
        "p",
        0.8,
        "p",
        0.8,
    )
    assert (both["gold"], both["channel"], both["start"], both["end"]) == ("n", "c", 0, 1)
    (unanswered,) = sheet(path, "only in gold")
    assert (unanswered["gold"], unanswered["label one"]) == ("p", None)


def test_the_answers_of_a_report(tmp_path):
    task = BUILT_IN_TASKS["cosmetics"]
    examples = [Example("口红好", 0, 2, label, {"channel": "京东"}) for label in task.labels]
    chosen = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], np.float32)
    reference = np.eye(3, dtype=np.float32)
    write_answers(tmp_path / "two.xlsx", examples, task, {"small": chosen, "large": reference})
    assert [row["label large"] for row in sheet(tmp_path / "two.xlsx", "different")] == ["中性"]
    assert sheet(tmp_path / "two.xlsx", "wrong large") == []
    write_answers(tmp_path / "one.xlsx", examples, task, {"small": chosen})
    (wrong,) = sheet(tmp_path / "one.xlsx", "wrong")
    assert (wrong["gold"], wrong["label"], wrong["prob"], wrong["prob_中性"]) == ("中性", "消极", 0.5, 0.3)

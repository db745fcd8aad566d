"""The first sentence of the page is honest."""

import pytest

from attar.evaluation.verdict import verdict


def report(student=0.79, teacher=0.80, faster=22.4, smaller=16.0, gap=(0.05, 0.02, 0.08), rival="tfidf"):
    value, low, high = gap
    return {
        "models": {
            name: {"macro_f1": score, "confusion": [[5, 1], [2, 7]]}
            for name, score in (("teacher", teacher), ("student_int8", student), (rival, student - value))
        },
        "reference": "teacher",
        "chosen": "student_int8",
        "num_test": 1287,
        "agreement": 0.97,
        "ratios": {"smaller": smaller, "faster": faster},
        "paired_differences": {rival: {"value": value, "low": low, "high": high}},
    }


def test_good():
    found = verdict(report())
    assert found.headline == (
        "The small model keeps 98.7 % of the teacher's macro-F1 (79.0 against 80.0), "
        "and is 16 times smaller and 22 times faster."
    )
    assert found.details == (
        "It gives the same label as the teacher on 97.0 % of the test set.",
        "It beats the linear model by 5.0 points [+2.0, +8.0].",
    )
    assert found.good


@pytest.mark.parametrize(
    ("change", "words", "good"),
    [
        ({"student": 0.75}, "keeps 93.7 %", False),
        ({"student": 0.81}, "does not lose to the teacher", True),
        ({"student": 0.79999}, "keeps 99.9 %", True),
        ({"faster": 0.5}, "16 times smaller and 2.0 times slower", True),
        ({"faster": None, "smaller": None}, "(79.0 against 80.0).", True),
        ({"gap": (-0.05, -0.08, -0.02)}, "keeps", False),
        ({"gap": (-0.01, -0.03, 0.02)}, "keeps", False),
        ({"gap": (0.01, -0.02, 0.03)}, "keeps", True),
        ({"rival": "student", "gap": (-0.05, -0.08, -0.02)}, "keeps", True),
        ({"teacher": 0.0, "student": 0.0}, "does not lose", True),
    ],
)
def test_as_good_as_it_is(change, words, good):
    found = verdict(report(**change))
    assert words in found.headline
    assert found.good is good


def test_uncertain_and_lost_comparisons_say_so():
    assert "1,287 examples that is not certain" in verdict(report(gap=(0.01, -0.02, 0.03))).details[-1]
    assert "loses to the linear model by 5.0" in verdict(report(gap=(-0.05, -0.08, -0.02))).details[-1]
    assert "above mine" in verdict(report(gap=(0.01, -0.02, 0.03), rival="mine")).details[-1]


def test_without_a_reference_or_a_chosen_one():
    alone = report()
    alone["models"] = {"tfidf": {"macro_f1": 0.7}}
    assert verdict(alone).headline == "The linear model has a macro-F1 of 70.0."
    alone["models"] = {"student_int8": {"macro_f1": 0.7, "confusion": [[5, 1], [2, 7]]}}
    assert verdict(alone).headline == "The small model has a macro-F1 of 70.0."
    assert verdict(alone).good is None
    alone["models"] = {"teacher": {"macro_f1": 0.8}, "tfidf": {"macro_f1": 0.7}}
    assert verdict(alone).headline == "The teacher has the best macro-F1 of 2: 80.0."


@pytest.mark.parametrize(
    ("which", "start"),
    [
        (("teacher",), "The teacher collapsed: one label for every test example. The small"),
        (("student_int8",), "The small model collapsed: one"),
        (("teacher", "student_int8"), "The teacher and the small model collapsed: one"),
    ],
)
def test_a_collapse_is_said_first(which, start):
    collapsed = report()
    for name in which:
        collapsed["models"][name]["confusion"] = [[0, 6], [0, 9]]
    found = verdict(collapsed)
    assert found.headline.startswith(start)
    assert found.good is False


def test_one_label_where_there_is_only_one_is_no_collapse():
    single = report()
    single["models"]["teacher"]["confusion"] = [[0, 0], [0, 9]]
    assert verdict(single) == verdict(report())

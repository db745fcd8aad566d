import random

import pytest
from sklearn.metrics import cohen_kappa_score

from attar.records.audit.agreement import Agreement

# Krippendorff 2011, section C and D: four observers, twelve units, nominal labels, values missing.
OBSERVERS = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}


def collected(observers):
    agreement = Agreement()
    for unit in zip(*(row.split() for row in observers.values()), strict=True):
        agreement.add((name, label) for name, label in zip(observers, unit, strict=True) if label != ".")
    return agreement


def test_krippendorffs_example():
    agreement = collected(OBSERVERS)
    assert agreement.alpha == pytest.approx(0.743, abs=5e-4)
    assert agreement.num_spans == 11  # one unit has a single value


def test_krippendorffs_example_of_two_observers():
    # The same paper, section A: ten units, two observers, two labels.
    agreement = collected({"A": "0 1 0 0 0 0 0 0 1 0", "B": "1 1 1 0 0 1 0 0 0 0"})
    assert agreement.alpha == pytest.approx(0.095, abs=5e-4)
    assert agreement.percent == pytest.approx(0.6)


def test_kappa_by_hand():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, expected 0.5.
    agreement = Agreement()
    for labels, count in (("yy", 20), ("yn", 5), ("ny", 10), ("nn", 15)):
        agreement.add(zip("ab", labels, strict=True), count)
    assert agreement.kappa("a", "b") == agreement.kappa("b", "a") == pytest.approx(0.4)
    assert agreement.percent == pytest.approx(0.7)
    assert agreement.to_json() == {
        "num_annotators": 2,
        "num_spans": 50,
        "percent": 0.7,
        "alpha": pytest.approx(1 - 99 * 30 / (100**2 - 55**2 - 45**2), abs=1e-4),
        "num_pairs": 1,
        "pairs": [{"annotators": ["a", "b"], "num_spans": 50, "percent": 0.7, "kappa": 0.4}],
    }


@pytest.mark.parametrize("seed", range(5))
def test_kappa_is_scikit_learns(seed):
    draw = random.Random(seed)  # noqa: S311
    agreement = Agreement()
    both = {("a", "b"): [], ("a", "c"): [], ("b", "c"): []}
    for _ in range(200):
        labels = {name: draw.choice("xxyz") for name in "abc" if draw.random() < 0.7}
        agreement.add(labels.items())
        for pair, rows in both.items():
            if set(pair) <= set(labels):
                rows.append([labels[name] for name in pair])
    for pair, rows in both.items():
        assert agreement.kappa(*pair) == pytest.approx(cohen_kappa_score(*zip(*rows, strict=True)))


def test_counts_are_as_good_as_repeating():
    one, many = Agreement(), Agreement()
    for votes, count in ((("xx", 3)), ("xy", 2), ("yy", 4)):
        one.add(zip("ab", votes, strict=True), count)
        for _ in range(count):
            many.add(zip("ab", votes, strict=True))
    assert one.to_json() == many.to_json()


def test_who_does_not_count():
    agreement = Agreement()
    agreement.add([("a", "x"), ("", "y")])
    agreement.add([("a", "x"), ("b", "x"), ("b", "y")])
    agreement.add([("a", "x")])
    assert agreement.to_json() == {
        "num_annotators": 0, "num_spans": 0, "percent": None, "alpha": None, "num_pairs": 0, "pairs": [],
    }  # fmt: skip
    assert agreement.kappa("a", "b") is None


def test_where_nothing_can_disagree_there_is_no_figure():
    agreement = Agreement()
    agreement.add([("a", "x"), ("b", "x")], 7)
    assert agreement.alpha is None
    assert agreement.kappa("a", "b") is None
    assert agreement.percent == 1

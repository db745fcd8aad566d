import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.records.split.near_duplicates import grams, group_reviews, normal_form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Good， 很好！\n", "good很好"),
        ("ＳＰＦ５０ 防晒😀", "spf50防晒"),
        ("a_b—c", "abc"),
        ("！！！", "！！！"),
    ],
)
def test_normal_form(text, form):
    assert normal_form(text) == form


def test_grams_of_short_texts():
    assert grams("ab") == {"ab"}
    assert grams("abcd") == {"abc", "bcd"}


def brute_force(texts: list[str], threshold: float) -> dict[str, str]:
    """The groups by comparing every pair, merged until nothing changes."""
    group = {form: form for form in map(normal_form, texts)}
    changed = True
    while changed:
        changed = False
        for a, b in itertools.combinations(sorted(group), 2):
            x, y = grams(a), grams(b)
            if group[a] != group[b] and len(x & y) > threshold * len(x | y):
                low, high = sorted((group[a], group[b]))
                group = {form: low if name == high else name for form, name in group.items()}
                changed = True
    return {text: group[normal_form(text)] for text in texts}


@given(
    st.lists(st.text("ab水", max_size=9), max_size=12),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 2 / 3, 0.8, 1.0]) | st.floats(0, 1),
)
def test_groups_are_those_of_comparing_every_pair(texts, threshold):
    assert group_reviews(texts, threshold) == brute_force(texts, threshold)


def test_groups_of_long_reviews_are_those_of_comparing_every_pair():
    rng = np.random.default_rng(3)
    seeds = ["".join(rng.choice(list("一二三四五六七八九十甲乙丙丁"), 40)) for _ in range(20)]
    texts = []
    for text in seeds:
        for cut in (0, 4, 9, 14):
            texts.append(text[cut:] + "".join(rng.choice(list("子丑寅卯"), cut)))
    for threshold in (0.3, 0.5, 0.7):
        groups = group_reviews(texts, threshold)
        assert groups == brute_force(texts, threshold)
        assert 20 <= len(set(groups.values())) < 80


def test_groups_do_not_depend_on_the_order():
    texts = ["这瓶水很好用呢", "这瓶水很好用的", "瓶水很好用的啊", "泵头坏了"]
    groups = group_reviews(texts, 0.4)
    assert groups == group_reviews(texts[::-1], 0.4)
    assert len(set(groups.values())) == 2


def grouped_and_compared(texts: list[str]) -> tuple[dict[str, str], float]:
    """The groups at 0.5, and how many pairs' sets were compared, as a share of all pairs."""
    compared = 0

    def count(_frame, event, function):
        nonlocal compared
        compared += event == "c_call" and function.__name__ == "intersection"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        groups = group_reviews(texts, 0.5)
    finally:
        sys.setprofile(before)
    return groups, compared / (len(texts) * (len(texts) - 1) / 2)


def test_few_of_all_pairs_are_compared():
    rng = np.random.default_rng(5)
    words = ["".join(rng.choice(list("甲乙丙丁戊己庚辛壬癸子丑寅卯"), 2)) for _ in range(2000)]
    texts = ["".join(rng.choice(words, 20)) for _ in range(2000)]
    groups, compared = grouped_and_compared(texts)
    assert len(set(groups.values())) == len(set(texts))
    assert compared < 0.02


def test_few_are_compared_of_reviews_from_a_dozen_phrases():
    rng = np.random.default_rng(6)
    letters = [chr(0x4E00 + n) for n in range(600)]
    phrases = ["".join(rng.choice(letters, rng.integers(4, 12))) for _ in range(12)]
    texts = ["，".join(rng.choice(phrases, 5)) for _ in range(300)]
    groups, compared = grouped_and_compared(texts)
    assert groups == brute_force(texts, 0.5)
    assert 0 < compared < 0.05

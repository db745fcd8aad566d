"""The window around a term: its budget, its clauses, its order."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attar.text.window import CLAUSE_MARKS, char_window, clause_window, kept_of_two

MARK = 0
SIDES = st.lists(st.sampled_from([MARK, *[1] * 7]), max_size=24)


def kept_by_the_rule(left, right, budget):
    """The rule in its own words, over whole clauses: drop the farthest until the rest fits."""
    ends = [len(left) - 1 - i for i, token in enumerate(left) if token == MARK]
    left_starts = sorted({*ends, len(left)})  # distances at which a clause on the left begins
    right_ends = sorted({i + 1 for i, token in enumerate(right) if token == MARK} | {len(right)})
    clauses = [(near, 1, far - near) for near, far in itertools.pairwise(left_starts)]
    clauses += [(near, 0, far - near) for near, far in itertools.pairwise(right_ends)]
    kept = [left_starts[0], right_ends[0]]
    for _, on_left, size in sorted(clauses):
        kept[0 if on_left else 1] += size
    for _, on_left, size in sorted(clauses, reverse=True):
        if sum(kept) <= budget:
            break
        kept[0 if on_left else 1] -= size
    return tuple(kept)


@given(SIDES, SIDES, st.integers(0, 30))
@example([], [], 0)
@example([MARK], [MARK], 1)
@example([1, MARK], [MARK, 1], 2)
def test_window_keeps_the_rule(left, right, budget):
    kept_left, kept_right = clause_window(left, right, budget, {MARK})
    assert 0 <= kept_left <= len(left)
    assert 0 <= kept_right <= len(right)
    assert kept_left + kept_right <= budget
    if len(left) + len(right) <= budget:
        assert (kept_left, kept_right) == (len(left), len(right))
        return
    own_left = next((i for i, token in enumerate(reversed(left)) if token == MARK), len(left))
    own_right = next((i + 1 for i, token in enumerate(right) if token == MARK), len(right))
    if own_left + own_right <= budget:
        assert (kept_left, kept_right) == kept_by_the_rule(left, right, budget)
    else:  # the own clause alone is too long: cut evenly, nothing wasted, no other clause
        assert kept_left + kept_right == budget
        assert kept_left <= own_left
        assert kept_right <= own_right
        even = abs(kept_left - kept_right) <= 1
        assert even or (kept_left == own_left < kept_right) or (kept_right == own_right < kept_left)


@pytest.mark.parametrize(
    ("left", "right", "budget", "kept"),
    [
        ("远远，近近", "近近，远远远", 12, (5, 6)),  # all of it
        ("远远，近近", "近近，远远远", 10, (5, 3)),  # the outermost on the right starts farther away
        ("远远，近近", "近近，远远远", 7, (2, 3)),  # then the left one
        ("远远，近近", "近近，远远远", 4, (2, 2)),  # then the own clause, evenly
        ("远远，近", "近近近近", 4, (1, 3)),  # a short side leaves its share
        ("近近近近", "近，远远", 5, (3, 2)),
        ("，", "", 0, (0, 0)),
        ("甲，", "乙", 1, (0, 1)),  # the mark right before the term belongs to the clause before
        ("甲，乙，丙", "，丁，戊", 4, (1, 3)),
    ],
)
def test_window_by_hand(left, right, budget, kept):
    assert clause_window(left, right, budget, "，") == kept


def test_farther_clauses_go_first_whatever_their_length():
    left, right = "很长很长的一个子句，近", "近，短"
    # The left clause starts 1 away, the right one 2 away: the right one goes first.
    assert clause_window(left, right, len(left) + 2, "，") == (len(left), 2)


def test_on_a_tie_the_left_clause_goes():
    assert clause_window("甲乙，丙丁", "丙，戊己", 6, "，") == (2, 4)


def test_char_window_keeps_the_term_where_it_stands():
    text = "一二三四五六七八九十"
    assert char_window(text, 4, 6, 2) == ("三四五六七八", 2, 4)
    assert char_window(text, 0, 1, 3) == ("一二三四", 0, 1)
    assert char_window(text, 9, 10, 3) == ("七八九十", 3, 4)


@given(st.text(max_size=30), st.data(), st.integers(1, 12))
def test_char_window_property(text, data, chars):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    cut, low, high = char_window(text, start, end, chars)
    assert cut[low:high] == text[start:end]
    assert cut == text[max(0, start - chars) : end + chars]
    assert len(cut) <= end - start + 2 * chars


def test_both_widths_of_every_mark_end_a_clause():
    for half, full in zip(":;,!?", "：；，！？", strict=True):
        assert half in CLAUSE_MARKS
        assert full in CLAUSE_MARKS
    assert "。" in CLAUSE_MARKS


@given(first=st.integers(0, 40), second=st.integers(0, 40), budget=st.integers(0, 40))
def test_the_longer_of_two_sentences_loses_its_last_token(first, second, budget):
    left = [first, second]
    while sum(left) > budget:
        left[0 if left[0] > left[1] else 1] -= 1
    assert kept_of_two(first, second, budget) == tuple(left)

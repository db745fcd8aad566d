"""Batches: each index once, the same again, little padded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attar.text.buckets import shuffled_batches, sorted_batches

LENGTHS = st.lists(st.integers(2, 70), max_size=120)
SIZES = st.integers(1, 20)


def padded(batches, lengths):
    return sum(len(rows) * max(lengths[i] for i in rows) for rows in batches)


@given(LENGTHS, SIZES)
def test_sorted_batches_go_from_long_to_short(lengths, size):
    batches = sorted_batches(lengths, size)
    flat = [i for rows in batches for i in rows]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert [len(rows) for rows in batches[:-1]] == [size] * (len(batches) - 1)


@given(LENGTHS, SIZES, st.integers(0, 9), st.integers(0, 9), st.integers(1, 4))
def test_shuffled_batches_hold_each_index_once(lengths, size, seed, epoch, pool):
    batches = shuffled_batches(lengths, size, seed=seed, epoch=epoch, pool=pool)
    assert sorted(i for rows in batches for i in rows) == list(range(len(lengths)))
    assert all(0 < len(rows) <= size for rows in batches)
    assert len(batches) == -(-len(lengths) // size)
    assert batches == shuffled_batches(lengths, size, seed=seed, epoch=epoch, pool=pool)


def test_another_seed_or_epoch_gives_another_order():
    lengths = [5] * 40
    orders = [shuffled_batches(lengths, 4, seed=s, epoch=e) for s in (1, 2) for e in (0, 1)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_little_is_padded_and_lengths_come_mixed():
    lengths = np.random.default_rng(1).integers(5, 71, 2000).tolist()
    batches = shuffled_batches(lengths, 24, seed=3, epoch=0)
    assert padded(batches, lengths) < 1.06 * sum(lengths)
    longest = [max(lengths[i] for i in rows) for rows in batches]
    assert longest != sorted(longest)
    assert abs(np.mean(longest[:40]) - np.mean(longest[40:])) < 15
    in_order = [list(range(i, min(i + 24, 2000))) for i in range(0, 2000, 24)]
    assert padded(in_order, lengths) > 1.7 * sum(lengths)

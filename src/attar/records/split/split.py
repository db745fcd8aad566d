"""The split: train, dev and test by review, every label with its share in each.

Whole groups of reviews that say the same go to one side. Groups are dealt out one by one, each to
the split that is then least full, its rarer labels counting for more (after Sechidis, Tsoumakas
and Vlahavas, On the Stratification of Multi-Label Data, 2011). The result depends on the examples
and the seed, not on the order of the examples.

A source that names its split keeps it: a held-out file stays the file that it is, and what says
the same elsewhere is left out of the other splits.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from attar.errors import DataError
from attar.recipe.load import DataRecipe
from attar.records.split.near_duplicates import group_reviews
from attar.task import Example

__all__ = ["SPLITS", "Split", "check_leaks", "split"]

SPLITS = ("train", "dev", "test")
_HELD_OUT_FIRST = ("test", "dev", "train")
# Beside the labels, the plain number of examples is kept near its share too.
_ALL = ""


class Split(NamedTuple):
    """What a split gives.

    Attributes:
        sides: Examples by "train", "dev" and "test", each in an order that the seed decides.
        left_out: Examples whose review is also in a held-out file, in no order.
        largest_group: How many examples the largest group of reviews has that stay on one side.
    """

    sides: dict[str, list[Example]]
    left_out: list[Example]
    largest_group: int


def split(
    examples: Iterable[Example],
    data: DataRecipe,
    seed: int,
    fixed: Mapping[str, Sequence[Example]] | None = None,
) -> Split:
    """Split labelled examples.

    Args:
        examples: Labelled examples, in any order.
        data: Shares ``dev`` and ``test`` of the examples; ``near_duplicate``, above which reviews
            stay together; channels in ``train_only`` are never held out, nor is a review that
            belongs with one of theirs.
        seed: Another seed, another split.
        fixed: Examples whose source names their split, by its name. No other example joins such a
            dev or test split.

    Raises:
        DataError: A split would be empty, or a group is on two sides.
    """
    fixed = {side: _ordered(fixed.get(side, ()), seed) for side in SPLITS} if fixed else {}
    pool = _ordered(examples, seed)
    shares = _shares(data, fixed)
    everything = [*pool, *(example for side in fixed.values() for example in side)]
    group_of = group_reviews([example.text for example in everything], data.near_duplicate)
    side_of: dict[str, str] = {}
    for side in _HELD_OUT_FIRST:
        for example in fixed.get(side, ()):
            side_of.setdefault(group_of[example.text], side)
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for example in pool:
        groups[group_of[example.text]].append(example)
    pinned = {
        name
        for name, group in groups.items()
        if side_of.get(name) == "train" or any(e.meta.get("channel") in data.train_only for e in group)
    }
    free = {name: group for name, group in groups.items() if side_of.get(name, "train") == "train"}
    side_of |= _deal(free, shares, pinned, seed)
    sides: dict[str, list[Example]] = {name: [] for name in SPLITS}
    left_out: list[Example] = []
    for wish, part in ({"": pool} | fixed).items():
        for example in part:
            side = side_of[group_of[example.text]]
            held_out_elsewhere = fixed.get(side) and side not in ("train", wish)
            (left_out if held_out_elsewhere else sides[side]).append(example)
    for name in SPLITS:
        if not sides[name]:
            raise DataError(
                f"the {name} split would be empty: {len(everything)} examples in "
                f"{len(set(group_of.values()))} groups of reviews "
                f"that belong together; add reviews, change data.{name if name != 'train' else 'dev'}, "
                "or raise data.near_duplicate"
            )
    check_leaks(sides, group_of)
    return Split(sides, left_out, max(map(len, groups.values()), default=0))


def _shares(data: DataRecipe, fixed: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """The share of the free examples that each split gets; none where a file is the split."""
    shares = {
        name: 0.0 if fixed.get(name) else share for name, share in (("dev", data.dev), ("test", data.test))
    }
    shares["train"] = 1 - shares["dev"] - shares["test"]
    for name in SPLITS:
        if shares[name] <= 0 and not fixed.get(name):
            raise DataError(
                f"data.dev = {data.dev}, data.test = {data.test}: they leave nothing for {name}; "
                "train, dev and test each need a share above 0, or a source with that split"
            )
    return {name: shares[name] for name in SPLITS if shares[name] > 0}


def check_leaks(splits: Mapping[str, Sequence[Example]], group_of: Mapping[str, str]) -> None:
    """Prove that no group of reviews is on two sides.

    Args:
        splits: Examples by the name of their split.
        group_of: The group of every review text.

    Raises:
        DataError: A group is on two sides.
    """
    side_of: dict[str, str] = {}
    for name, examples in splits.items():
        for example in examples:
            other = side_of.setdefault(group_of[example.text], name)
            if other != name:
                raise DataError(
                    f"reviews that say the same are in {other} and in {name}; "
                    "scores on such a split mean nothing: run attar prepare again on the sources"
                )


def _ordered(examples: Iterable[Example], seed: int) -> list[Example]:
    def order(example: Example) -> tuple[object, ...]:
        rest = sorted(example.meta.items())
        return _digest(example.text, seed), example.question, example.label or "", rest

    return sorted(examples, key=order)


def _digest(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _deal(
    groups: Mapping[str, Sequence[Example]], shares: Mapping[str, float], pinned: set[str], seed: int
) -> dict[str, str]:
    """Name a split for every group; the pinned ones train."""
    counts = {name: _count(group) for name, group in groups.items()}
    totals = sum(counts.values(), Counter[str]())
    have: dict[str, Counter[str]] = {side: Counter() for side in SPLITS}
    side_of: dict[str, str] = {}

    def fullness(side: str, group: Counter[str]) -> float:
        # How full the split would be in the middle of this group, so that neither small nor large
        # groups are drawn to the large split.
        return sum(
            count / totals[key] * (have[side][key] + count / 2) / (shares[side] * totals[key])
            for key, count in group.items()
        )

    # Pinned first, so that the others are dealt with them in mind; large ones next, while there
    # is still room to balance them.
    order = sorted(groups, key=lambda name: (name not in pinned, -len(groups[name]), _digest(name, seed)))
    for name in order:
        group = counts[name]
        side = "train" if name in pinned else min(shares, key=lambda s: fullness(s, group))
        side_of[name] = side
        have[side] += group
    return side_of


def _count(group: Sequence[Example]) -> Counter[str]:
    labels = Counter(example.label or "" for example in group)
    labels[_ALL] = len(group)
    return labels

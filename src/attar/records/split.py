"""The split: train, dev and test by review, every label with its share in each.

Whole groups of reviews that say the same go to one side. Groups are dealt out one by one, each to
the split that is then least full, its rarer labels counting for more (after Sechidis, Tsoumakas
and Vlahavas, On the Stratification of Multi-Label Data, 2011). The result depends on the examples
and the seed, not on the order of the examples.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from attar.errors import DataError
from attar.recipe import DataRecipe
from attar.records.groups import group_reviews
from attar.task import Example

__all__ = ["SPLITS", "check_leaks", "split"]

SPLITS = ("train", "dev", "test")
# Beside the labels, the plain number of examples is kept near its share too.
_ALL = ""


def split(examples: Iterable[Example], data: DataRecipe, seed: int) -> dict[str, list[Example]]:
    """Split labelled examples.

    Args:
        examples: Labelled examples, in any order.
        data: Shares ``dev`` and ``test`` of the examples; ``near_duplicate``, above which reviews
            stay together; channels in ``train_only`` are never held out, nor is a review that
            belongs with one of theirs.
        seed: Another seed, another split.

    Returns:
        Examples by "train", "dev" and "test", each in an order that the seed decides.

    Raises:
        DataError: A split would be empty, or a group is on two sides.
    """
    pool = sorted(examples, key=lambda example: _order(example, seed))
    shares = {"train": 1 - data.dev - data.test, "dev": data.dev, "test": data.test}
    for name, share in shares.items():
        if share <= 0:
            raise DataError(
                f"data.dev = {data.dev}, data.test = {data.test}: they leave nothing for {name}; "
                "train, dev and test each need a share above 0"
            )
    group_of = group_reviews([example.text for example in pool], data.near_duplicate)
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for example in pool:
        groups[group_of[example.text]].append(example)
    side_of = _deal(groups, shares, frozenset(data.train_only), seed)
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for example in pool:
        splits[side_of[group_of[example.text]]].append(example)
    for name in SPLITS:
        if not splits[name]:
            raise DataError(
                f"the {name} split would be empty: {len(pool)} examples in {len(groups)} groups of reviews "
                f"that belong together; add reviews, change data.{name if name != 'train' else 'dev'}, "
                "or raise data.near_duplicate"
            )
    check_leaks(splits, group_of)
    return splits


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


def _order(example: Example, seed: int) -> tuple[object, ...]:
    rest = sorted(example.meta.items())
    return _digest(example.text, seed), example.text, example.start, example.end, example.label or "", rest


def _digest(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _deal(
    groups: Mapping[str, Sequence[Example]],
    shares: Mapping[str, float],
    train_only: frozenset[str],
    seed: int,
) -> dict[str, str]:
    """Name a split for every group."""
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

    pinned = {
        name for name, group in groups.items() if any(e.meta.get("channel") in train_only for e in group)
    }
    # Pinned first, so that the others are dealt with them in mind; large ones next, while there
    # is still room to balance them.
    order = sorted(groups, key=lambda name: (name not in pinned, -len(groups[name]), _digest(name, seed)))
    for name in order:
        group = counts[name]
        side = "train" if name in pinned else min(SPLITS, key=lambda s: fullness(s, group))
        side_of[name] = side
        have[side] += group
    return side_of


def _count(group: Sequence[Example]) -> Counter[str]:
    labels = Counter(example.label or "" for example in group)
    labels[_ALL] = len(group)
    return labels

"""Groups of reviews that say the same: what must stay on one side of a split.

Two reviews are one group if they are equal after case, width, whitespace, punctuation and emoji
are taken away, or if more than a given share of their character 3-grams is common (Jaccard), and
so are the reviews that a chain of such pairs connects.

All pairs above the threshold are found, none is guessed at: two sets whose Jaccard index is above
t share a gram among the rarest few of each (prefix filter: Bayardo, Ma and Srikant, Scaling Up
All Pairs Similarity Search, 2007; the shorter index prefix: Xiao et al., Efficient Similarity
Joins for Near Duplicate Detection, 2008).
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from attar.task import Example

__all__ = ["drop_near_duplicates", "grams", "group_reviews", "normal_form"]

_IGNORED = re.compile(r"[\W_]+")
# Products of the threshold and a size are whole numbers that floating point may miss by a hair.
_EPSILON = 1e-9


def normal_form(text: str) -> str:
    """What is left of a review without case, width, whitespace, punctuation and emoji.

    A review that consists of nothing else stays as it is.
    """
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text).casefold()) or text


def grams(text: str) -> set[str]:
    """Character 3-grams of a text; a shorter text is its own only gram."""
    return {text[i : i + 3] for i in range(max(1, len(text) - 2))}


def group_reviews(texts: Sequence[str], near_duplicate: float) -> dict[str, str]:
    """Group reviews that say the same.

    Args:
        texts: Reviews, in any order.
        near_duplicate: Jaccard index of character 3-grams above which two reviews belong
            together; 1 leaves only the equal ones together.

    Returns:
        For every review the name of its group: the smallest normal form in it, so names do not
        depend on the order of the reviews.
    """
    normal = {text: normal_form(text) for text in texts}
    forms = sorted(set(normal.values()))
    parent = list(range(len(forms)))
    for a, b in _near_pairs(forms, near_duplicate, parent):
        # The smaller index, and so the smaller form, stays the root.
        low, high = sorted((_root(parent, a), _root(parent, b)))
        parent[high] = low
    index = {form: number for number, form in enumerate(forms)}
    return {text: forms[_root(parent, index[form])] for text, form in normal.items()}


def drop_near_duplicates(
    examples: Sequence[Example], known: Sequence[Example], near_duplicate: float
) -> list[Example]:
    """The examples whose review is none of the known ones', nor nearly one.

    Args:
        examples: In any order, which stays.
        known: Those whose reviews must not come back.
        near_duplicate: As in ``group_reviews``.
    """
    groups = group_reviews([example.text for example in (*known, *examples)], near_duplicate)
    taken = {groups[example.text] for example in known}
    return [example for example in examples if groups[example.text] not in taken]


def _root(parent: list[int], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


def _near_pairs(forms: list[str], threshold: float, parent: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of indices above the threshold, without those that ``parent`` already connects."""
    sets = _rarest_first(forms)
    order = sorted(range(len(forms)), key=lambda i: len(sets[i]))
    places: defaultdict[int, list[int]] = defaultdict(list)
    sizes = [len(sets[i]) for i in order]
    for place, i in enumerate(order):
        mine, size = set(sets[i]), len(sets[i])
        # Smaller sets than this cannot reach the threshold.
        first = bisect_right(sizes, threshold * size - _EPSILON)
        candidates: set[int] = set()
        for gram in sets[i][: size - math.floor(threshold * size - _EPSILON)]:
            found = places.get(gram)
            if found:
                candidates.update(found if found[0] >= first else found[bisect_right(found, first - 1) :])
        my_root = _root(parent, i)
        for j in map(order.__getitem__, candidates):
            if _root(parent, j) == my_root:
                continue
            common = len(mine.intersection(sets[j]))
            if common > threshold * (size + len(sets[j]) - common):
                yield i, j
                my_root = _root(parent, i)
        share = 2 * threshold / (1 + threshold)
        for gram in sets[i][: size - math.ceil(share * size - _EPSILON) + 1]:
            places[gram].append(place)


def _rarest_first(forms: list[str]) -> list[array[int]]:
    """The grams of each text as numbers, the rarest first."""
    counts = Counter(gram for form in forms for gram in grams(form))
    rank = {gram: n for n, gram in enumerate(sorted(counts, key=lambda gram: (counts[gram], gram)))}
    return [array("I", sorted(rank[gram] for gram in grams(form))) for form in forms]

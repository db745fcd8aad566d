"""Groups of reviews that say the same: what must stay on one side of a split.

Two reviews are one group if they are equal after case, width, whitespace, punctuation and emoji
are taken away, or if more than a given share of their character 3-grams is common (Jaccard), and
so are the reviews that a chain of such pairs connects.

No pair above the threshold is missed where it would connect two groups, none is guessed at: two sets
whose Jaccard index is above t share a gram among the rarest few of each (prefix filter: Bayardo, Ma and
Srikant, Scaling Up All Pairs Similarity Search, 2007; the shorter index prefix: Xiao et al., Efficient
Similarity Joins for Near Duplicate Detection, 2008). Where many do, as in reviews put together from a few
phrases, most are told apart by a bitmap of each (Sandes, Teodoro and Melo, Bitmap Filter: Speeding up
Exact Set Similarity Joins with Bitwise Operations, 2020), and of a group no more are compared than it
takes to find one that is near.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from attar.task import Example

__all__ = ["drop_near_duplicates", "grams", "group_reviews", "normal_form"]

_IGNORED = re.compile(r"[\W_]+")
# Products of the threshold and a size are whole numbers that floating point may miss by a hair.
_EPSILON = 1e-9
_NUM_BITS = 256
_LARGE = 32  # sets of a group: from here on it pays to keep them apart
_SMALL = -1


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
    roots = dict(zip(forms, _Join(forms, near_duplicate).roots(), strict=True))
    return {text: forms[roots[form]] for text, form in normal.items()}


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


class _Join:
    """Sets of grams in the order of their sizes, and the groups that those before the next one form."""

    def __init__(self, forms: Sequence[str], threshold: float) -> None:
        sets, self._num_lone = _rarest_first(forms)
        self._threshold, self._share = threshold, 2 * threshold / (1 + threshold)
        self._order = sorted(range(len(forms)), key=lambda form: len(sets[form]))
        self._sets = [sets[form] for form in self._order]
        self._sizes = [len(one) for one in self._sets]
        self._bitmaps = [_bitmap(one) for one in self._sets]
        # A forest over the forms; the smallest of a group is its root, and has the group's size here.
        self._parent, self._group_sizes = list(range(len(forms))), [1] * len(forms)
        # Gram of several sets -> root -> the places of sets that the gram leads to, ascending: of a large
        # group under its root, of all others together under ``_SMALL``.
        self._index: defaultdict[int, dict[int, list[int]]] = defaultdict(dict)

    def roots(self) -> list[int]:
        """For each form the smallest of its group."""
        for place in range(len(self._order)):
            self._join(place)
            self._insert(place)
        return [self._root(form) for form in range(len(self._order))]

    def _join(self, place: int) -> None:
        """Unite a set's group with each group that has a set near it."""
        form, size = self._order[place], self._sizes[place]
        # Smaller sets than this cannot reach the threshold.
        first = bisect_right(self._sizes, self._threshold * size - _EPSILON)
        near, seen, small = self._near(place), set[int](), set[int]()
        for gram in self._sets[place][: size - math.floor(self._threshold * size - _EPSILON)]:
            for root, places in self._groups(gram):
                found = places[bisect_left(places, first) :] if places[0] < first else places
                if root == _SMALL:
                    small.update(found)
                elif root != self._root(form) and next(near(reversed(found), seen), None) is not None:
                    self._unite(form, root)
        for other in near(small, set()):
            self._unite(form, self._order[other])

    def _near(self, place: int) -> Callable[[Iterable[int], set[int]], Iterator[int]]:
        """What gives those of some places whose sets are near this one, but for places that it has seen."""
        sizes, bitmaps, threshold, may_differ = self._sizes, self._bitmaps, self._threshold, 1 - self._share
        mine, size, bitmap = set(self._sets[place]), sizes[place], bitmaps[place]

        def near(places: Iterable[int], seen: set[int]) -> Iterator[int]:
            for other in places:
                if other in seen:
                    continue
                seen.add(other)
                both = size + sizes[other]
                # What differs in the bitmaps differs in the sets; half of the rest at most is common.
                if (bitmap ^ bitmaps[other]).bit_count() >= may_differ * both + _EPSILON:
                    continue
                common = len(mine.intersection(self._sets[other]))
                if common > threshold * (both - common):
                    yield other

        return near

    def _groups(self, gram: int) -> list[tuple[int, list[int]]]:
        """The groups that a gram leads to, under the roots that they have by now."""
        if (groups := self._index.get(gram)) is None:
            return []
        for old in [root for root in groups if root != _SMALL and self._parent[root] != root]:
            places = groups.setdefault(self._root(old), [])
            places += groups.pop(old)
            places.sort()
        return list(groups.items())

    def _insert(self, place: int) -> None:
        size, root = self._sizes[place], self._root(self._order[place])
        key = root if self._group_sizes[root] >= _LARGE else _SMALL
        for gram in self._sets[place][: size - math.ceil(self._share * size - _EPSILON) + 1]:
            if gram >= self._num_lone:
                self._index[gram].setdefault(key, []).append(place)

    def _unite(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        if low != high:
            self._parent[high] = low
            self._group_sizes[low] += self._group_sizes[high]

    def _root(self, member: int) -> int:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member


def _bitmap(numbers: Sequence[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number % _NUM_BITS
    return bits


def _rarest_first(forms: Sequence[str]) -> tuple[list[array[int]], int]:
    """The grams of each text as numbers, the rarest first; how many of the numbers are in one text alone."""
    counts = Counter(gram for form in forms for gram in grams(form))
    rank = {gram: n for n, gram in enumerate(sorted(counts, key=lambda gram: (counts[gram], gram)))}
    sets = [array("I", sorted(rank[gram] for gram in grams(form))) for form in forms]
    return sets, sum(count == 1 for count in counts.values())

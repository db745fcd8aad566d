"""Typical reviews of a cell: of each label some that differ from each other, not only the surest.

Candidates are drawn over the whole range of the model's probs; of these the first shown is the one nearest to
the middle of its range, and each further one is the least like those that are shown (character bigrams,
Jaccard).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from attar.insight.scored_rows import Mention, ScoredRows
from attar.insight.shares import Ints

__all__ = ["Shown", "choose", "draw_candidates", "order_by_prob"]

_CANDIDATES = 8  # of a label in a cell
_SHOWN = 3
_CONTEXT = 90  # characters on either side of the term


class Shown(NamedTuple):
    """An example as the page has it."""

    left: str
    term: str
    right: str
    label: int
    prob: float | None


def order_by_prob(rows: ScoredRows) -> Ints:
    """Indices of the rows that have a text, from the least sure to the surest."""
    here = np.flatnonzero(rows.text != 0)
    return here[np.lexsort((rows.row[here], rows.prob[here]))]


def draw_candidates(
    rows: ScoredRows, cell: Ints, num_cells: int, by_prob: Ints
) -> dict[tuple[int, int], Ints]:
    """Indices of candidates for the first cells of a view, by cell and label.

    Args:
        rows: The scored rows.
        cell: [N] of each row.
        num_cells: How many cells, the largest first, have examples.
        by_prob: What ``order_by_prob`` gives.
    """
    here = by_prob[(cell[by_prob] >= 0) & (cell[by_prob] < num_cells)]
    num_labels = len(rows.labels)
    key = cell[here] * num_labels + rows.label[here]
    # Within a cell and label by prob, so that equal steps go through its whole range.
    place = np.argsort(key, kind="stable")
    order, sorted_key = here[place], key[place]
    distinct, first, counts = np.unique(sorted_key, return_index=True, return_counts=True)
    made = {}
    for one, start, count in zip(distinct.tolist(), first.tolist(), counts.tolist(), strict=True):
        steps = np.unique(np.linspace(0, count - 1, min(count, _CANDIDATES)).round().astype(np.int64))
        made[divmod(one, num_labels)] = order[start + steps]
    return made


def choose(
    candidates: Ints, rows: ScoredRows, mentions: Mapping[int, Mention], limit: int = _SHOWN
) -> list[Shown]:
    """The examples of one cell and label."""
    left = [int(i) for i in candidates if int(rows.row[i]) in mentions]
    words = {i: _bigrams(mentions[int(rows.row[i])].text) for i in left}
    chosen: list[int] = []
    while left and len(chosen) < limit:
        if not chosen:
            best = left[len(left) // 2]
        else:
            best = min(left, key=lambda i: max(_likeness(words[i], words[other]) for other in chosen))
            if max(_likeness(words[best], words[other]) for other in chosen) > 0.9:
                break
        chosen.append(best)
        left.remove(best)
    return [_shown(i, rows, mentions[int(rows.row[i])]) for i in chosen]


def _shown(index: int, rows: ScoredRows, mention: Mention) -> Shown:
    start, end = mention.start, mention.end
    if start is None or end is None:
        word = mention.found or mention.term
        start = mention.text.find(word) if word else -1
        start, end = (start, start + len(word)) if start >= 0 else (0, 0)
    left, right = mention.text[:start], mention.text[end:]
    left = f"…{left[-_CONTEXT:]}" if len(left) > _CONTEXT else left
    right = f"{right[:_CONTEXT]}…" if len(right) > _CONTEXT else right
    prob = float(rows.prob[index])
    shown = round(prob, 3) if prob == prob else None  # noqa: PLR0124 - NaN
    return Shown(left, mention.text[start:end][:_CONTEXT], right, int(rows.label[index]), shown)


def _bigrams(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 2] for i in range(max(1, len(text) - 1)))


def _likeness(a: Sequence[str] | frozenset[str], b: frozenset[str]) -> float:
    both = len(frozenset(a) & b)
    return both / max(1, len(a) + len(b) - both)

"""The aspect window: which part of a review is read.

Works on token ids left and right of the term, so a window is never over its budget, whatever the
tokenizer makes of a character. The clause rule is the original system's, whose budget was counted
in characters and overran.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["CLAUSE_MARKS", "char_window", "clause_pieces", "clause_window", "kept_of_two"]

CLAUSE_MARKS = "：。；，！:;,!？?"


def char_window(text: str, start: int, end: int, chars: int) -> tuple[str, int, int]:
    """Keep ``chars`` code points on either side of ``text[start:end]``.

    Returns:
        The cut text and the term's offsets in it.
    """
    low = max(0, start - chars)
    return text[low : end + chars], start - low, end - low


def clause_pieces(ids: Sequence[int], budget: int, marks: Collection[int]) -> list[Sequence[int]]:
    """Cut a text into pieces of at most ``budget`` tokens, each as long as whole clauses make it.

    A clause ends with its mark; one that is too long alone is cut where the budget ends.

    Args:
        ids: Token ids of the text.
        budget: Tokens of the longest piece; 1 or more.
        marks: Token ids that end a clause.

    Returns:
        The pieces, which joined are the text; none of an empty text.
    """
    pieces = []
    start = end = 0  # of the piece, as far as whole clauses go
    for place, token in enumerate(ids, 1):
        if place - start > budget:
            end = end if end > start else place - 1
            pieces.append(ids[start:end])
            start = end
        if token in marks:
            end = place
    return [*pieces, ids[start:]] if start < len(ids) else pieces


def clause_window(
    left: Sequence[int], right: Sequence[int], budget: int, marks: Collection[int]
) -> tuple[int, int]:
    """Choose what to keep on either side of a term.

    Whole clauses are dropped, the one farthest from the term first (on a tie, the left one), until
    the rest fits. The clause that holds the term, if too long alone, is cut evenly on both sides,
    a short side leaving its share to the other. A clause ends with its mark.

    Args:
        left: Token ids before the term.
        right: Token ids after the term.
        budget: How many of them may stay; 0 or more.
        marks: Token ids that end a clause.

    Returns:
        (kept_left, kept_right): how many tokens next to the term to keep on each side; their sum
        is at most ``budget``.
    """
    if len(left) + len(right) <= budget:
        return len(left), len(right)
    # Distances from the term at which a side can be cut, nearest first. The first entry of each
    # is the edge of the term's own clause.
    left_edges = [i for i, token in enumerate(reversed(left)) if token in marks]
    right_edges = [i + 1 for i, token in enumerate(right) if token in marks]
    if not left_edges or left_edges[-1] != len(left):
        left_edges.append(len(left))
    if not right_edges or right_edges[-1] != len(right):
        right_edges.append(len(right))
    own_left, own_right = left_edges[0], right_edges[0]
    if own_left + own_right > budget:
        kept_left = min(own_left, max(budget // 2, budget - own_right))
        return kept_left, min(own_right, budget - kept_left)
    i, j = len(left_edges) - 1, len(right_edges) - 1
    while left_edges[i] + right_edges[j] > budget:
        # The outermost clause on each side starts where the next inner edge is.
        near_left = left_edges[i - 1] if i else -1
        near_right = right_edges[j - 1] if j else -1
        if near_left >= near_right:
            i -= 1
        else:
            j -= 1
    return left_edges[i], right_edges[j]


def kept_of_two(first: int, second: int, budget: int) -> tuple[int, int]:
    """Choose what to keep of two sentences: the longer one loses its last token, again and again.

    Args:
        first: Tokens of the first sentence.
        second: Tokens of the second.
        budget: How many of both may stay.

    Returns:
        (kept_first, kept_second): how many stay of each, from its start.
    """
    over = max(0, first + second - budget)
    # First the difference goes, then both in turn, the second sentence first.
    difference = min(over, abs(first - second))
    from_first = difference if first > second else 0
    from_second = difference - from_first
    from_first += (over - difference) // 2
    from_second += (over - difference + 1) // 2
    return first - from_first, second - from_second

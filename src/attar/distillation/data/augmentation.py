"""Changed copies of labelled examples, in which the term stays a term.

Three kinds: other clauses than the term's are dropped; the term is replaced by another one of its
wordtype; characters outside the term are replaced, dropped or exchanged. Each may change what is
said of the term, so a copy has no label and is learnt from the teachers alone. After easy data
augmentation (Wei and Zou 2019, arXiv:1901.11196: replacement, swap and deletion), outside the term.

The copies are made once, not in each epoch, because the teachers' logits for them are cached.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from attar.recipe.load import AugmentRecipe
from attar.task import Example
from attar.text.window import CLAUSE_MARKS

__all__ = ["augmented_examples", "drop_clauses", "noise", "swap_term"]

_CLAUSE = re.compile(f"[^{CLAUSE_MARKS}]*[{CLAUSE_MARKS}]+|[^{CLAUSE_MARKS}]+")


def augmented_examples(
    train: Sequence[Example], settings: AugmentRecipe, reach: int, seed: int
) -> list[Example]:
    """Copies of the training examples.

    The kinds take turns; one that cannot change an example leaves its turn to the next. No copy is
    made twice.

    Args:
        train: Labelled examples; the wordtypes of their terms are in ``meta``.
        settings: ``copies``, ``kinds`` and ``noise``.
        reach: Characters on either side of the term that a model may read; no others are changed.
        seed: Another seed, other copies.

    Returns:
        At most ``copies`` of each example, without labels, in the order of the examples. Their
        ``meta`` names the review that they are changed from, as ``copy_of``.
    """
    random = np.random.default_rng(seed)
    terms = _terms_by_wordtype(train)
    alphabet = "".join(sorted({char for example in train for char in example.text if char.isalnum()}))
    change = {
        "clauses": lambda example: drop_clauses(example, reach, random),
        "terms": lambda example: swap_term(example, terms, random),
        "noise": lambda example: noise(example, reach, settings.noise, alphabet, random),
    }
    examples = {example.question: example for example in train}
    for turn, example in enumerate(example for example in train for _ in range(settings.copies)):
        first = turn % len(settings.kinds)
        for kind in (*settings.kinds[first:], *settings.kinds[:first]):
            copy = change[kind](example)
            if copy is not None and copy.question not in examples:
                meta = {**copy.meta, "copy_of": example.text}
                examples[copy.question] = replace(copy, label=None, weight=1.0, meta=meta)
                break
    return [example for example in examples.values() if example.label is None]


def drop_clauses(example: Example, reach: int, random: np.random.Generator) -> Example | None:
    """The example without some of the clauses that do not hold its term; None if there are none.

    Clauses are those of ``attar.text.window``: each ends with its marks. Of those that begin or end
    within ``reach`` characters of the term, one is dropped, and each other one half of the time.
    """
    before = _CLAUSE.findall(example.text[: example.start])
    after = _CLAUSE.findall(example.text[example.end :])
    closed = len(before) if before and before[-1][-1] in CLAUSE_MARKS else max(0, len(before) - 1)
    others = [i for i in range(closed) if len("".join(before[i + 1 :])) < reach]
    others += [len(before) + i for i in range(1, len(after)) if len("".join(after[:i])) < reach]
    if not others:
        return None
    dropped = {others[int(random.integers(len(others)))]}
    dropped |= {i for i in others if random.random() < 0.5}
    left = "".join(clause for i, clause in enumerate(before) if i not in dropped)
    right = "".join(clause for i, clause in enumerate(after, len(before)) if i not in dropped)
    return _around(example, left, right)


def swap_term(
    example: Example, terms: Mapping[str, Sequence[str]], random: np.random.Generator
) -> Example | None:
    """The example with another term of its wordtype in its place; None if there is none.

    ``terms`` are by wordtype, which the example's ``meta`` names. Where it stands a second time the
    term stays.
    """
    others = [term for term in terms.get(example.meta.get("wordtype", ""), ()) if term != example.term]
    if not others:
        return None
    term = others[int(random.integers(len(others)))]
    text = example.text[: example.start] + term + example.text[example.end :]
    return replace(example, text=text, end=example.start + len(term))


def noise(
    example: Example, reach: int, rate: float, alphabet: str, random: np.random.Generator
) -> Example | None:
    """The example with changed letters and digits outside its term; None if none was changed.

    Args:
        example: Punctuation, spaces and the term stay as they are.
        reach: Characters on either side of the term that may be changed.
        rate: Share of them that is: replaced, left out, or exchanged with the next.
        alphabet: Characters that may come in.
        random: Draws all of it.
    """
    low, high = max(0, example.start - reach), example.end + reach
    left = example.text[:low] + _noisy(example.text[low : example.start], rate, alphabet, random)
    right = _noisy(example.text[example.end : high], rate, alphabet, random) + example.text[high:]
    copy = _around(example, left, right)
    return None if copy.text == example.text else copy


def _noisy(text: str, rate: float, alphabet: str, random: np.random.Generator) -> str:
    chars = list(text)
    for i in np.flatnonzero(random.random(len(chars)) < rate).tolist():
        if not chars[i].isalnum():
            continue
        match int(random.integers(3)):
            case 0:
                chars[i] = alphabet[int(random.integers(len(alphabet)))]
            case 1:
                chars[i] = ""
            case _ if i + 1 < len(chars) and chars[i + 1].isalnum():
                chars[i], chars[i + 1] = chars[i + 1], chars[i]
    return "".join(chars)


def _around(example: Example, left: str, right: str) -> Example:
    """The same term between other texts."""
    end = len(left) + len(example.term)
    return replace(example, text=left + example.term + right, start=len(left), end=end)


def _terms_by_wordtype(train: Sequence[Example]) -> dict[str, list[str]]:
    """Different terms of each wordtype, sorted; an example without a wordtype is left out."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for example in train:
        if example.term and example.meta.get("wordtype"):
            found[example.meta["wordtype"]].add(example.term)
    return {wordtype: sorted(terms) for wordtype, terms in found.items()}

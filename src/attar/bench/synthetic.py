"""Synthetic reviews to time models on: of the lengths of real ones, with random characters.

12 to 70 tokens, special tokens included, 38 on average: what reviews cut to a window of 70 tokens
look like to an encoder that reads a Chinese character as one token.
"""

from __future__ import annotations

import numpy as np

from attar.task import Example, InputStyle

__all__ = ["synthetic_examples"]

_FEWEST, _MOST = 12, 70
_SHAPE = 1.3, 1.6  # of a beta distribution, whose mean 0.45 makes 38 tokens
_SPECIAL = {"marked_pair": 5, "pair": 3, "single": 2, "sentence_pair": 3}  # tokens beside the text
_TERM = 2


def synthetic_examples(count: int, style: InputStyle, seed: int = 0) -> list[Example]:
    """Generate examples.

    Args:
        count: How many.
        style: Of the task; an example's length counts what this style adds to the text.
        seed: The same seed makes the same examples.
    """
    rng = np.random.default_rng(seed)
    # The characters that GB 2312 chose for their frequency.
    cells = ((row, cell) for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFF))
    common = np.array([bytes(pair).decode("gb2312") for pair in cells])
    examples = []
    for share in rng.beta(*_SHAPE, count):
        tokens = _FEWEST + round(float(share) * (_MOST - _FEWEST))
        has_term = style in ("marked_pair", "pair")
        chars = tokens - _SPECIAL[style] - _TERM * has_term
        # One character in twelve is a comma, as in a review of a few clauses.
        drawn = np.where(rng.random(chars) < 1 / 12, "，", rng.choice(common, chars))
        text = "".join(drawn.tolist())
        if style == "sentence_pair":
            examples.append(Example(text[: chars // 2], 0, 0, second=text[chars // 2 :]))
            continue
        start = int(rng.integers(0, chars - _TERM + 1)) if has_term else 0
        examples.append(Example(text, start, start + _TERM * has_term))
    return examples

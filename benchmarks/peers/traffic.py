"""Review-like pairs to score: 12 to 70 tokens, mean 38, drawn from the project's own corpus.

First step of benchmarks/inference.py. A pair keeps a real term and its surroundings; clauses of
other reviews fill it up to a length that is drawn first, so lengths do not depend on the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from attar.io.files import read_json, write_json
from attar.task import Example, Task, task_by_name
from attar.text.encoding import InputSpec, TextEncoder

SHORTEST, MEAN, LONGEST = 12, 38, 70  # tokens, special ones included
TASK: Task = task_by_name("cosmetics")

_CORPUS = Path(__file__).resolve().parents[2] / "corpus"
_FOLDERS = ("cosmetics", "cosmetics_hard")
_SPREAD = 4.5  # a + b of the beta distribution of lengths: wide, one hump, few at either end
_JOIN = "，"


def corpus_examples() -> list[Example]:
    """The labelled pairs of the embedded corpus, in the order of its files."""
    # A side that only reads examples starts without these.
    from attar.records.readers.text_formats import read_markup
    from attar.records.record import Record

    files = [file for folder in _FOLDERS for file in sorted((_CORPUS / folder).glob("*.txt"))]
    records = [record for file in files for record in read_markup(file) if isinstance(record, Record)]
    return [
        Example(r.text, r.start, r.end, r.label)
        for r in records
        if r.start is not None and r.end is not None and r.label in TASK.labels
    ]


def make_traffic(tokenizer: Tokenizer, count: int, seed: int = 20) -> list[Example]:
    """Draw pairs whose encodings have ``SHORTEST`` to ``LONGEST`` tokens with mean ``MEAN``."""
    draw = np.random.default_rng(seed)
    corpus = corpus_examples()
    encoder = TextEncoder(tokenizer, InputSpec.for_task(TASK, 2 * LONGEST, token_types=True))
    share = (MEAN - SHORTEST) / (LONGEST - SHORTEST)
    made: list[Example] = []
    while len(made) < count:
        wanted = SHORTEST + (LONGEST - SHORTEST) * draw.beta(_SPREAD * share, _SPREAD * (1 - share))
        length = round(float(wanted))
        pair = _pair(corpus, tokenizer, length, draw)
        # A Latin word cut in two may count one token more: such a pair is drawn again.
        if pair is not None and len(encoder.encode([pair])[0].ids) == length:
            made.append(pair)
    return made


def token_counts(encoder: TextEncoder, examples: Sequence[Example]) -> dict[str, float]:
    """Tokens of an example: ``shortest``, ``mean`` and ``longest``."""
    counts = [len(encoding.ids) for encoding in encoder.encode(examples)]
    return {"shortest": min(counts), "mean": float(np.mean(counts)), "longest": max(counts)}


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write pairs as JSON rows of text, start, end and label."""
    write_json(path, [[e.text, e.start, e.end, e.label] for e in examples], indent=None)


def read_examples(path: Path) -> list[Example]:
    """Read what ``write_examples`` wrote."""
    return [Example(*row) for row in read_json(path)]


def _pair(
    corpus: Sequence[Example], tokenizer: Tokenizer, length: int, draw: np.random.Generator
) -> Example | None:
    """A pair of about ``length`` tokens around a term of the corpus, or None where the term is too long."""

    def offsets(text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = tokenizer.encode(text, add_special_tokens=False).offsets
        return found

    example = corpus[int(draw.integers(len(corpus)))]
    others = [corpus[i].text for i in draw.integers(len(corpus), size=8)]
    left = _JOIN.join([*others[:4], example.text[: example.start]])
    right = _JOIN.join([example.text[example.end :], *others[4:]])
    term = example.term
    # [CLS] left _ term _ right [SEP] term [SEP]
    room = length - 5 - 2 * len(offsets(term))
    if room < 1:
        return None
    before = round(room * float(draw.uniform(0.1, 0.9)))
    left = left[offsets(left)[-before][0] :] if before else ""
    right = right[: offsets(right)[room - before - 1][1]] if room > before else ""
    return Example(left + term + right, len(left), len(left) + len(term), example.label)

"""Encoding: the windowed, marked pair as token ids.

``[CLS] left _ term _ right [SEP] term [SEP]`` (style ``marked_pair``), never longer than
``max_tokens``. Left, term and right are tokenised on their own: the mark is punctuation, at which
a BERT tokenizer splits anyway, so the result is that of the marked sentence, and the window is
cut between tokens without any offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.errors import RecipeError
from attar.task import Example, InputStyle, Task
from attar.text.window import CLAUSE_MARKS, char_window, clause_window

__all__ = ["Batch", "Encoding", "InputSpec", "TextEncoder", "collate"]

_MARK = "_"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Everything that decides how an example becomes ids, beside the tokenizer itself.

    Attributes:
        style: See ``attar.task.Task``.
        max_tokens: Longest encoding, special tokens included.
        window_chars: Characters kept on either side of the term, or None.
        token_types: Whether the second segment has type 1 (False for encoders that never saw it).
    """

    style: InputStyle
    max_tokens: int
    window_chars: int | None = None
    token_types: bool = True

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise RecipeError(f"max_tokens = {self.max_tokens}: a marked pair needs at least 8")

    @classmethod
    def for_task(cls, task: Task, max_tokens: int, *, token_types: bool) -> InputSpec:
        """The input of a task."""
        return cls(task.style, max_tokens, task.window_chars, token_types)

    def to_json(self) -> dict[str, Any]:
        """A plain dict whose items are this class's arguments."""
        return asdict(self)


class Encoding(NamedTuple):
    """Token ids of one example.

    Attributes:
        ids: [T] int32, special tokens included, no padding.
        second: Index of the first token of the second segment; T where there is none.
    """

    ids: NDArray[np.int32]
    second: int


class Batch(NamedTuple):
    """Padded encodings.

    Attributes:
        ids: [B, T] int64 token ids.
        mask: [B, T] int64, 1 where there is a token.
        types: [B, T] int64 token types.
    """

    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64]


class TextEncoder:
    """Turns examples into encodings.

    Args:
        tokenizer: With [CLS], [SEP] and [PAD] (or <s>, </s>, <pad>) in its vocabulary.
        spec: The input's form.

    Raises:
        RecipeError: The tokenizer lacks a special token.
    """

    def __init__(self, tokenizer: Tokenizer, spec: InputSpec) -> None:
        self.tokenizer = tokenizer
        self.spec = spec
        self._cls = self._special("[CLS]", "<s>")
        self._sep = self._special("[SEP]", "</s>")
        self.pad = self._special("[PAD]", "<pad>")
        mark = tokenizer.encode(_MARK, add_special_tokens=False).ids
        self._mark = mark[-1:]
        marks = (tokenizer.encode(mark, add_special_tokens=False).ids for mark in CLAUSE_MARKS)
        unknown = tokenizer.token_to_id("[UNK]"), tokenizer.token_to_id("<unk>")
        self._clause_marks = frozenset(ids[-1] for ids in marks if ids and ids[-1] not in unknown)

    def _special(self, *names: str) -> int:
        for name in names:
            found = self.tokenizer.token_to_id(name)
            if found is not None:
                return int(found)
        raise RecipeError(f"the tokenizer has none of {', '.join(names)}; BERT-family tokenizers have one")

    def encode(self, examples: Sequence[Example]) -> list[Encoding]:
        """Encode examples, in their order."""
        if self.spec.style == "single":
            return [self._single(ids) for ids in self._tokenise([e.text for e in examples])]
        pieces: list[str] = []
        for example in examples:
            text, start, end = example.text, example.start, example.end
            if self.spec.window_chars is not None:
                text, start, end = char_window(text, start, end, self.spec.window_chars)
            pieces += (text[:start], text[start:end], text[end:])
        ids = self._tokenise(pieces)
        return [self._pair(*ids[i : i + 3]) for i in range(0, len(ids), 3)]

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _single(self, ids: list[int]) -> Encoding:
        kept = [self._cls, *ids[: self.spec.max_tokens - 2], self._sep]
        return Encoding(np.array(kept, np.int32), len(kept))

    def _pair(self, left: list[int], term: list[int], right: list[int]) -> Encoding:
        marks = self._mark if self.spec.style == "marked_pair" else []
        room = self.spec.max_tokens - 3 - 2 * len(marks)
        term = term[: room // 2]
        kept_left, kept_right = clause_window(left, right, room - 2 * len(term), self._clause_marks)
        first = [
            self._cls,
            *left[len(left) - kept_left :],
            *marks,
            *term,
            *marks,
            *right[:kept_right],
            self._sep,
        ]
        return Encoding(np.array([*first, *term, self._sep], np.int32), len(first))


def collate(encodings: Sequence[Encoding], pad: int, *, token_types: bool, length: int | None = None) -> Batch:
    """Pad encodings to the longest of them, or to ``length``."""
    width = length or max(len(e.ids) for e in encodings)
    ids = np.full((len(encodings), width), pad, np.int64)
    mask = np.zeros((len(encodings), width), np.int64)
    types = np.zeros((len(encodings), width), np.int64)
    for row, encoding in enumerate(encodings):
        size = len(encoding.ids)
        ids[row, :size] = encoding.ids
        mask[row, :size] = 1
        if token_types:
            types[row, encoding.second : size] = 1
    return Batch(ids, mask, types)

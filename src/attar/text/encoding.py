"""Encoding: the windowed, marked pair as token ids.

``[CLS] left _ term _ right [SEP] term [SEP]`` (style ``marked_pair``), never longer than
``max_tokens``. Left, term and right are tokenised on their own: the mark is punctuation, at which
a BERT tokenizer splits anyway, so the result is that of the marked sentence, and the window is
cut between tokens without any offsets.

A classifier reads token 0 of the last layer. Under ``reads = "mark"`` that token is the opening
mark of the term instead of [CLS] (entity-start pooling: Baldini Soares et al. 2019, Matching the
Blanks, arXiv:1906.03158, section 3.2): it is moved to the front of the ids but keeps its position,
and a transformer without a causal mask cannot tell the difference in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from attar.errors import RecipeError
from attar.task import Example, InputStyle, Task
from attar.text.window import CLAUSE_MARKS, char_window, clause_window

__all__ = ["Encoding", "InputSpec", "ReadToken", "TextEncoder", "model_inputs"]

ReadToken = Literal["cls", "mark"]

_MARK = "_"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Everything that decides how an example becomes ids, beside the tokenizer itself.

    Attributes:
        style: See ``attar.task.Task``.
        max_tokens: Longest encoding, special tokens included.
        window_chars: Characters kept on either side of the term, or None.
        token_types: Whether the second segment has type 1 (False for encoders that never saw it).
        reads: Which token stands at index 0, where the classifier reads.
    """

    style: InputStyle
    max_tokens: int
    window_chars: int | None = None
    token_types: bool = True
    reads: ReadToken = "cls"

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise RecipeError(f"max_tokens = {self.max_tokens}: a marked pair needs at least 8")
        if self.reads == "mark" and self.style != "marked_pair":
            raise RecipeError(
                f"encode.reads = 'mark' needs style 'marked_pair'; the task's is {self.style!r}: "
                "set encode.reads = 'cls'"
            )

    @classmethod
    def for_task(
        cls, task: Task, max_tokens: int, *, token_types: bool, reads: ReadToken | None = None
    ) -> InputSpec:
        """The input of a task; ``reads`` None takes the mark where there is one."""
        chosen = reads or ("mark" if task.style == "marked_pair" else "cls")
        return cls(task.style, max_tokens, task.window_chars, token_types, chosen)

    def to_json(self) -> dict[str, Any]:
        """A plain dict whose items are this class's arguments."""
        return asdict(self)


class Encoding(NamedTuple):
    """Token ids of one example.

    Attributes:
        ids: [T] int32, special tokens included, no padding.
        second: Index of the first token of the second segment; T where there is none.
        read: Position of the token at index 0: 0 for [CLS]; a mark stands there with its own
            position, and the tokens before it follow, each moved by one.
    """

    ids: NDArray[np.int32]
    second: int
    read: int = 0


class TextEncoder:
    """Turns examples into encodings.

    Args:
        tokenizer: With [CLS], [SEP] and [PAD] (or <s>, </s>, <pad>) in its vocabulary.
        spec: The input's form.

    Attributes:
        pad: Id of the padding token.
        fixed: Ids that belong to the input's form, not to the text.
        hidden: Id that stands for a token the model shall not see.

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
        self.fixed = frozenset({self._cls, self._sep, self.pad, *self._mark})
        self.hidden = self._special("[MASK]", "<mask>", "[UNK]", "<unk>")
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
        before = [self._cls, *left[len(left) - kept_left :]]
        read = 0
        if self.spec.reads == "mark":
            read = len(before)
            before = [*marks, *before]
        else:
            before = [*before, *marks]
        first = [*before, *term, *marks, *right[:kept_right], self._sep]
        return Encoding(np.array([*first, *term, self._sep], np.int32), len(first), read)


def model_inputs(
    encodings: Sequence[Encoding], pad: int, spec: InputSpec, length: int | None = None
) -> dict[str, NDArray[np.int64]]:
    """Pad encodings into the inputs of a model, by the names that transformers gives them.

    Args:
        encodings: B of them.
        pad: Id of the padding token.
        spec: Decides which inputs there are.
        length: Pad to this many tokens; None pads to the longest.

    Returns:
        ``input_ids`` and ``attention_mask`` (1 where there is a token), with token types
        ``token_type_ids``, and with ``reads = "mark"`` ``position_ids``; [B, T] each.
    """
    width = length or max(len(e.ids) for e in encodings)
    shape = (len(encodings), width)
    inputs = {"input_ids": np.full(shape, pad, np.int64), "attention_mask": np.zeros(shape, np.int64)}
    if spec.token_types:
        inputs["token_type_ids"] = np.zeros(shape, np.int64)
    if spec.reads == "mark":
        inputs["position_ids"] = np.tile(np.arange(width), (len(encodings), 1))
    for row, (ids, second, read) in enumerate(encodings):
        inputs["input_ids"][row, : len(ids)] = ids
        inputs["attention_mask"][row, : len(ids)] = 1
        if spec.token_types:
            inputs["token_type_ids"][row, second : len(ids)] = 1
        if read:
            inputs["position_ids"][row, : read + 1] = [read, *range(read)]
    return inputs

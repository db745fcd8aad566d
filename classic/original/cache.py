"""``cached_{train|dev}_{max_seq_length}_{task}``: the encodings of a data file, cached beside it.

The original cached them because tokenising was slow. It is fast here, but would be repeated at every
evaluation and every start, and users know the files. The original used any such file; here it is used
only if it was made from these examples, with this vocabulary and these settings.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from attar.io.files import atomic_write, content_hash, file_hash
from attar.models.checkpoint import Checkpoint
from attar.stage_cache import is_first_process
from attar.task import Example
from attar.text.encoding import Encoding, InputSpec, TextEncoder
from original.log import DATA

__all__ = ["CachedEncoder", "with_cached_encodings"]


class CachedEncoder(TextEncoder):
    """An encoder that caches the encodings of some files.

    Args:
        tokenizer: See ``TextEncoder``.
        spec: The same.
        vocabulary: Hash of the vocabulary and its settings.
    """

    def __init__(self, tokenizer: Tokenizer, spec: InputSpec, vocabulary: str) -> None:
        super().__init__(tokenizer, spec)
        self._vocabulary = vocabulary
        self._known: dict[tuple[str, int, int, str], Encoding] = {}

    def encode(self, examples: Sequence[Example]) -> list[Encoding]:
        """Encode examples, in their order; cached ones are looked up."""
        new = [example for example in examples if example.question not in self._known]
        encoded = iter(super().encode(new) if new else [])
        return [
            self._known[example.question] if example.question in self._known else next(encoded)
            for example in examples
        ]

    def cache(self, examples: Sequence[Example], path: Path) -> None:
        """Read the encodings of a file's examples from ``path``, or compute them and write them there."""
        key = content_hash([self.spec.to_json(), self._vocabulary, [e.question for e in examples]])
        encodings = _read(path, key)
        if encodings is not None:
            DATA.info("从缓存加载features %s", path)
        else:
            why = (
                "缓存features与数据、词表或设置不符，重新生成"
                if path.exists()
                else "没有发现缓存features，根据datafile生成features"
            )
            DATA.info("%s %s", why, path)
            encodings = super().encode(examples)
            _write(path, key, encodings)
        self._known |= {e.question: encoding for e, encoding in zip(examples, encodings, strict=True)}


def with_cached_encodings(
    checkpoint: Checkpoint, vocab: Path, *, lower_case: bool
) -> tuple[Checkpoint, CachedEncoder]:
    """A checkpoint with a caching encoder, and that encoder.

    Args:
        checkpoint: Built from the vocabulary.
        vocab: The vocab.txt.
        lower_case: Whether texts are lower-cased.
    """
    made_of = content_hash([file_hash(vocab), lower_case])
    encoder = CachedEncoder(checkpoint.encoder.tokenizer, checkpoint.encoder.spec, made_of)
    return replace(checkpoint, encoder=encoder), encoder


def _read(path: Path, key: str) -> list[Encoding] | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            parts = np.split(kept["ids"], np.cumsum(kept["lengths"])[:-1])
            return [Encoding(ids, int(second)) for ids, second in zip(parts, kept["seconds"], strict=True)]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
        return None  # missing, of the original, or truncated


def _write(path: Path, key: str, encodings: Sequence[Encoding]) -> None:
    if not is_first_process():
        return
    try:
        with atomic_write(path) as draft, draft.open("wb") as stream:
            np.savez(
                stream,
                key=np.array(key),
                ids=np.concatenate([encoding.ids for encoding in encodings]),
                lengths=np.array([len(encoding.ids) for encoding in encodings]),
                seconds=np.array([encoding.second for encoding in encodings]),
            )
    except OSError as error:
        DATA.warning("%s cannot be written (%s); not cached", path, error.strerror)
    else:
        DATA.info("保存feature到缓存文件 %s", path)

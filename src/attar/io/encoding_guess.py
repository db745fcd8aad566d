"""What a text that is not UTF-8 seems to be, told from a few lines of it.

Strict decoding tells little: nearly every run of bytes is something in each of the East Asian encodings.
Right and wrong differ in what the characters are. Of a Chinese text two thirds or more are common
characters, whoever wrote it; of the same bytes in a wrong encoding a tenth. So with Korean syllables and
Japanese kana; Western letters stand alone among ASCII ones.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from attar.io.common_characters import COMMON_HAN, COMMON_HANGUL

__all__ = ["Guess", "guess_encoding", "is_chinese", "is_chinese_utf8"]

_KANA = frozenset(map(chr, [*range(0x3041, 0x3097), *range(0x30A1, 0x30FB), 0x30FC]))
_JAPANESE = COMMON_HAN | _KANA
_MIN_KANA = 0.2  # of the letters; Chinese reviews have one の in a hundred
_HAN = re.compile("[\u3400-\u9fff]")
_LETTERS = {
    "gb18030": re.compile("[\u3400-\u9fff]"),
    "big5": re.compile("[\u3400-\u9fff]"),
    "euc_kr": re.compile("[\uac00-\ud7a3]"),
    "shift_jis": re.compile("[\u3041-\u30ff\u3400-\u9fff]"),
    "euc_jp": re.compile("[\u3041-\u30ff\u3400-\u9fff]"),
}
# Codec and common letters of each; of equal ones the first counts.
_CANDIDATES: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("gb18030", "gb18030", COMMON_HAN),
    ("big5", "big5hkscs", COMMON_HAN),
    ("euc_kr", "cp949", COMMON_HANGUL),
    ("shift_jis", "cp932", _JAPANESE),
    ("euc_jp", "euc_jp", _JAPANESE),
)
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüŒœŠšŽž‘’“”–—…•€£©®™°«»¿¡·\u00a0")
_WESTERN_BYTES = bytes(sorted(char.encode("cp1252")[0] for char in _WESTERN))
# One that stands alone, or two in the midst of a word.
_ALONE = re.compile(
    rb"(?<![\x80-\xff])[%s](?![\x80-\xff])|(?<=[a-z])[\xc0-\xff]{2}(?=[a-z])" % re.escape(_WESTERN_BYTES)
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# Of Han characters and emojis; a text in another encoding holds such bytes in this order by chance alone.
_UTF8_LONG = re.compile(rb"[\xe1-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

_MOST_BAD = 0.02  # of the characters, or one of many: a damaged line is named when it is read
_ENOUGH = 0.5  # share of common letters, of a few letters
_ENOUGH_OF_MANY = 0.3  # of many: lists of names and of chemicals have fewer
_MANY = 30
_FEW = 3  # fewer letters than these may be anything
_PLAUSIBLE = 0.9


class Guess(NamedTuple):
    """What a text seems to be.

    Attributes:
        name: Its encoding, "" where it cannot be told.
        others: What it may be, where it cannot be told or is too short to be sure.
    """

    name: str
    others: tuple[str, ...] = ()


def guess_encoding(lines: Sequence[bytes], *, is_cut: bool) -> Guess:
    """The encoding of a text that is not UTF-8.

    Args:
        lines: Lines of it that are not ASCII.
        is_cut: Whether the last one goes on.

    Returns:
        ``utf-8`` for UTF-8 that is damaged, ``gb18030``, ``big5``, ``euc_kr``, ``shift_jis``, ``euc_jp``,
        ``cp1252``, or "".
    """
    raw = b"\n".join(lines)
    num_bytes = len(_NOT_ASCII.findall(raw))
    long = sum(map(len, _UTF8_LONG.findall(raw)))
    if 2 * long >= num_bytes or any(map(is_chinese_utf8, lines)):
        return Guess("utf-8")
    shares = {"cp1252": sum(map(len, _ALONE.findall(raw))) / num_bytes}
    plausible = []
    num_letters = num_bytes
    for name, codec, common in _CANDIDATES:
        counts = _letters(raw, codec, is_cut=is_cut)
        if counts is None:
            continue
        total = counts.total()
        shares[name] = _share(counts, common)
        num_letters = min(num_letters, total)
        if common is _JAPANESE and _share(counts, _KANA) < _MIN_KANA:
            shares[name] = 0.0
        own = sum(count for char, count in counts.items() if _LETTERS[name].match(char))
        if total and own >= _PLAUSIBLE * total and name not in ("shift_jis", "euc_jp"):
            plausible.append(name)
    if shares["cp1252"] >= _ENOUGH:
        # Of "ég" GB18030 makes one character; a Chinese one seldom stands alone, and with an ASCII byte.
        shares.pop("gb18030", None)
    names = ["cp1252", *(name for name, *_ in _CANDIDATES)]
    best = max(names, key=lambda name: shares.get(name, 0.0))
    needed = _ENOUGH if num_letters < _MANY else _ENOUGH_OF_MANY
    if shares.get(best, 0.0) < needed:
        return Guess("", tuple(plausible))
    if best != "gb18030" and num_letters < _FEW:
        return Guess("", tuple(dict.fromkeys([best, *plausible])))
    return Guess(best)


def is_chinese(text: str) -> bool:
    """Whether a text holds Chinese: two Han characters or more, half of them common."""
    han = _HAN.findall(text)
    return len(han) > 1 and 2 * sum(char in COMMON_HAN for char in han) >= len(han)


def is_chinese_utf8(raw: bytes) -> bool:
    """Whether some bytes, such as a line, are Chinese in UTF-8."""
    try:
        return not raw.isascii() and is_chinese(raw.decode())
    except UnicodeDecodeError:
        return False


def _letters(raw: bytes, codec: str, *, is_cut: bool) -> Counter[str] | None:
    """The letters of a text that are not ASCII, counted; None where it is not of this encoding.

    Signs are left out: the encodings share them.
    """
    text = codecs.getincrementaldecoder(codec)("replace").decode(raw, final=not is_cut)
    counts = Counter(char for char in text if char > "\x7f")
    bad = counts.pop("\ufffd", 0)
    if bad > max(_MOST_BAD * counts.total(), counts.total() > _MANY):
        return None
    return Counter(
        {char: count for char, count in counts.items() if unicodedata.category(char)[0] not in "PSZ"}
    )


def _share(counts: Counter[str], wanted: Collection[str]) -> float:
    total = counts.total()
    return sum(count for char, count in counts.items() if char in wanted) / total if total else 0.0

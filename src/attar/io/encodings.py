"""The encoding of a file of text: UTF-8, or what its mark, the user or the text itself says.

Excel in Chinese writes CSV in GB18030, and "Unicode text" in UTF-16. Both are read as what they are, and
every verb says so; what looks like Big5, EUC-KR, Shift-JIS or cp1252 is refused by that name, because a
wrong guess would be worse than none. What damaged UTF-8 is stays UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from attar.errors import DataError
from attar.io.compressed import open_bytes
from attar.io.encoding_guess import Guess, guess_encoding, is_chinese, is_chinese_utf8
from attar.suggest import did_you_mean

__all__ = [
    "ENCODINGS",
    "UTF8",
    "Encoding",
    "bad_line",
    "encoding_name",
    "find_encoding",
    "line_decoder",
    "of_several_files",
]

# What can be asked for, and the codec of Python that has the characters of all that go by the name.
_CODECS: Mapping[str, str] = {
    "utf-8": "utf-8",
    "gb18030": "gb18030",
    "utf-16": "utf-16-le",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "big5": "cp950",
    "big5-hkscs": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "euc_jp": "euc_jp",
    "cp1252": "cp1252",
}
_ALIASES: Mapping[str, str] = {
    "utf8": "utf-8",
    "utf-8-sig": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "cp936": "gb18030",
    "cp950": "big5",
}
ENCODINGS = (*_CODECS, *_ALIASES)
"""Every name that a user may give."""

_BLOCK_BYTES = 1 << 16
_LEAST_PLAIN = 8  # characters: a few zeros may stand in a text
_ENOUGH_BYTES = 1 << 16  # of lines that are not ASCII
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (codecs.BOM_UTF8, "utf-8", "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32", ""),
    (codecs.BOM_UTF32_BE, "utf-32", ""),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
    ("\ufeff".encode("gb18030"), "gb18030", "gb18030"),
)
_UTF16 = ("utf-16-le", "utf-16-be")
_UTF8_LINE = "UTF-8 among others"  # the reason of a decoding error of ours


class Encoding(NamedTuple):
    """How the bytes of a file are read.

    Attributes:
        name: As a recipe names it.
        codec: Python's, for what follows the mark.
        mark: The byte order mark that the file begins with, or b"".
        doubt: Of a file that is read as UTF-8 though it is not: what it may be, else "".
    """

    name: str
    codec: str
    mark: bytes = b""
    doubt: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The name, "" for UTF-8: nobody needs to be told."""
        return "" if self.codec == "utf-8" else self.name


UTF8 = Encoding("utf-8", "utf-8")


class _ContradictedError(DataError):
    """A file is not what it is said to be."""


def encoding_name(said: str) -> str:
    """The name of an encoding as ``ENCODINGS`` has it, whatever its case.

    Raises:
        DataError: It is none of these.
    """
    name = said.strip().lower()
    if name not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        raise DataError(f"encoding {said!r} is none of {known}{did_you_mean(name, ENCODINGS)}")
    return _ALIASES.get(name, name)


def find_encoding(path: Path, asked: str | Encoding | None = None) -> Encoding:
    """The encoding of a file.

    Args:
        path: A file of text.
        asked: What the user says that it is, one of ``ENCODINGS``; or what was found before.

    Returns:
        UTF-8 where it cannot be told: reading then says which line is not.

    Raises:
        DataError: The file cannot be opened, is of an encoding that is only read if it is asked for,
            or is not what it is said to be.
    """
    if isinstance(asked, Encoding):
        return asked
    name = None if asked is None else encoding_name(asked)
    try:
        with open_bytes(path) as stream:
            start = stream.read(_BLOCK_BYTES)
            marked = _marked(path, start, name)
            if marked is not None or name == "utf-8":
                return marked or UTF8
            if name is not None:
                _check_asked(path, start, name)
                return Encoding(name, _CODECS[name])
            _check_utf16(path, start)
            while start and start.isascii():
                start = stream.read(_BLOCK_BYTES)
            if _is_utf8(start):
                return UTF8
            lines, is_cut = _lines_not_ascii(start, stream)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return _as_guessed(path, lines, guess_encoding(lines, is_cut=is_cut))


def of_several_files(path: Path, asked: str | None) -> Encoding:
    """The encoding of one of several files, of which the user says one encoding for all.

    Those that are UTF-8, or have another byte order mark, stay what they are: what ``attar score`` wrote is
    compared with gold labels in Big5.

    Raises:
        DataError: As ``find_encoding``.
    """
    try:
        return find_encoding(path, asked)
    except _ContradictedError:
        return find_encoding(path)


def line_decoder(encoding: Encoding) -> Callable[[bytes], str]:
    """What makes text of a line, or raises UnicodeDecodeError; ``bad_line`` says what that means.

    A line of Chinese in UTF-8 is an error in a file of another encoding: it would be other characters.
    """
    if encoding.codec == "utf-8":
        return bytes.decode
    if encoding.codec in _UTF16:
        return partial(bytes.decode, encoding=encoding.codec)
    return partial(_decoded, encoding.codec)


def bad_line(error: UnicodeDecodeError, encoding: Encoding) -> str:
    """What is wrong with a line that cannot be decoded, and what to do."""
    place = f"byte {error.start + 1} of the line is not"
    if error.reason == _UTF8_LINE:
        return f"the line is UTF-8, though the file is {encoding.name}; save all of it as UTF-8"
    if encoding.codec != "utf-8":
        return f"{place} {encoding.name}, as the file is; mend the line, or save the file as UTF-8"
    doubt = f" ({', '.join(encoding.doubt)}? there is too little to tell)" if encoding.doubt else ""
    return (
        f"{place} UTF-8; save the file as UTF-8 (iconv -f gb18030 -t utf-8 for most Chinese files), "
        f"or say what it is{doubt}: encoding in its source, --in-encoding at the prompt"
    )


def _decoded(codec: str, line: bytes) -> str:
    if is_chinese_utf8(line):
        raise UnicodeDecodeError(codec, line, 0, 1, _UTF8_LINE)
    return line.decode(codec)


def _marked(path: Path, start: bytes, asked: str | None) -> Encoding | None:
    """What the byte order mark says, or None where there is none."""
    for mark, name, codec in _MARKS:
        if start.startswith(mark):
            if not codec:
                raise DataError(f"{path}: is {name.upper()}, which is not read; save it as UTF-8")
            if asked is not None and codec != _CODECS[asked] and name != asked:
                raise _ContradictedError(
                    f"{path}: begins with the byte order mark of {name}, but encoding says {asked}; "
                    "leave encoding out"
                )
            return Encoding(name, codec, mark)
    return None


def _check_asked(path: Path, start: bytes, asked: str) -> None:
    """Check that a file is not UTF-8 after all: most bytes are something in every other encoding."""
    is_wide = _CODECS[asked] in _UTF16
    if _is_utf8(start) and (b"\0" not in start if is_wide else is_chinese(start.decode("utf-8", "ignore"))):
        raise _ContradictedError(f"{path}: is UTF-8, but encoding says {asked}; leave encoding out")


def _check_utf16(path: Path, start: bytes) -> None:
    """Check that a file without a mark is not UTF-16, of which ASCII is every other byte zero."""
    if start.count(0) < 2:
        return
    for codec in _UTF16:
        text = start.decode(codec, "replace")
        num_plain = sum(" " <= char < "\x7f" for char in text)
        is_plain = num_plain >= _LEAST_PLAIN and 2 * num_plain > len(text)
        if ("\n" in text or "," in text) and (is_plain or is_chinese(text)):
            raise _refused(path, codec, ", without a byte order mark")


def _is_utf8(start: bytes) -> bool:
    """Whether the start of a file is UTF-8; its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < _BLOCK_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _lines_not_ascii(start: bytes, stream: BinaryIO) -> tuple[list[bytes], bool]:
    """Lines that are not ASCII, as many as are needed, and whether the last one is cut."""
    *lines, last = start.split(b"\n")
    last += stream.readline(_BLOCK_BYTES)
    found = [line for line in (*lines, last) if not line.isascii()]
    size = sum(map(len, found))
    while size < _ENOUGH_BYTES and (line := stream.readline(_BLOCK_BYTES)):
        if not line.isascii():
            found.append(line)
            size += len(line)
            last = line
    return found, len(last) >= _BLOCK_BYTES and not last.endswith(b"\n")


def _as_guessed(path: Path, lines: list[bytes], guess: Guess) -> Encoding:
    match guess.name:
        case "utf-8":
            return UTF8
        case "gb18030":
            return Encoding("gb18030", "gb18030")
        case "":
            return UTF8._replace(doubt=guess.others)
        case "big5":
            name = "big5" if _decodes(lines, _CODECS["big5"]) else "big5-hkscs"
        case name:
            pass
    with open_bytes(path) as stream:
        number = next(number for number, raw in enumerate(stream, 1) if not _is_utf8(raw))
    raise _refused(path, name, f" (line {number} is the first that is not UTF-8)")


def _decodes(lines: list[bytes], codec: str) -> bool:
    try:
        b"\n".join(lines).decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _refused(path: Path, name: str, why: str) -> DataError:
    return DataError(
        f"{path}: looks like {name}{why}; save it as UTF-8, or say what it is: "
        f'encoding = "{name}" in its source, --in-encoding {name} at the prompt'
    )

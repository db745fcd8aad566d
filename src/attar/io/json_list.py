"""The items of a JSON list, streamed: a file of any size is read with the memory of its largest item.

The parser of the standard library wants a whole text and would not say where an item stood. Here it
gets one item at a time out of a buffer that grows only while an item does not end within it.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from attar.errors import DataError
from attar.io.encodings import Encoding, find_encoding
from attar.io.json_text import TOO_DEEP, is_too_deep
from attar.io.lines import numbered_lines

__all__ = ["OBJECTS", "list_items"]

OBJECTS = re.compile(r"\s*\[\s*\{")
"""How a list of objects begins."""

_BLOCK_BYTES = 1 << 20
# An item cut off by the end of the buffer fails there, or as an open string, or in the midst of a
# literal or an escape, of which none is longer than this.
_LONGEST_TOKEN = 16
_SPACE = re.compile(r"\s*")
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def list_items(
    path: Path, of: str, expected: str, encoding: Encoding | None = None
) -> Iterator[tuple[int, object]]:
    """Read a JSON list.

    Args:
        path: A file; a byte order mark is skipped.
        of: What the items are called in an error ("rows").
        expected: What an error says that they should look like.
        encoding: Of the file; None finds it.

    Yields:
        (line number from 1, item).

    Raises:
        DataError: The file cannot be read, is not of its encoding or not a JSON list.
    """
    encoding = encoding or find_encoding(path)
    try:
        with path.open("rb") as stream:
            stream.seek(len(encoding.mark))
            buffer = _Buffer(stream.read, encoding.codec)
            try:
                while buffer.next_item():
                    yield buffer.line, buffer.item
                return
            except _WrongError as error:
                line, reason = error.line, error.reason
            except RecursionError:
                line, reason = buffer.line, TOO_DEEP
            except UnicodeDecodeError:
                for _ in numbered_lines(path, encoding):
                    pass  # until the DataError that names the line and the byte
                line, reason = buffer.line, f"not {encoding.name}"
            except ValueError:
                line, reason = buffer.line, "a number of too many digits"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    raise DataError(f"{path}:{line}: not a JSON list of {of} ({reason}); {expected}")


class _WrongError(Exception):
    """Where the text is no JSON list, and why."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line, self.reason = line, reason


class _Buffer:
    """A window on the text of a list.

    Attributes:
        item: The last one read.
        line: The line that it begins on.
    """

    def __init__(self, read: Callable[[int], bytes], codec: str = "utf-8") -> None:
        self.item: object = None
        self.line = 1
        self._read = read
        self._decode = codecs.getincrementaldecoder(codec)()
        self._text = ""
        self._position = 0
        self._counted = 0
        self._counted_lines = 1
        self._block_bytes = _BLOCK_BYTES
        self._is_open = False
        self._at_end = False

    def next_item(self) -> bool:
        """Read an item into ``item``; False once the list is closed and nothing follows it."""
        if not self._is_open:
            self._skip(_SPACE)
            if not self._starts_with("["):
                raise _WrongError(self._line_at(self._position), "expected [")
            self._position += 1
            self._is_open = True
        self._skip(_SPACE)
        self._count_lines()
        self.line = self._counted_lines
        if self._starts_with("]"):
            self._position += 1
            self._skip(_SPACE)
            if self._position < len(self._text):
                raise _WrongError(self._line_at(self._position), "text after the list")
            return False
        self.item = self._parse()
        line = self._line_at(self._position)
        if self._skip(_BETWEEN) != (0 if self._starts_with("]") else 1):
            raise _WrongError(line, "expected one comma between items")
        return True

    def _parse(self) -> object:
        block_bytes = self._block_bytes
        while True:
            try:
                item, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated string") or (
                    error.pos >= len(self._text) - _LONGEST_TOKEN
                )
                if self._at_end or not is_cut:
                    raise _WrongError(self._line_at(error.pos), error.msg) from error
            else:
                # A number near the end may go on in the next block ("1e-" is read as 1).
                if end < len(self._text) - _LONGEST_TOKEN or self._at_end:
                    if is_too_deep(item, self._text, self._position, end):
                        raise _WrongError(self._line_at(self._position), TOO_DEEP)
                    self._position, self._block_bytes = end, block_bytes
                    return item
            self._more()
            # Parsing starts over with each block: blocks that double keep that linear.
            self._block_bytes *= 2

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Step over what matches, however many blocks of it there are; the number of commas in it."""
        commas = 0
        while True:
            found = pattern.match(self._text, self._position)
            assert found is not None
            commas += found[0].count(",")
            self._position = found.end()
            if self._position < len(self._text) or self._at_end:
                return commas
            self._more()

    def _starts_with(self, character: str) -> bool:
        return self._text.startswith(character, self._position)

    def _line_at(self, position: int) -> int:
        return self._counted_lines + self._text.count("\n", self._counted, position)

    def _count_lines(self) -> None:
        self._counted_lines, self._counted = self._line_at(self._position), self._position

    def _more(self) -> None:
        """Forget what was read before ``_position`` and read a block more."""
        self._count_lines()
        raw = self._read(self._block_bytes)
        self._at_end = not raw
        self._text = self._text[self._position :] + self._decode.decode(raw, final=not raw)
        self._position = self._counted = 0

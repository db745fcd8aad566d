"""Valid inputs made a little wrong: bytes, JSON trees and values, each drawn from one generator."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

__all__ = ["odd_text", "odd_value", "with_bytes_changed", "with_text_changed", "with_tree_changed"]

# What parsers, offsets and tokenizers stumble over.
_ODD_CHARS = (
    "\0\t\r\n\x1b\x7f\x85\xa0\xad\u200b\u200d\u2028\u202e\ufeff\ufffe\ufffd\ufe0f"
    "ﬁ½Ａ．İßǅ\u0301\u0345क्ष가각👨‍👩‍👧🇨🇳𠮷\U000e0001\U0010ffff"
)
_ODD_TEXTS = (
    "", " ", "\u3000", "null", "NaN", "-1", "1e309", "_x000D_", "=1+1", "[香味|积极]", "$T$", "####[",
    "&lt;b&gt;", "<br>", "\\u", "\\ud83d", '"', "'", ",", ";", "|", "{}", "[]", "9" * 400, "香味" * 300,
    "http://a/b", "% 00", "# a: b",
)  # fmt: skip
_ODD_BYTES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\r", b"\n\n", b"\t", b'"',
    b"'", b",", b"[", b"]", b"{", b"}", b"|", b"\\", b"\x1a", b"NaN", b"1e999", b"-0", b"\\ud800",
    b"<!--", b"&a;", b"[" * 3000, b"[[[[[[", b"]]]", b'"""',
)  # fmt: skip


def with_bytes_changed(content: bytes, rng: random.Random, most: int = 3) -> bytes:
    """One to ``most`` places cut, doubled, flipped, moved, or with something odd put in."""
    found = bytearray(content)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + int(rng.paretovariate(0.9)))
        way = rng.randrange(6)
        if way == 0:
            del found[at:end]
        elif way == 1:
            found[at:at] = found[at:end]
        elif way == 2 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif way == 3:
            part = found[at:end]
            del found[at:end]
            to = rng.randrange(len(found) + 1)
            found[to:to] = part
        elif way == 4:
            found[at:end] = rng.choice(_ODD_BYTES)
        else:
            found[at:at] = rng.choice(_ODD_BYTES)
    return bytes(found)


def with_text_changed(text: str, rng: random.Random, most: int = 3) -> str:
    """The same by characters, so that it stays Unicode; halves of surrogate pairs now and then."""
    found = list(text)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + int(rng.paretovariate(0.9)))
        way = rng.randrange(5)
        if way == 0:
            del found[at:end]
        elif way == 1:
            found[at:at] = found[at:end]
        elif way == 2:
            found[at:end] = rng.choice(_ODD_CHARS)
        elif way == 3:
            found[at:at] = rng.choice(_ODD_TEXTS)
        else:
            found[at:at] = chr(rng.choice((rng.randrange(0xD800, 0xE000), rng.randrange(0x110000))))
    return "".join(found)


def odd_text(rng: random.Random) -> str:
    """A text of reviews' characters and odd ones."""
    parts = [rng.choice("香味很好但是持妆太差了，。！") for _ in range(rng.randint(0, 60))]
    parts += [rng.choice(_ODD_CHARS) for _ in range(rng.randint(0, 6))]
    rng.shuffle(parts)
    return "".join(parts) + (rng.choice(_ODD_TEXTS) if rng.random() < 0.2 else "")


def odd_value(rng: random.Random) -> Any:  # noqa: ANN401 - any
    """What JSON, or a data frame, may hold where a text or a number is expected."""
    makes: Sequence[Callable[[], Any]] = (
        lambda: None, lambda: True, lambda: rng.randint(-5, 50),
        lambda: rng.choice((2**63, -(2**70), 10**400)),
        lambda: rng.choice((math.nan, math.inf, -0.0, 1e308, 2.5, 3.0)), lambda: odd_text(rng), list,
        dict, lambda: [odd_text(rng)], lambda: {"a": None}, lambda: _nested(rng.choice((3, 70, 200))),
        lambda: rng.choice(_ODD_TEXTS), lambda: "\ud83d", lambda: ["\udc00"],
    )  # fmt: skip
    return rng.choice(makes)()


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def with_tree_changed(tree: Any, rng: random.Random, most: int = 2) -> Any:  # noqa: ANN401 - any JSON
    """A tree of JSON with values replaced, keys renamed, and parts dropped or doubled."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, most)):
        nodes: list[Any] = []
        level = [tree]
        while level:
            nodes += level
            inner = [list(n.values()) if isinstance(n, dict) else n for n in level]
            level = [x for part in inner for x in part if isinstance(x, dict | list) and x]
        node = rng.choice([n for n in nodes if isinstance(n, dict | list)] or [[]])
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            continue
        key, way = rng.choice(keys), rng.randrange(6)
        value = node[key]
        if way == 0:
            del node[key]
        elif way == 1:
            node[key] = [value, copy.deepcopy(value)]
        elif way == 2 and isinstance(node, dict):
            node[with_text_changed(str(key), rng, 1)] = node.pop(key)
        elif way <= 4 and isinstance(value, str):
            node[key] = with_text_changed(value, rng)
        elif way == 4 and isinstance(value, int | float) and not isinstance(value, bool):
            node[key] = value + rng.choice((-1, 1, 0.5, 2**31, -(2**40), 1e300))
        else:
            node[key] = odd_value(rng)
    return tree


def json_bytes(tree: Any) -> bytes:  # noqa: ANN401 - any JSON
    """A tree as JSON, NaN and halves of surrogate pairs included."""
    try:
        return json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(tree).encode()
    except RecursionError:
        return b"[" * 2000 + b"]" * 2000


def odd_object(rng: random.Random) -> Any:  # noqa: ANN401 - any
    """What Python callers pass besides JSON."""
    import numpy as np

    makes: Sequence[Callable[[], Any]] = (
        lambda: odd_value(rng), lambda: b"bytes", lambda: np.float32(math.nan), lambda: np.int64(3),
        lambda: Decimal("1.5"),
        lambda: np.array(["香味"]), lambda: np.str_("香味"), lambda: {1, 2}, lambda: (x for x in "ab"),
        object,
        lambda: range(3), lambda: np.array([[1, 2]]), lambda: "香味", lambda: (0, 2), lambda: slice(0, 2),
        lambda: 1j,
    )  # fmt: skip
    return rng.choice(makes)()

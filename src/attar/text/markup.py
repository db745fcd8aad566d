"""HTML as Label Studio's HyperText counts it: the text without its tags, and the way back.

Its ``globalOffsets`` count the characters of the text nodes and one for each ``<br>``
(``selection-tools.js`` of HumanSignal/label-studio); older exports have the path of a text node and an offset
in it instead (``/p[1]/text()[2]``), which ``global_offset`` turns into the same.
"""

from __future__ import annotations

import re
from collections import Counter

from attar.text.normalise import Normalised, normalise, substitute

__all__ = ["TAG", "global_offset", "has_tags", "html_text"]

_UNSHOWN_ELEMENT = r"<(?i:script|style)\b[^<>]*>.*?</(?i:script|style)\s*>"
TAG = rf"""<!--.*?-->|{_UNSHOWN_ELEMENT}|<[/!]?[A-Za-z](?:[^<>"']|"[^"]*"|'[^']*')*>"""
_TAG = re.compile(TAG, re.DOTALL)
_BREAK = re.compile(r"<br\b[^<>]*>", re.IGNORECASE)
_CRLF = re.compile(r"\r\n?")
_NAME = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*)")
_STEP = re.compile(r"([A-Za-z][\w:-]*|text\(\))(?:\[(\d+)\])?")
# Elements that have no end, and those that a like one ends.
_VOID = frozenset([
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
])  # fmt: skip
_UNSHOWN = frozenset(["script", "style"])
_SELF_ENDING = frozenset(["p", "li", "dt", "dd", "tr", "td", "th", "option"])


def has_tags(text: str) -> bool:
    """Whether a text holds a tag of HTML."""
    return "<" in text and _TAG.search(text) is not None


def html_text(text: str, line_break: str = "\n") -> Normalised:
    """The text of HTML without tags and entities.

    Args:
        text: HTML, or a part of it.
        line_break: What stands for ``<br>``; "" where a program counts text nodes alone.
    """
    view = substitute(text, _CRLF, "\n").then(lambda each: substitute(each, _BREAK, line_break))
    view = view.then(lambda each: substitute(each, _TAG, ""))
    return view.then(lambda each: normalise(each, ["entities"]))


def global_offset(text: str, path: str, offset: int) -> int | None:
    """The offset in ``html_text(text)`` of an offset in a text node, or None where there is no such node.

    Args:
        text: HTML.
        path: An XPath, such as ``/div[1]/p[2]/text()[1]``; its first steps may lead to the element that
            shows the text, which is not in it.
        offset: In the node.
    """
    wanted = _steps(path)
    nodes = _text_nodes(text)
    while wanted:
        if wanted in nodes:
            start, length = nodes[wanted]
            return start + offset if 0 <= offset <= length else None
        wanted = wanted[1:]
    return None


_Path = tuple[tuple[str, int], ...]


def _steps(path: str) -> _Path:
    found = [_STEP.fullmatch(step) for step in path.strip("/.").split("/")]
    return tuple((one[1].lower(), int(one[2] or 1)) for one in found if one) if all(found) else ()


def _text_nodes(text: str) -> dict[_Path, tuple[int, int]]:
    """Where each text node begins in ``html_text(text)``, and how long it is, by its path."""
    nodes: dict[_Path, tuple[int, int]] = {}
    counts: list[Counter[str]] = [Counter()]  # of the children so far, by name, a level of nesting each
    path: list[tuple[str, int]] = []
    length = last = 0
    for tag in [*_TAG.finditer(text), None]:
        between = html_text(text[last : tag.start() if tag else len(text)]).text
        if between:
            counts[-1]["text()"] += 1
            nodes[(*path, ("text()", counts[-1]["text()"]))] = length, len(between)
            length += len(between)
        if tag is None:
            break
        last = tag.end()
        named = _NAME.match(tag[0])
        if named is None:
            continue
        is_end, name = bool(named[1]), named[2].lower()
        length += name == "br"
        if name in _UNSHOWN:
            counts[-1][name] += 1
            continue
        if is_end or (name in _SELF_ENDING and path and path[-1][0] == name):
            _close(name, path, counts)
        if not is_end:
            counts[-1][name] += 1
            if name not in _VOID and not tag[0].endswith("/>"):
                path.append((name, counts[-1][name]))
                counts.append(Counter())
    return nodes


def _close(name: str, path: list[tuple[str, int]], counts: list[Counter[str]]) -> None:
    """End the innermost element of this name, and what is open within it."""
    if any(step == name for step, _ in path):
        while path.pop()[0] != name:
            counts.pop()
        counts.pop()

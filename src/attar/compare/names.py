"""What the sides of a comparison are called: by what tells their files apart, or by the user's names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from attar.errors import RecipeError

__all__ = ["names_of", "sheet_title"]

_GENERAL = ("artifact", "artifact-refused", "candidate", "linear")  # folders that every run has
_REFUSED = re.compile(r"[\\[\]/:*?\\\\']")
_MAX_TITLE = 28  # as attar.workbook.sheets has it


def names_of(paths: Sequence[Path], given: Sequence[str] = ()) -> tuple[str, ...]:
    """A name for each file or artifact, all of them different.

    A file is called by its name without the ending. One with the name of another has its folder's before it,
    and so has a folder that every run has, such as ``artifact``.

    Args:
        paths: Of the sides, in order.
        given: The user's names; none, or one for each path.

    Raises:
        RecipeError: There are names for some of the paths only, an empty one, or two that are alike.
    """
    if given:
        names = [name.strip() for name in given]
        if len(names) != len(paths) or not all(names):
            raise RecipeError(f"--names: {len(given)} names for {len(paths)} models; give one for each: a,b")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise RecipeError(f"--names: {twice[0]!r} is given twice; give each model a name of its own")
        return tuple(names)
    parts = [_parts(path) for path in paths]
    longest = max(map(len, parts))
    taken = [2 if part[-1].lower() in _GENERAL and len(part) > 1 else 1 for part in parts]
    while True:
        names = ["/".join(part[-num:]) for part, num in zip(parts, taken, strict=True)]
        same = [
            i
            for i, name in enumerate(names)
            if any(names[j] == name and parts[j] != parts[i] for j in range(len(names)))
        ]
        if not same or min(taken[i] for i in same) >= longest:
            break
        taken = [num + 1 if i in same else num for i, num in enumerate(taken)]
    return _numbered(names)


def sheet_title(kind: str, name: str, taken: Sequence[str]) -> str:
    """The title of a sheet such as ``wrong new``: as Excel takes it, and none of those that are taken."""
    title = _cut(f"{kind} {_REFUSED.sub('-', name)}".strip(), "")
    lower, number = {one.lower() for one in taken}, 2
    while title.lower() in lower:
        title, number = _cut(f"{kind} {_REFUSED.sub('-', name)}".strip(), f" ({number})"), number + 1
    return title


def _parts(path: Path) -> list[str]:
    parts = [part for part in path.resolve().parts if part not in (path.anchor, "/")]
    name = path.resolve().name
    file, _, sheet = name.partition("#")
    stem = name if path.is_dir() else file.split(".", maxsplit=1)[0] + (f"#{sheet}" if sheet else "")
    stem = stem or name
    return [*parts[:-1], stem] if parts else [str(path)]


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The same file given twice is told apart by a number."""
    seen, numbered = Counter[str](), []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(numbered)


def _cut(title: str, suffix: str) -> str:
    room = _MAX_TITLE - len(suffix)
    return (title if len(title) <= room else f"{title[: room - 1]}…") + suffix

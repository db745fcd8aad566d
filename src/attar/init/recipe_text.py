"""A recipe as text: TOML whose comments say what each line was guessed from."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.init.facts import RowFacts
from attar.init.labels import AliasGuess, TaskGuess
from attar.init.model import Setting, model_sections
from attar.init.sources import SourceGuess

__all__ = ["recipe_text", "toml_value"]

_WIDEST = 120
_MOST_UNKNOWN = 20
_MOST_SEEN = 8
_INDENT = 12
_A_ROW = 6  # labels
_SETTINGS = (
    "format", "encoding", "join", "names", "delimiter", "quoted", "empty", "constants", "explode", "split",
)  # fmt: skip


def recipe_text(
    name: str, sources: Sequence[SourceGuess], task: TaskGuess, facts: RowFacts, folder: Path
) -> str:
    """The whole recipe.

    Args:
        name: Of the run.
        sources: What is read.
        task: What is learnt of it.
        facts: What was counted of the rows.
        folder: Where the recipe will be; paths are relative to it.
    """
    top = [
        "# Written by `attar init`, which looked at the files named below. Its guesses are marked.",
        "# To see the rows without training: attar prepare --recipe THIS --dry-run. Keys: docs/reference.md.",
        f"name = {toml_value(name)}",
        "seed = 20",
    ]
    lines = [*_task_lines(task), "", *_data_lines(sources, task, facts, folder)]
    if not lines[0].startswith(("[", "#")):
        top, lines = [*top[:3], lines[0], *top[3:]], lines[1:]
    for section, settings in model_sections(facts, task).items():
        lines += ["", f"[{section}]", *_aligned(map(_setting, settings))]
    return "\n".join([*top, "", *lines]).replace("\n\n\n", "\n\n") + "\n"


def toml_value(value: object) -> str:
    """A string, number, truth value, list or table as TOML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's escapes are TOML's, but for the one character that JSON leaves as it is.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case float():
            return _number(value)
        case Mapping():
            inner = ", ".join(f"{_key(key)} = {toml_value(each)}" for key, each in value.items())
            return f"{{ {inner} }}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    return str(value)


def _number(value: float) -> str:
    text = f"{value:g}"
    if "e" in text:
        digits, _, power = text.partition("e")
        return f"{digits}e{int(power)}"
    return text if "." in text else f"{text}.0"


def _key(key: str) -> str:
    is_bare = key.isascii() and key and all(char.isalnum() or char in "_-" for char in key)
    return key if is_bare else toml_value(key)


def _setting(setting: Setting) -> tuple[str, str]:
    return f"{setting.key} = {toml_value(setting.value)}", setting.why


def _guessed(line: str, why: str, num: int | None = None) -> tuple[str, str]:
    """A line, and the comment that says what it was guessed from."""
    seen = "" if num is None else f"; seen {_times(num)}"
    said = why if why.startswith("given ") else f"guessed: {why}"
    return line, f"{said}{seen}" if why else ""


def _times(num: int) -> str:
    return "once" if num == 1 else f"{num:,} times"


def _comment(text: str) -> str:
    """A text as a comment may hold it: on one line, without what TOML forbids there."""
    return "".join(char if char.isprintable() else " " for char in text)


def _aligned(lines: Iterator[tuple[str, str]]) -> list[str]:
    """Lines with their comments one below the other, or above the line where they do not fit beside it."""
    pairs = [(line, _comment(why)) for line, why in lines]
    fits = [(line, why) for line, why in pairs if why and "\n" not in line]
    widths = [_width(line) for line, why in fits if _width(line) + _width(why) + 4 <= _WIDEST]
    widest = max(widths, default=0)
    done = []
    for line, why in pairs:
        if not why:
            done.append(line)
        elif "\n" not in line and _width(line) <= widest and widest + _width(why) + 4 <= _WIDEST:
            done.append(f"{line}{' ' * (widest - _width(line))}  # {why}")
        else:
            done += [f"# {why}", line]
    return done


def _width(text: str) -> int:
    """Columns that a text takes on a terminal, where a Chinese character takes two."""
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _task_lines(task: TaskGuess) -> list[str]:
    counted = ", ".join(f"{label} {num:,}" for label, num in task.counts.most_common(_MOST_SEEN))
    counted += ", …" if len(task.counts) > _MOST_SEEN else ""
    why = task.why.get("labels", "")
    unknown = _unknown_lines(task.unknown)
    name_why = task.why.get("name", "")
    if not task.labels and not task.aliases and not unknown:
        line = f"task = {toml_value(task.name)}"
        return [f"{line}  # guessed: {name_why}; seen {counted}"]
    lines = ["[task]", *_aligned(iter([_guessed(f"name = {toml_value(task.name)}", name_why)]))]
    if task.labels:
        lines += _aligned(
            iter(
                [
                    _guessed(f"labels = {_list_of(task.labels)}", why and f"{why}; seen {counted}"),
                    _guessed(f"style = {toml_value(task.style)}", task.why["style"]),
                ]
            )
        )
    elif why:
        lines.append(f"# guessed: the labels are {why}; seen {counted}")
    if task.aliases or unknown:
        lines += ["", "[task.aliases]", *_aligned(_alias(*one) for one in task.aliases.items()), *unknown]
    return lines


def _list_of(words: Sequence[str]) -> str:
    """A list, over several lines where it is long."""
    line = toml_value(words)
    if len(line) <= _WIDEST - _INDENT:
        return line
    rows = [words[place : place + _A_ROW] for place in range(0, len(words), _A_ROW)]
    return "\n".join(["[", *(f"    {toml_value(row)[1:-1]}," for row in rows), "]"])


def _alias(word: str, guess: AliasGuess) -> tuple[str, str]:
    return _guessed(f"{toml_value(word)} = {toml_value(guess.label)}", guess.why, guess.num_rows)


def _unknown_lines(unknown: Mapping[str, int]) -> list[str]:
    """Spellings that stand for no label: to be filled in, for their rows are rejected."""
    shown = [(word, num) for word, num in unknown.items() if word][:_MOST_UNKNOWN]
    lines = [
        f'# {toml_value(word)} = ""  # seen {_times(num)}; say what it stands for, else its rows are rejected'
        for word, num in shown
    ]
    if rest := sum(unknown.values()) - sum(num for _, num in shown):
        lines.append(f"# {rest:,} rows have other spellings; attar prepare lists them in rejected.jsonl")
    return lines


def _data_lines(sources: Sequence[SourceGuess], task: TaskGuess, facts: RowFacts, folder: Path) -> list[str]:
    read = [source for source in sources if not source.left_out]
    parts = {source.settings.get("split") for source in read}
    shares = list[tuple[str, str]]()
    for part, share in (("dev", 0.1), ("test", 0.2)):
        has_own = part in parts
        shares.append((f"{part} = {0 if has_own else share}", "it has files of its own" if has_own else ""))
    lines = ["[data]"]
    simple = all(not source.keys() for source in read)
    if simple:
        paths = ", ".join(toml_value(_relative(source.path, folder)) for source in read)
        formats = ", ".join(dict.fromkeys(source.format for source in read))
        lines += [*_aligned(iter([_guessed(f"sources = [{paths}]", f"the format is {formats}")]))]
    lines += _aligned(iter(shares))
    if task.style == "marked_pair":
        lines += _repeated_lines(facts)
    for source in sources:
        if source.left_out:
            lines += [
                "",
                f"# Not read: {_comment(_relative(source.path, folder))}: {_comment(source.left_out)}",
            ]
    if parts & {"dev", "test"}:
        read.sort(key=lambda source: ("test", "dev", None).index(source.settings.get("split")))
        lines += ["", "# Held-out files first: of equal rows the first is kept."]
    for source in () if simple else read:
        lines += ["", "[[data.sources]]", *_source_lines(source, folder)]
    return lines


def _repeated_lines(facts: RowFacts) -> list[str]:
    if not facts.num_repeated:
        return []
    return [
        f"# Terms that stand in their text more than once and have no offsets: {facts.num_repeated:,}.",
        '# Their rows are rejected, unless the source says occurrence = "first" (or "all").',
    ]


def _source_lines(source: SourceGuess, folder: Path) -> list[str]:
    first = _guessed(
        f"path = {toml_value(_relative(source.path, folder))}",
        source.why.get("path", f"read as {source.format}"),
    )
    pairs = [first]
    for key in _SETTINGS:
        if key not in source.settings:
            continue
        value: Any = source.settings[key]
        if key == "join":
            value = {**value, "path": _relative(value["path"], folder)}
        pairs.append(_guessed(f"{key} = {toml_value(value)}", source.why.get(key, "")))
    lines = _aligned(iter(pairs))
    if source.columns:
        named = [
            _guessed(f"{ours} = {toml_value(theirs)}", source.why.get(ours, ""))
            for ours, theirs in source.columns.items()
        ]
        lines += ["", "[data.sources.columns]", *_aligned(iter(named))]
    return lines


def _relative(path: str, folder: Path) -> str:
    """A path as it is written in a recipe of that folder."""
    if "://" in path or Path(path).is_absolute():
        return path
    whole, start = Path.cwd() / path, folder.resolve()
    return os.path.relpath(whole.parent.resolve() / whole.name, start)

"""What callers of the Python API pass, checked: values -> examples, or an error that names the pair.

First step of ``Predictor.predict`` and ``predict_stream``. A column of a data frame may hold None, NaN, numpy
scalars or bytes; whatever cannot be scored is refused here, before a tokenizer or an array sees it. Messages
say the number and the type of a value, never its content.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import repeat
from typing import Any

from attar.errors import DataError
from attar.task import Example, Task
from attar.text.invisible import invisible_note, is_blank
from attar.text.repair import fitting_place, occurrences

__all__ = ["checked_examples", "example_of_pair", "examples_of_columns", "pairs_of"]

_PAIR = "(text, term) or (text, term, start, end)"


def examples_of_columns(task: Task, texts: object, terms: object, spans: object) -> list[Example]:
    """The examples of N texts, N terms and N spans; see ``Predictor.predict``.

    Raises:
        DataError: One is no list, they have unequal lengths, or a pair cannot be scored.
    """
    columns = {"texts": _listed("texts", texts)}
    if task.style != "single":
        if terms is None:
            raise DataError(
                f"task {task.name!r} scores pairs: {len(columns['texts'])} texts need as many terms"
            )
        columns["terms"] = _listed("terms", terms)
        if spans is not None:
            columns["spans"] = _listed("spans", spans)
    if len({len(column) for column in columns.values()}) > 1:
        counts = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
        first = min(map(len, columns.values()))
        raise DataError(
            f"pair {first} is incomplete: {len(columns['texts'])} texts need as many terms and spans, "
            f"there are {counts}"
        )
    others = columns.get("terms", repeat("")), columns.get("spans", repeat(None))
    return [_example(task, i, *row) for i, row in enumerate(zip(columns["texts"], *others, strict=False))]


def pairs_of(pairs: Iterable[Any]) -> Iterator[Any]:
    """The iterator of a stream of pairs.

    Raises:
        DataError: It is none.
    """
    try:
        return iter(pairs)
    except TypeError:
        raise DataError(f"predict_stream: pairs is {_kind(pairs)}; expected an iterable of {_PAIR}") from None


def example_of_pair(task: Task, index: int, pair: object) -> Example:
    """The example of the pair at ``index`` of a stream; see ``Predictor.predict_stream``.

    Raises:
        DataError: It cannot be scored.
    """
    if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) not in (2, 4):
        what = f"{_kind(pair)} of {len(pair)}" if isinstance(pair, tuple | list) else _kind(pair)
        raise DataError(f"pair {index} is no {_PAIR}: it is {what}, expected a tuple of strings and integers")
    text, term, *span = pair
    return _example(task, index, text, term, span or None)


def checked_examples(examples: Iterable[Example]) -> list[Example]:
    """Examples whose fields a caller may have filled with anything, as the encoder needs them.

    Raises:
        DataError: They are no list of examples, or one has a text that is no string, or offsets that are
            no whole numbers within it.
    """
    given = examples if isinstance(examples, list | tuple) else _listed("examples", examples)
    checked, text = list[Example](), ""
    for index, example in enumerate(given):
        checked.append(_checked(f"example {index}", example, text))
        text = checked[-1].text
    return checked


def _checked(where: str, example: object, known: str) -> Example:
    """The example itself, or one whose offsets and strings are Python's own; ``known`` is a text that is."""
    if not isinstance(example, Example):
        raise DataError(f"{where} is {_kind(example)}; expected an attar.task.Example")
    text = known if example.text is known else _text(f"{where}: its text", example.text)
    second = _text(f"{where}: its second", example.second)
    start, end = _offset(where, example.start), _offset(where, example.end)
    if not 0 <= start <= end <= len(text):
        raise DataError(
            f"{where}: start and end ({start}:{end}) are not within its text ({len(text)} characters); "
            "count from 0, in Unicode code points"
        )
    question = (text, start, end, second)
    if all(mine is theirs for mine, theirs in zip(question, example.question, strict=True)):
        return example
    return replace(example, text=text, start=start, end=end, second=second)


def _listed(name: str, values: object) -> Sequence[Any]:
    """A column as something with a length and an order."""
    if isinstance(values, str | bytes | bytearray | Mapping | Set) or getattr(values, "ndim", 1) != 1:
        dimensions = getattr(values, "ndim", None)
        shape = f" with {dimensions} dimensions" if dimensions is not None else ""
        raise DataError(f"{name} is {_kind(values)}{shape}; expected a list with one for each pair")
    if isinstance(values, list | tuple):
        return values
    try:
        return list(values)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        raise DataError(f"{name} is {_kind(values)}; expected a list with one for each pair") from None


def _example(task: Task, index: int, text: object, term: object, span: object) -> Example:
    where = f"pair {index}"
    text = _text(f"{where}: its text", text)
    if task.style == "single":
        return Example(text, 0, 0)
    term = _text(f"{where}: its {'term' if task.has_term else 'second sentence'}", term)
    if task.style == "sentence_pair":
        return Example(text, 0, 0, second=term)
    given = None if span is None else _span(where, span)
    start, end = given or (text.find(term), text.find(term) + len(term))
    if term and start >= 0 and text[start:end] == term:
        return Example(text, start, end)
    # As attar prepare and attar score read a term with a blank or an unseen character too many.
    place = next(iter(occurrences(text, term)), None) if given is None else fitting_place(text, term, *given)
    if place is None or is_blank(term):
        at = "does not occur in its text" if given is None else f"is not at {start}:{end}"
        note = invisible_note(text, term)
        raise DataError(f"{where}: its term ({len(term)} characters) {at} ({len(text)} characters){note}")
    return Example(text, *place)


def _text(what: str, value: object) -> str:
    """A string of Python; numpy's are one."""
    if not isinstance(value, str):
        advice = "decode it first" if isinstance(value, bytes) else "leave the pair out or fill it"
        raise DataError(f"{what} is {_kind(value)}; expected a string: {advice}")
    if not value.isascii():
        _check_unicode(what, value)
    return value if type(value) is str else str(value)


def _check_unicode(what: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} holds half of a surrogate pair (character {error.start}), which is no Unicode text; "
            "repair or leave it out"
        ) from None


def _span(where: str, span: object) -> tuple[int, int]:
    advice = "expected (start, end), or None for the first occurrence"
    if isinstance(span, str | bytes | Mapping | Set):
        raise DataError(f"{where}: its span is {_kind(span)}; {advice}")
    try:
        ends = list(span)  # type: ignore[call-overload]
    except TypeError:
        raise DataError(f"{where}: its span is {_kind(span)}; {advice}") from None
    if len(ends) != 2:
        raise DataError(f"{where}: its span has {len(ends)} numbers; {advice}")
    return _offset(where, ends[0]), _offset(where, ends[1])


def _offset(where: str, value: Any) -> int:  # noqa: ANN401 - anything that a caller passes
    """A whole number of Python; numpy's, and floats without a fraction, are read."""
    if type(value) is int:
        return value
    if not isinstance(value, bool):
        if isinstance(value, float) and value.is_integer():
            return int(value)
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise DataError(f"{where}: start or end is {_kind(value)}; expected whole numbers, in code points")


def _kind(value: object) -> str:
    """What a value is, without its content: ``None``, ``NaN`` or ``a list``."""
    if value is None:
        return "None"
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - numpy's float64 is one of them
        return "NaN"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

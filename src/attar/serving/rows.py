"""The rows of ``POST /v1/score``: what each of them asks, or why it cannot be answered.

Rows are read by the code that reads them for ``attar score``, so that both give the same predictions and
reject the same rows for the same reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from attar.scoring.spans import ExampleReader
from attar.serving.limits import Limits, MentionCount, Problem, text_problem
from attar.task import Example, Task
from attar.terms.finder import TermFinder
from attar.terms.term_list import TermList
from attar.text.address import is_address
from attar.text.invisible import is_blank

__all__ = ["Asked", "KnownTerms", "RowError", "RowQuery", "ScoreRow", "ScoreRowReader"]

_REASONS = {
    "bad_offsets": "start and end must be half-open offsets within its text, in Unicode code points",
    "bad_text": "its text or term holds half of a surrogate pair",
    "empty_term": "needs a term that is not empty, or start and end",
    "empty_text": "its text is empty, or only the address of a text",
    "offsets_not_at_term": "text[start:end] is not its term; give offsets in Unicode code points",
    "term_not_found": "its text does not hold the term",
}
_OFFSETS = ("start", "end")
_OF_THE_REPLY = ("mentions", "error", "not_found")
# What refused a request before rows had errors of their own, by the reason of rejected.jsonl.
_STRICT_CODES = {"bad_row": "invalid_request", "too_long": "text_too_long"}


def _number_as_text(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    value = _whole_as_int(value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _whole_as_int(value: Any) -> Any:  # noqa: ANN401 - JSON is any
    return int(value) if isinstance(value, float) and value.is_integer() else value


# As in a table: 618 is the text "618", and 2.0 the offset 2.
_Text = Annotated[StrictStr, BeforeValidator(_number_as_text)]
_Offset = Annotated[StrictInt, BeforeValidator(_whole_as_int)]


class ScoreRow(BaseModel):
    """A text and its terms; a number is read as its text. Further fields are echoed."""

    model_config = ConfigDict(extra="allow")

    text: _Text
    term: Annotated[
        _Text | None,
        Field(description="The term, or the second sentence of a pair; every occurrence is scored."),
    ] = None
    terms: Annotated[list[_Text] | None, Field(description="Several of them, instead of term.")] = None
    start: Annotated[
        _Offset | None, Field(description="With end: only this occurrence; Unicode code points, half open.")
    ] = None
    end: _Offset | None = None
    id: Annotated[Any, Field(description="Anything; echoed.")] = None


_QUESTION = frozenset(ScoreRow.model_fields) - {"id"}


@dataclass(frozen=True, slots=True)
class KnownTerms:
    """A loaded list of terms, for rows that name none.

    Attributes:
        finder: Finds their forms.
        categories: By name of a term.
        listed: The list itself, for whole files.
    """

    finder: TermFinder
    categories: Mapping[str, str]
    listed: TermList

    @classmethod
    def of(cls, terms: TermList) -> KnownTerms:
        """The terms of a list."""
        return cls(terms.finder(), terms.categories, terms)


class Asked(NamedTuple):
    """One mention to predict.

    Attributes:
        example: What the model reads.
        naming: The fields of the mention that say which term it is.
    """

    example: Example
    naming: dict[str, str]


class RowError(NamedTuple):
    """Why a row has no answer: a reason of ``rejected.jsonl``, and a line that quotes nothing of the row.

    Attributes:
        code: The reason.
        message: For people.
        strict_code: What a strict request is refused with; "" where it is not.
        field: The field in question, as ``.text``; "" for the row.
    """

    code: str
    message: str
    strict_code: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A row that was read.

    Attributes:
        echo: The fields that the reply repeats.
        asked: Its mentions.
        not_found: Those of several terms that do not occur.
        error: Why it has no mentions; None if it has.
    """

    echo: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    not_found: list[str] = field(default_factory=list)
    error: RowError | None = None


class ScoreRowReader:
    """Reads the rows of one request.

    Args:
        task: What is asked.
        limits: Of one request.
        terms: For rows without a term; None where no list is loaded.
    """

    def __init__(self, task: Task, limits: Limits, terms: KnownTerms | None = None) -> None:
        self._task, self._limits = task, limits
        self._terms = terms if task.has_term else None
        self._reader = ExampleReader(task, repair=False)
        self._counted = MentionCount(limits)

    def read(self, value: Any, index: int, *, strict: bool) -> RowQuery:  # noqa: ANN401 - JSON is any
        """Read a row.

        Args:
            value: As it was sent.
            index: Its place in the request.
            strict: Whether a row that cannot be used refuses the request.

        Raises:
            Problem: 422: the request's terms occur too often, or ``strict`` and the row cannot be used.
        """
        found = self._query(value)
        self._counted.add(f"rows[{index}]", len(found.asked))
        error = found.error
        if strict and error is not None and error.strict_code:
            raise Problem(422, error.strict_code, f"rows[{index}]{error.field}: {error.message}")
        return found

    def _query(self, value: Any) -> RowQuery:  # noqa: ANN401 - JSON is any
        try:
            row = ScoreRow.model_validate(value)
        except ValidationError as error:
            return RowQuery(_echo(value), error=_shape_error(value, error))
        if taken := next((name for name in _OF_THE_REPLY if name in value), None):
            return RowQuery(
                error=_error("bad_row", f"{taken!r} is a field of the reply; choose another name")
            )
        if (problem := self._problem(row)) is not None:
            return RowQuery(_echo(value), error=problem)
        if row.terms is not None:
            return self._several(row, row.terms, _echo(value))
        if self._terms is not None and row.term is None and row.start is None and row.end is None:
            return self._known(row, self._terms, _echo(value))
        return self._single(row, row.term, _echo(value))

    def _problem(self, row: ScoreRow) -> RowError | None:
        if problem := text_problem(row.text, self._limits):
            return _error("too_long", problem)
        if row.terms is None:
            return None
        if any(one is not None for one in (row.term, row.start, row.end)):
            return _error("bad_row", "give terms, or term, start and end, not both")
        if len(row.terms) > self._limits.max_terms:
            return _error("bad_row", f"{len(row.terms)} terms; a row may have {self._limits.max_terms}")
        return None if row.terms else _error("empty_term", "terms is empty; name one, or leave it out")

    def _single(self, row: ScoreRow, term: str | None, echo: dict[str, Any]) -> RowQuery:
        found = self._examples(row, term)
        if isinstance(found, str):
            return RowQuery(echo, error=_reader_error(found, row))
        return RowQuery(echo, [Asked(one, self._naming(one, term)) for one in found])

    def _several(self, row: ScoreRow, terms: list[str], echo: dict[str, Any]) -> RowQuery:
        if self._task.style == "single":
            return self._single(row, None, echo)
        asked: list[Asked] = []
        missing: list[str] = []
        for term in dict.fromkeys(terms):
            found = self._examples(row, term)
            if found == "term_not_found":
                missing.append(term)
            elif isinstance(found, str):
                return RowQuery(echo, error=_reader_error(found, row))
            else:
                asked += [Asked(one, self._naming(one, term)) for one in found]
        if not asked:
            return RowQuery(echo, error=_error("term_not_found", "its text holds none of its terms", ""))
        return RowQuery(echo, asked, missing)

    def _known(self, row: ScoreRow, terms: KnownTerms, echo: dict[str, Any]) -> RowQuery:
        if is_blank(row.text) or is_address(row.text):
            return RowQuery(echo, error=_reader_error("empty_text", row))
        asked = [
            Asked(
                Example(row.text, start, end),
                {"term": name, "found": row.text[start:end], "category": terms.categories.get(name, "")},
            )
            for start, end, name in terms.finder.find(row.text)
        ]
        if not asked:
            return RowQuery(echo, error=_error("term_not_found", "its text holds no term of the list", ""))
        return RowQuery(echo, asked)

    def _examples(self, row: ScoreRow, term: str | None) -> list[Example] | str:
        cells = {"text": row.text, "term": term, "start": row.start, "end": row.end}
        return self._reader.examples(cells)

    def _naming(self, example: Example, term: str | None) -> dict[str, str]:
        if self._task.style == "single":
            return {}
        return {"term": example.second or (example.term if term is None or is_blank(term) else term)}


def _echo(value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is any
    if not isinstance(value, dict):
        return {}
    return {name: inner for name, inner in value.items() if name not in _QUESTION}


def _error(code: str, message: str, strict_code: str | None = None, place: str = "") -> RowError:
    strict = _STRICT_CODES.get(code, code) if strict_code is None else strict_code
    return RowError(code, message, strict, place)


def _reader_error(reason: str, row: ScoreRow) -> RowError:
    """The error for a reason of the reader: the API tells offsets apart that files do not."""
    if row.start is None and row.end is None:
        return _error(reason, _REASONS[reason], "" if reason == "term_not_found" else None)
    within = row.start is not None and row.end is not None and 0 <= row.start < row.end <= len(row.text)
    offsets = "offsets_not_at_term" if within else "bad_offsets"
    strict = {"bad_offsets": offsets, "empty_term": "bad_offsets"}.get(reason, reason)
    return RowError("bad_offsets" if strict == offsets else reason, _REASONS[strict], strict)


def _shape_error(value: Any, error: ValidationError) -> RowError:  # noqa: ANN401 - JSON is any
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    names = [str(one) for one in first["loc"]]
    place = "".join(f"[{one}]" if one.isdigit() else f".{one}" for one in names)
    code = "bad_row"
    if names[:1] == ["text"] and value.get("text") is None:
        code = "empty_text"
    elif names and names[0] in _OFFSETS:
        code = "bad_offsets"
    return RowError(code, first["msg"], "invalid_request", place)

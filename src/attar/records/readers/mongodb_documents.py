"""What a MongoDB document says: the shapes of the original system's database, or fields by name.

- ``as_corpus``: ``{content, aspect: [{aspectTerm, contentAspectTerm, aspectCategory, start, end,
  sScore}], source, industry, brand}``, one Record an aspect; ``sScore`` 0, 1, 2 is negative,
  neutral, positive.
- ``label_corpus``: the same with ``bratLabel`` T or F, in its aspects or in the document itself;
  category 其他 is no ingredient whatever it says.
- Any other collection: ``columns``, or our own column names.

Content may be a list of characters. The re-export of the original wrote the word type into
``aspectTerm``: so the term is whichever of the two names is in the text at the offsets.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attar.errors import DataError
from attar.io.tables.columns import OURS, check_names
from attar.io.tables.rows import as_label, as_meta, as_offset, as_text
from attar.recipe.load import SourceRecipe
from attar.records.readers.span_cells import label_column, span_records
from attar.records.record import Record, Rejection
from attar.task import BUILT_IN_TASKS
from attar.text.repair import fitting_place, occurrences

__all__ = ["SHAPE_FIELDS", "check_columns", "document_records", "plain"]

SHAPE_FIELDS = frozenset({
    *OURS, "keyword", "content", "aspect", "aspectTerm", "contentAspectTerm", "aspectCategory", "category",
    "sScore", "bratLabel", "source", "industry", "brand",
})  # fmt: skip
_ONE_ASPECT = frozenset({"bratLabel", "sScore", "aspectTerm", "contentAspectTerm"})
_NEEDED = ("text", "term", "label")
_NEGATIVE_TO_POSITIVE = BUILT_IN_TASKS["cosmetics"].labels
_NO, _YES = BUILT_IN_TASKS["components"].labels
_NO_INGREDIENT = "其他"
_EXPECTED = "expected content with aspect, or text with label, or name the fields in the source's columns"

_Document = Mapping[str, Any]


def document_records(document: object, where: str, source: SourceRecipe) -> Iterator[Record | Rejection]:
    """The records of one document.

    Args:
        document: As JSON gives it; anything else than an object is rejected.
        where: ``DATABASE.COLLECTION#_id``.
        source: Its ``columns`` and ``empty`` are heeded.

    Yields:
        A Record a labelled term, or Rejections; no document, however odd, raises.
    """
    if not isinstance(document, Mapping):
        yield Rejection("bad_row", "not a JSON object; expected one document a line", where, [document])
    elif source.columns:
        yield from span_records(_mapped(document, where, source))
    elif "content" in document and "aspect" in document:
        yield from _aspects(document, where)
    elif "content" in document and not _ONE_ASPECT.isdisjoint(document):
        yield _labelled(document, document, where)
    elif "text" in document:
        yield from span_records(_mapped(document, where, source))
    else:
        yield Rejection("bad_row", f"the document has no known shape; {_EXPECTED}", where, [dict(document)])


def check_columns(path: Path, head: Sequence[object], source: SourceRecipe) -> None:
    """Check that ``columns`` are names of ours, and that the first documents have their fields.

    Raises:
        DataError: A name that is none of ours, or a text, term or label that no document has.
    """
    check_names(source.columns, "columns.{}")
    for ours in _NEEDED:
        field = source.columns.get(ours, ours)
        named = (ours in source.columns or ours == "text") and ours not in source.constants
        if head and named and all(_at(document, field) is None for document in head):
            there = {str(key) for document in head if isinstance(document, Mapping) for key in document}
            raise DataError(
                f"{path}: no field {field!r} for {ours} in the first {len(head)} documents; of those fetched "
                f"there are {', '.join(sorted(there)) or 'none'}; name the right one in columns.{ours}"
            )


def plain(value: object) -> object:
    """A value of extended JSON without its type: ``{"$oid": "5f..."}`` is ``"5f..."``."""
    while isinstance(value, Mapping) and len(value) == 1:
        (key, inner), *_ = value.items()
        if not str(key).startswith("$"):
            break
        value = inner
    return value


def _all_plain(value: object) -> object:
    """A value of extended JSON without any types, those within it too."""
    value = plain(value)
    if isinstance(value, Mapping):
        return {key: _all_plain(inner) for key, inner in value.items()}
    return [_all_plain(inner) for inner in value] if isinstance(value, list) else value


def _aspects(document: _Document, where: str) -> Iterator[Record | Rejection]:
    aspects = document["aspect"]
    aspects = [aspects] if isinstance(aspects, Mapping) else aspects
    if aspects is None or aspects == []:
        yield Rejection("empty_term", "no aspect is labelled in the document", where, [dict(document)])
    elif not isinstance(aspects, list):
        yield Rejection("bad_row", f"aspect is no list; {_EXPECTED}", where, [dict(document)])
    else:
        for aspect in aspects:
            if isinstance(aspect, Mapping):
                yield _labelled(document, aspect, where)
            else:
                yield Rejection("bad_row", "an aspect is no object", where, [dict(document)])


def _labelled(document: _Document, aspect: _Document, where: str) -> Record | Rejection:
    """One aspect of a document of ``as_corpus`` or ``label_corpus``."""
    joined = _joined(document["content"])
    if joined is None:
        message = "content must be a string or a list of strings"
        return Rejection("bad_row", message, where, [dict(document)])
    text, starts = joined
    is_brat = "bratLabel" in aspect or "sScore" not in aspect
    label = _brat_label(aspect) if is_brat else _score_label(aspect["sScore"])
    span = _span(aspect.get("start"), aspect.get("end"), starts)
    names = [as_text(plain(aspect.get(key))) for key in ("contentAspectTerm", "aspectTerm")]
    if isinstance(span, str):
        raw = [text, names[0] or names[1], aspect.get("start"), aspect.get("end"), label]
        return Rejection("bad_offsets", span, where, raw)
    term = _term(text, span, names)
    category = aspect.get("aspectCategory") or aspect.get("category")
    meta = {
        "channel": document.get("source"),
        "wordtype": category or (names[1] if names[1] != term else ""),
        "industry": document.get("industry"),
        "brand": document.get("brand"),
    }
    return Record(text, term, *span, label, as_meta({k: plain(v) for k, v in meta.items()}), where)


def _mapped(document: _Document, where: str, source: SourceRecipe) -> Record | Rejection:
    """The record of a document whose fields have names: those of ``columns``, else our own."""
    names = {ours: ours for ours in OURS} | label_column(list(document), source.columns)
    if "term" not in source.columns and "term" not in document:
        names["term"] = "keyword"
    values = {ours: plain(_at(document, path)) for ours, path in names.items()}
    values = {ours: None if as_text(value) in source.empty else value for ours, value in values.items()}
    joined = _joined(values["text"] if values["text"] is not None else "")
    if joined is None:
        message = "the text must be a string or a list of strings; name the right field in columns.text"
        return Rejection("bad_row", message, where, [dict(document)])
    text, starts = joined
    term, label = as_text(values["term"]), as_label(_all_plain(values["label"]))
    span = _span(values["start"], values["end"], starts)
    if isinstance(span, str):
        return Rejection("bad_offsets", span, where, [text, term, values["start"], values["end"], label])
    meta = as_meta({name: values[name] for name in ("channel", "wordtype")})
    return Record(text, term, *span, label, meta, where, as_text(values["annotator"]))


def _joined(content: object) -> tuple[str, list[int] | None] | None:
    """Text, and where each element starts if the elements are not its characters one by one."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list) or not all(isinstance(part, str) for part in content):
        return None
    starts = [0, *itertools.accumulate(map(len, content))]
    return "".join(content), None if starts[-1] == len(content) else starts


def _span(start: object, end: object, starts: list[int] | None) -> tuple[int | None, int | None] | str:
    """Offsets in code points, or what is wrong with them."""
    try:
        span = as_offset(plain(start)), as_offset(plain(end))
    except ValueError as error:
        return str(error)
    if starts is None:
        return span
    first, last = (starts[i] if i is not None and 0 <= i < len(starts) else i for i in span)
    return first, last


def _term(text: str, span: tuple[int | None, int | None], names: list[str]) -> str:
    start, end = span
    given = [name for name in names if name]
    there = []
    if start is not None and end is not None:
        there = [name for name in given if fitting_place(text, name, start, end)]
    best = there or [name for name in given if occurrences(text, name)] or given
    return best[0] if best else ""


def _score_label(score: object) -> str | None:
    spelling = as_text(plain(score))
    if spelling in ("0", "1", "2"):
        return _NEGATIVE_TO_POSITIVE[int(spelling)]
    # A task reads "-1" and "1" in another way than this scale counts.
    is_number = spelling.lstrip("-").replace(".", "", 1).isdigit()
    return f"sScore {spelling}" if is_number else spelling or None


def _brat_label(aspect: _Document) -> str | None:
    if _NO_INGREDIENT in (aspect.get("category"), aspect.get("aspectCategory")):
        return _NO
    spelling = as_text(plain(aspect.get("bratLabel")))
    known = {"t": _YES, "true": _YES, "f": _NO, "false": _NO}
    return known.get(spelling.strip().casefold(), spelling or None)


def _at(document: object, path: str) -> object:
    """The value at a dotted path, or None where there is none."""
    value = document
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value

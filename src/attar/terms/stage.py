"""``attar terms``: reviews in, a list of the terms that they talk about out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from attar.errors import DataError
from attar.io.encodings import of_several_files
from attar.io.lines import numbered_lines
from attar.io.outputs import check_output
from attar.io.tables.columns import Columns
from attar.io.tables.rows import as_string
from attar.io.tables.table_files import open_tables, reading_notes, shown_facts, table_format, write_table
from attar.terms.discovery import Proposal, propose_terms
from attar.terms.finder import term_spelling
from attar.terms.term_list import COLUMNS, read_term_list

__all__ = ["propose_term_list"]

_LOG = logging.getLogger(__name__)
_SETTING = "--{}"


def propose_term_list(
    source: Path,
    out: Path,
    *,
    text: str = "text",
    known: Path | None = None,
    limit: int = 500,
    min_count: int = 5,
    encoding: str | None = None,
) -> list[Proposal]:
    """Propose terms from reviews and write them as a list that ``read_term_list`` reads.

    Args:
        source: A table, a sheet (``file.xlsx#sheet``), a folder of tables, or .txt with a review a line.
        out: The list, of a table's ending: columns term, synonyms and category, the last two empty, and
            how often each occurs with an example.
        text: Name of the column with the reviews.
        known: A list whose terms and synonyms are not proposed.
        limit: Proposals at most.
        min_count: Occurrences at least.
        encoding: Of reviews that are text, one of ``attar.io.encodings.ENCODINGS``; None finds it.

    Returns:
        What was written, the likeliest first.

    Raises:
        DataError: The source or the list cannot be read, ``out`` would replace one of them or has an
            unknown ending, or no term is frequent enough.
    """
    if table_format(out) == "excel":
        raise DataError(f"{out}: a list of terms is no workbook; write .csv, .tsv, .jsonl or .parquet")
    check_output(out, [source, *([known] if known is not None else [])])
    names = read_term_list(known).names if known is not None else {}
    taken = {term_spelling(form) for form in names}
    proposals = propose_terms(_texts(source, text, encoding), taken, limit=limit, min_count=min_count)
    if not proposals:
        raise DataError(
            f"{source}: no {'further ' if known else ''}term occurs {min_count} times with something said of "
            "it; give more reviews, or a smaller --min-count"
        )
    _write(out, proposals)
    return proposals


def _texts(source: Path, text: str, encoding: str | None) -> Iterator[str]:
    if source.suffix.lower() == ".txt":
        found = of_several_files(source, encoding)
        if found.shown:
            _LOG.info("%s", shown_facts(source, {"encoding": found.shown}))
        yield from (line.strip() for _, line in numbered_lines(source, found))
        return
    tables = open_tables(source, encoding=encoding)
    for line in reading_notes(tables):
        _LOG.info("%s", line)
    for table in tables:
        columns = Columns.of(table, {"text": text}, ("text",), _SETTING)
        for row in table.rows():
            try:
                yield as_string(columns.cells(row.values).get("text"))
            except ValueError:  # no string: nothing can be found in it
                continue


def _write(out: Path, proposals: Sequence[Proposal]) -> None:
    rows = [dict.fromkeys(COLUMNS, "") | proposal._asdict() for proposal in proposals]
    types = dict.fromkeys(COLUMNS, "string") | {
        "occurrences": "int64",
        "score": "double",
        "example": "string",
    }
    write_table(out, [rows], types)

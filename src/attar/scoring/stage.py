"""``attar score``: rows in, the same rows with their labels out.

``tables -> examples -> Predictor -> writer``, a chunk at a time and pulled by the writer, so that
a source of any size fits. A row gets one scored row for each occurrence of its term.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from attar.errors import DataError
from attar.io.mongo import is_mongodb, mongo_address, shown_place
from attar.io.outputs import check_output
from attar.io.tables.columns import Columns
from attar.io.tables.rows import Row, Table, TableFormat
from attar.io.tables.table_files import open_tables, reading_notes, table_format, write_table
from attar.io.tables.term_cells import split_terms
from attar.progress import progress_bar
from attar.scoring.excel import check_size, gold_column, write_excel
from attar.scoring.mongodb import check_target, open_documents, write_documents, write_into_source
from attar.scoring.predictor import Predictor
from attar.scoring.rejections import Rejections
from attar.scoring.scored import Scored, scored_types, table_row
from attar.scoring.spans import ExampleReader, columns_of, needed_columns
from attar.scoring.term_rows import rows_of_terms
from attar.task import Example, Task
from attar.terms.term_list import TermList

__all__ = ["Counts", "ScoreOptions", "Sources", "score_file"]

_CHUNK = 4096
_LOG = logging.getLogger(__name__)

Sources = str | Path | Sequence[str | Path]
"""What is scored: a place, or several whose rows follow each other."""


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How rows are read and written.

    Attributes:
        text: Name of the column with the text; in nested rows with dots.
        term: Name of the column with the term; None takes ``term`` or ``keyword``.
        first: Score only the first occurrence of a row that has no offsets.
        terms: A list of terms: each mention of one is scored, and no row needs a term of its own.
        split_terms: What parts several terms in one cell; None takes a cell for one term.
        quoted: CSV and TSV: a quote at the start of a cell begins a quoted one; else quotes are text.
        offsets: Columns called start and end are offsets if they hold numbers; else they never are.
        encoding: Of files of text that are not UTF-8, as in ``attar.io.encodings``; None finds it.
        label: Excel: column with gold labels; None takes ``input_label`` or ``label`` if it holds some.
        query: MongoDB: which documents, as a filter.
        into_source: MongoDB: write into the collection that is read, under one field.
        progress: Show a bar on a terminal.
    """

    text: str = "text"
    term: str | None = None
    first: bool = False
    label: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    into_source: bool = False
    progress: bool = True
    quoted: bool = True
    split_terms: str | None = None
    terms: TermList | None = None
    offsets: bool = True
    encoding: str | None = None


@dataclass(slots=True)
class Counts:
    """What became of a source.

    Attributes:
        rows: Read.
        predictions: Written, one for each place of a row's term.
        rejected: Rows that could not be used, by reason code.
        rejected_path: Their file, None where there are none.
        notes: How files were read where one might have expected otherwise: sheets, encoding.
        without_term: Reviews that name no term of the list that was given, by file; none is written.
    """

    rows: int = 0
    predictions: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_path: Path | None = None
    notes: list[str] = field(default_factory=list)
    without_term: Counter[str] = field(default_factory=Counter)


def score_file(
    predictor: Predictor, source: Sources, out: str | Path, options: ScoreOptions | None = None
) -> Counts:
    """Score a file, a sheet (``file.xlsx#sheet``), a folder of files, or the documents of a collection.

    Endings decide the formats: .jsonl, .csv, .tsv, .parquet, .xlsx or .xlsm; ``out`` may also be
    .json (Label Studio tasks), and both may be ``mongodb://HOST/DATABASE/COLLECTION``. Input columns are
    kept; start, end, label, prob and a prob_<label> for each label are added. An input column that
    is called like one of the last three is kept as input_<name>, unless the file was scored before
    and has that already. Columns ``start`` and ``end`` (code points) say which occurrence is
    meant; a row without them is scored at every occurrence of its term. A term or offsets that
    ``attar prepare`` would repair are repaired. Rows that cannot be used
    go to ``<out>.rejected.jsonl``, for MongoDB in the working directory.

    Args:
        predictor: Of the artifact.
        source: The rows; several places are read one after the other.
        out: A file is replaced only by a whole one; a collection gets what is done at any time,
            and the same again from a second run.
        options: How; None takes the defaults.

    Raises:
        DataError: The source is missing, empty or of an unknown format, a column is missing, no
            row can be used, or the target is not one to write to; that is known before the first row,
            but for a disk that is full.
    """
    options = options or ScoreOptions()
    job = _prepare(predictor, source, out, options)
    rejected = _rejected_path(out)
    with contextlib.ExitStack() as stack:
        advance = None
        if options.progress:
            advance = stack.enter_context(progress_bar("score", job.num_rows()))
        try:
            job.write(
                _chunks(job, Rejections(rejected, stack, is_split=options.split_terms is not None), advance)
            )
        except OSError as error:
            raise DataError(f"{shown_place(out)}: cannot be written ({error.strerror or error})") from error
    if job.counts.rejected:
        job.counts.rejected_path = rejected
    else:
        rejected.unlink(missing_ok=True)
    return job.counts


_OutFormat = TableFormat | Literal["mongodb", "label_studio"]


@dataclass(frozen=True, slots=True)
class _Job:
    """All that is known once everything has been checked and before anything is computed."""

    predictor: Predictor
    source: str
    tables: Sequence[tuple[Table, Columns]]
    out: str
    out_format: _OutFormat
    options: ScoreOptions
    counts: Counts
    gold: str

    @property
    def model(self) -> dict[str, str]:
        artifact = self.predictor.artifact
        name, sha256 = artifact.task.name, artifact.files["model.onnx"]
        return {"task": name, "version": artifact.version, "sha256": sha256}

    def num_rows(self) -> int | None:
        """About how many rows there are; None where only reading would tell."""
        counts = [table.count() for table, _ in self.tables]
        return None if None in counts else sum(filter(None, counts))

    def write(self, chunks: Iterator[list[Scored]]) -> None:
        labels = self.predictor.task.labels
        path = Path(self.out)
        tables, (columns, *_) = [table for table, _ in self.tables], [columns for _, columns in self.tables]
        match self.out_format:
            case "mongodb" if self.options.into_source:
                write_into_source(self.out, chunks, self.model)
            case "mongodb":
                write_documents(self.out, chunks, self.model)
            case "label_studio":
                from attar.scoring.label_studio import write_label_studio

                version = f"{self.model['task']} {self.model['version']}"
                taken = {each.name(ours) for _, each in self.tables for ours in ("text", "term")}
                write_label_studio(path, chunks, taken, labels=labels, model_version=version)
            case "excel":
                write_excel(
                    path,
                    chunks,
                    scored_types(tables, labels),
                    text=columns.name("text"),
                    task=self.predictor.task,
                    gold=self.gold,
                    facts=self.facts,
                )
            case _:
                types = {} if self.out_format == "jsonl" else scored_types(tables, labels)
                write_table(path, ([table_row(scored) for scored in chunk] for chunk in chunks), types)

    def facts(self) -> dict[str, str | int]:
        """What the summary of a workbook says first."""
        rejected = {f"rejected: {reason}": count for reason, count in self.counts.rejected.items()}
        return {
            "source": self.source,
            "task": self.model["task"],
            "model": self.model["version"],
            "rows": self.counts.rows,
            "mentions": self.counts.predictions,
            **rejected,
        }


def _prepare(predictor: Predictor, source: Sources, out: str | Path, options: ScoreOptions) -> _Job:
    named: list[object] = list(source) if isinstance(source, list | tuple) else [source]
    for place in (*named, out):
        if not isinstance(place, str | PathLike):
            raise DataError(f"score_file: a {type(place).__name__} is no path; expected a str or a Path")
    sources = [str(one) for one in named]
    out_format = _out_format(out)
    if out_format == "label_studio" and not predictor.task.has_term:
        raise DataError(
            f"{out}: task {predictor.task.name!r} has no terms to mark in Label Studio; name a table"
        )
    if options.terms is not None and not predictor.task.has_term:
        raise DataError(f"task {predictor.task.name!r} has no terms; leave the list of terms out")
    _check_target(sources, out, out_format, options)
    tables = _opened(sources, predictor.task, options)
    asked = options.text, options.term
    without = Counter[str]()
    if options.terms is not None:
        read = [rows_of_terms(one, options.text, options.terms, without) for one in tables]
    else:
        read = [columns_of(table, predictor.task, *asked, offsets=options.offsets) for table in tables]
    if options.split_terms is not None:
        read = [(split_terms(table, columns, options.split_terms), columns) for table, columns in read]
    gold = ""
    if out_format == "excel":
        check_size(tables)
        gold = gold_column(tables, options.label)
    elif options.label is not None:
        raise DataError(f"--label is for the sheets of an Excel file; {shown_place(out)} is none")
    shown = ", ".join(map(shown_place, sources))
    counts = Counts(notes=_notes(tables), without_term=without)
    return _Job(predictor, shown, read, str(out), out_format, options, counts, gold)


def _notes(tables: Sequence[Table]) -> list[str]:
    """A line for each file that might have been read otherwise; logged before the first row is."""
    for line in (lines := reading_notes(tables)):
        _LOG.info("%s", line)
    return lines


def _check_target(
    sources: Sequence[str], out: str | Path, out_format: _OutFormat, options: ScoreOptions
) -> None:
    """Refuse a target that cannot be written, or that is read."""
    twice = next((one for one, count in Counter(sources).items() if count > 1), None)
    if twice is not None or not sources:
        raise DataError(f"{shown_place(twice)} is named twice" if twice else "name what to score")
    collections = [one for one in sources if is_mongodb(one)]
    files = [Path(one) for one in sources if not is_mongodb(one)]
    if out_format == "mongodb":
        if options.into_source and len(sources) > 1:
            raise DataError("--into-source writes into the collection that is read; name one --in alone")
        for one in collections or (None,):
            check_target(one, str(out), into_source=options.into_source)
    elif options.into_source:
        raise DataError(f"--into-source writes into the collection that is read; {out} is a file")
    else:
        check_output(Path(out), files)
    if out_format == "label_studio":
        check_output(Path(out).with_suffix(".xml"), files)
    check_output(_rejected_path(out), files)


def _opened(sources: Sequence[str], task: Task, options: ScoreOptions) -> list[Table]:
    tables: list[Table] = []
    quoted, encoding = options.quoted, options.encoding
    for source in sources:
        if is_mongodb(source):
            tables.append(open_documents(source, options.query))
        elif options.query:
            raise DataError(f"--query chooses documents of MongoDB; {source} is a file")
        else:
            asked = replace(task, style="single") if options.terms is not None else task
            needed = needed_columns(asked, options.text, options.term)
            tables += open_tables(Path(source), quoted=quoted, needed=needed, encoding=encoding)
    return tables


def _out_format(out: str | Path) -> _OutFormat:
    if is_mongodb(out):
        return "mongodb"
    return "label_studio" if Path(out).suffix.lower() == ".json" else table_format(Path(out))


def _rejected_path(out: str | Path) -> Path:
    if is_mongodb(out):
        return Path(f"{mongo_address(str(out)).collection.replace('/', '_')}.rejected.jsonl")
    return Path(out).with_name(f"{Path(out).name}.rejected.jsonl")


def _chunks(job: _Job, rejections: Rejections, advance: Callable[..., None] | None) -> Iterator[list[Scored]]:
    """Scored rows, a chunk of whole rows at a time."""
    counts, num_shown = job.counts, 0
    for chunk in _examples(job, rejections):
        probs = job.predictor.predict_probs([example for _, example in chunk])
        counts.predictions += len(chunk)
        yield _scored(chunk, probs.tolist(), job.predictor.task.labels)
        if advance is not None:
            advance(counts.rows - num_shown)
            num_shown = counts.rows
    counts.rows += counts.without_term.total()
    if counts.predictions == 0:
        raise DataError(rejections.nothing_usable(job.source, counts.rows, counts.rejected))
    if said := rejections.hint(counts.rows):
        counts.notes.append(said)


def _examples(job: _Job, rejections: Rejections) -> Iterator[list[tuple[Row, Example]]]:
    reader = ExampleReader(job.predictor.task, job.options.first)
    chunk: list[tuple[Row, Example]] = []
    before = ("", 0)
    for row, columns in ((row, columns) for table, columns in job.tables for row in table.rows()):
        job.counts.rows += (row.source, row.line) != before
        before = row.source, row.line
        examples = row.problem.reason if row.problem else reader.examples(columns.cells(row.values))
        if isinstance(examples, str):
            job.counts.rejected[examples] += 1
            rejections.add(row, examples, columns.cells(row.values).get("term"))
            continue
        chunk += [(row, example) for example in examples]
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _scored(
    chunk: Sequence[tuple[Row, Example]], probs: Sequence[Sequence[float]], labels: Sequence[str]
) -> list[Scored]:
    scored = []
    for (row, example), each in zip(chunk, probs, strict=True):
        best = labels[max(range(len(each)), key=each.__getitem__)]
        rounded = {label: round(prob, 6) for label, prob in zip(labels, each, strict=True)}
        scored.append(Scored(row, example, best, rounded))
    return scored

"""``attar score``: rows in, the same rows with their labels out.

``inputs -> chunks -> Predictor -> outputs``, a chunk at a time and pulled by the writer, so that a source of
any size fits. A row gets one scored row for each occurrence of its term. What was computed is kept in
``OUT.parts`` until the output is whole, so that a killed job goes on:

- ``attar.scoring.inputs``: files, folders, patterns, standard input, collections -> tables;
- ``attar.scoring.chunks``: rows -> examples -> scored rows; ``cached_probs``: what the model said, on disk;
- ``attar.scoring.outputs``: scored rows -> a draft of the output; ``job_folder``: draft -> output.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from attar.artifact import refusal
from attar.errors import DataError
from attar.io.files import content_hash
from attar.io.mongo import is_mongodb, shown_place
from attar.io.tables.jsonl import write_jsonl, write_jsonl_draft
from attar.language.translator import Translator, translator
from attar.progress import progress_bar
from attar.scoring.beside import Beside, check_free
from attar.scoring.cached_probs import CachedProbs
from attar.scoring.chunks import Chunk, chunks_of, scored_chunks
from attar.scoring.excel import check_size, gold_column
from attar.scoring.inputs import Inputs, open_inputs, shape_for
from attar.scoring.job_folder import JobFolder
from attar.scoring.options import STREAM, Counts, OutFormat, ScoreOptions, Sources, check_strict
from attar.scoring.outputs import (
    Output,
    check_encoding,
    check_place,
    kept_names,
    out_format,
    parts_path,
)
from attar.scoring.predictor import Predictor
from attar.scoring.refused import check_refused, note_text
from attar.scoring.rejections import Rejections
from attar.scoring.scored import Scored
from attar.scoring.spans import ExampleReader

__all__ = ["Counts", "ScoreOptions", "Sources", "check_refused", "check_strict", "score_file"]

_LOG = logging.getLogger(__name__)


def score_file(
    predictor: Predictor, source: Sources, out: str | Path, options: ScoreOptions | None = None
) -> Counts:
    """Score files, sheets (``file.xlsx#sheet``), folders, patterns, or the documents of a collection.

    Endings decide the formats: .jsonl, .csv, .tsv (also .gz and .zst), .parquet, .xlsx or .xlsm; ``out`` may
    also be .json (Label Studio tasks), both may be ``mongodb://HOST/DATABASE/COLLECTION``, or ``-``. Input
    columns are kept; start, end, label, prob and a prob_<label> for each label are added. An input column
    that is called like one of the last three is kept as input_<name>, unless the file was scored before
    and has that already. Columns ``start`` and ``end`` (code points) say which occurrence is
    meant; a row without them is scored at every occurrence of its term. A term or offsets that
    ``attar prepare`` would repair are repaired. Rows that cannot be used
    go to ``<out>.rejected.jsonl``, for MongoDB in the working directory; that the gate refused the artifact
    and it is used all the same stands in ``<out>.refused.json``.

    Until it is whole the output is in ``<out>.parts``, with what was computed: the same call after a kill
    goes on there, and writes the same bytes as one that ran through.

    Args:
        predictor: Of the artifact.
        source: The rows; several places are read one after the other.
        out: A file appears only when it is whole; a collection gets what is done at any time,
            and the same again from a second run.
        options: How; None takes the defaults.

    Returns:
        What became of the rows. Files of a folder or a pattern that could not be read are in ``damaged``.

    Raises:
        DataError: The source is missing, empty or of an unknown format, a column is missing, no
            row can be used, the target is not one to write to, or something is there already; that is known
            before the first row, but for a disk that is full.
        RunError: Another job is at work there, or left its parts.
        GateError: The gate refused the artifact.
    """
    options = options or ScoreOptions()
    check_refused(predictor.artifact, accepted=options.accept_refused)
    sources, place = _checked_places(source, out)
    format_ = out_format(place, options)
    with contextlib.ExitStack() as stack:
        job = _prepared(predictor, sources, place, format_, options, stack)
        parts = parts_path(place)
        if parts is None:
            _score_to_stream(job)
            return job.counts
        identity = None if job.inputs.is_stream else _identity(job)
        stack.enter_context(_write_errors(place))
        opened = JobFolder.opened(parts, identity, restart=options.overwrite)
        return _score_in(stack.enter_context(opened), job)


@dataclass(frozen=True, slots=True)
class _Job:
    """All that is known once everything has been checked and before anything is computed."""

    predictor: Predictor
    shown: str
    inputs: Inputs
    output: Output
    beside: Beside
    options: ScoreOptions
    counts: Counts


def _checked_places(source: Sources, out: str | Path) -> tuple[list[str], str]:
    named: list[object] = list(source) if isinstance(source, list | tuple) else [source]
    for place in (*named, out):
        if not isinstance(place, str | PathLike):
            raise DataError(f"score_file: a {type(place).__name__} is no path; expected a str or a Path")
    return [str(one) for one in named], str(out)


def _prepared(
    predictor: Predictor,
    sources: Sequence[str],
    place: str,
    format_: OutFormat,
    options: ScoreOptions,
    stack: contextlib.ExitStack,
) -> _Job:
    """Check everything that can be checked before the first row."""
    task = predictor.task
    if format_ == "label_studio" and not task.has_term:
        raise DataError(f"{place}: task {task.name!r} has no terms to mark in Label Studio; name a table")
    if options.terms is not None and not task.has_term:
        raise DataError(f"task {task.name!r} has no terms; leave the list of terms out")
    check_encoding(place, format_, options.encoding)
    named = [one for one in sources if not is_mongodb(one) and one != STREAM]
    read = [Path(one) for one in named]
    artifact = predictor.artifact
    sha256 = artifact.files.get("model.onnx") or content_hash(artifact.to_json())
    model = {"task": task.name, "version": artifact.version, "sha256": sha256}
    beside = Beside.of(place, options, note_text(artifact, model, place))
    check_place(sources, read, place, format_, options)
    beside.check_writable(read)
    parts = parts_path(place)
    if parts is None or not parts.is_dir():
        check_free(place, overwrite=options.overwrite)
        beside.check_free()
    counts = Counts()
    inputs = open_inputs(sources, task, options, shape_for(task, options, counts.without_term), stack)
    counts.notes, counts.damaged = inputs.notes(), inputs.damaged
    check_place(sources, inputs.files, place, format_, options)
    beside.check_writable(inputs.files)
    tables = [table for table, _ in inputs.tables]
    gold = ""
    if format_ == "excel":
        check_size(tables)
        gold = gold_column(tables, options.label)
    elif options.label is not None:
        raise DataError(f"--label is for the sheets of an Excel file; {shown_place(place)} is none")
    kept_names(inputs.tables, options)
    shown = ", ".join(map(shown_place, sources))
    told = translator(options.language)
    facts = partial(_facts, options.source_name or shown, model, refusal(artifact), counts, told)
    output = Output(place, format_, options, task, model, inputs.tables, gold, facts)
    return _Job(predictor, shown, inputs, output, beside, options, counts)


def _facts(
    source: str, model: dict[str, str], refused: str | None, counts: Counts, tr: Translator
) -> dict[str, str | int]:
    """What the summary of a workbook says first."""
    rejected = {tr("rejected: {reason}", reason=reason): num for reason, num in counts.rejected.items()}
    return {
        tr("source"): source,
        tr("task"): model["task"],
        tr("model"): model["version"],
        **({} if refused is None else {tr("the gate refused the model"): refused}),
        tr("rows"): counts.rows,
        tr("mentions"): counts.predictions,
        **rejected,
    }


def _identity(job: _Job) -> dict[str, Any]:
    """What the output depends on: by it a job knows the parts of its own."""
    return {
        "artifact": content_hash(job.predictor.artifact.to_json()),
        "inputs": job.inputs.fingerprint(),
        "options": job.options.fingerprint() | {"format": job.output.format},
    }


def _score_to_stream(job: _Job) -> None:
    """Score to standard output."""
    _LOG.info("writing to standard output, so this job cannot be resumed")
    place = job.beside.rejected
    opened = None if place is None else partial(write_jsonl, place)
    with contextlib.ExitStack() as rejected:
        _write(job, Rejections(opened, rejected, is_split=job.options.split_terms is not None), None, None)
    job.counts.rejected_path = place if job.counts.rejected else None


def _score_in(folder: JobFolder, job: _Job) -> Counts:
    """Score with the folder of the job, and put the output in its place."""
    if (facts := folder.finished()) is not None:
        folder.remove()
        return Counts.from_json(facts)
    with _removed_on_error(folder):
        check_free(job.output.place, overwrite=job.options.overwrite)
        job.beside.check_free(folder.is_own)
    place = shown_place(job.output.place)
    _LOG.info("%s %s; until it is whole its parts are in %s", "resuming" if folder.resumes else "writing",
              place, folder.path)  # fmt: skip
    before = job.inputs.sizes()
    draft = folder.draft("rows") if job.output.format != "mongodb" else None
    with _removed_on_error(folder):
        with contextlib.ExitStack() as stack:
            opened = partial(write_jsonl_draft, folder.draft("rejected"))
            rejections = Rejections(opened, stack, is_split=job.options.split_terms is not None)
            _write(job, rejections, draft, None if job.inputs.is_stream else folder.path)
        if job.inputs.sizes() != before:
            raise DataError(f"{job.shown}: changed while it was read; run it again")
        _publish(folder, job, draft)
    folder.remove()
    return job.counts


def _write(job: _Job, rejections: Rejections, draft: Path | None, kept_in: Path | None) -> None:
    """Write all scored rows, and say how it goes."""
    counts, task = job.counts, job.predictor.task
    probs = CachedProbs(job.predictor.predict_probs, len(task.labels), kept_in)
    counts.reused = probs.num_reused
    reader = ExampleReader(task, job.options.first)
    output, rows = job.output, job.inputs.rows()
    chunks = chunks_of(rows, reader, counts, rejections.add, output.max_chars, output.row_limit())
    with contextlib.ExitStack() as stack:
        progress = _Progress(job, stack)
        watched = _counted(progress.watched(chunks, probs), counts)
        scored = scored_chunks(watched, probs, task.labels, progress.done)
        try:
            with contextlib.closing(scored), _write_errors(job.output.place):
                job.output.write(_or_refused(scored, job, rejections), draft)
        except KeyboardInterrupt:
            probs.keep()
            raise


def _counted(chunks: Iterator[Chunk], counts: Counts) -> Iterator[Chunk]:
    for chunk in chunks:
        counts.predictions += len(chunk.examples)
        yield chunk


def _or_refused(scored: Iterator[list[Scored]], job: _Job, rejections: Rejections) -> Iterator[list[Scored]]:
    """The scored rows; an error if there are none at the end, before anything is made of that."""
    counts = job.counts
    yield from scored
    if counts.predictions == 0:
        raise DataError(rejections.nothing_usable(job.shown, counts.rows, counts.rejected))
    if said := rejections.hint(counts.rows):
        counts.notes.append(said)


class _Progress:
    """Says how many rows are done, from the first that is computed: those of an earlier run come at once."""

    def __init__(self, job: _Job, stack: contextlib.ExitStack) -> None:
        self._job, self._stack = job, stack
        self._advance: Callable[..., None] | None = None
        self._shown = 0

    def watched(self, chunks: Iterator[Chunk], probs: CachedProbs) -> Iterator[Chunk]:
        """The chunks; the bar is shown before the first that is not known yet."""
        for chunk in chunks:
            if self._advance is None and self._job.options.progress and not probs.covers(len(chunk.examples)):
                self._shown = chunk.num_read[0] - 1
                total = self._job.inputs.num_rows()
                bar = progress_bar("score", total, self._shown, unit="rows", rate=True)
                self._advance = self._stack.enter_context(bar)
            yield chunk

    def done(self, num_rows: int) -> None:
        """So many rows are done."""
        if self._advance is not None and num_rows > self._shown:
            self._advance(num_rows - self._shown)
            self._shown = num_rows


@contextlib.contextmanager
def _write_errors(place: str) -> Iterator[None]:
    """Say of which output an error of the disk is; who no longer reads a pipe has reasons of his own."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{shown_place(place)}: cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def _removed_on_error(folder: JobFolder) -> Iterator[None]:
    """Leave no folder behind in which nothing is that a later run could use."""
    try:
        yield
    except BaseException:
        if not folder.has_parts():
            folder.remove()
        else:
            _LOG.warning("what was computed is kept in %s: the same command resumes", folder.path)
        raise


def _publish(folder: JobFolder, job: _Job, draft: Path | None) -> None:
    """Put the output and what is written beside it in their places."""
    place, beside = Path(job.output.place), job.beside
    assert beside.rejected is not None, "only a stream has no place for them"
    assert beside.note is not None, "a stream has no folder"
    drafts = {}
    if job.counts.rejected:
        job.counts.rejected_path = beside.rejected
        drafts[folder.draft("rejected")] = beside.rejected
    if beside.note_text:
        job.counts.note_path = beside.note
        folder.draft("refused").write_text(beside.note_text, "utf-8")
        drafts[folder.draft("refused")] = beside.note
    beside.remove_earlier(set(drafts.values()), folder.is_own)
    if job.output.format == "label_studio":
        from attar.scoring.label_studio import write_labelling_config

        write_labelling_config(place, job.predictor.task.labels)
    if draft is not None:
        if not job.options.overwrite and os.path.lexists(place):
            raise DataError(f"{place} appeared while this job ran; add --overwrite to replace it")
        drafts[draft] = place
    folder.publish(drafts, job.counts.to_json())

"""Label Studio out: scored rows as tasks with pre-annotations, for annotators to correct.

After ``attar score``: adjacent rows of one text become one task, each row a region of its prediction.
The regions carry offsets in Unicode code points, as Label Studio 1.23.2 shows and gives them back;
``labelling_config`` is the config of the project that they are imported into.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from attar.errors import DataError
from attar.io.files import atomic_write, write_beside
from attar.io.tables.jsonl import finite, json_line
from attar.scoring.scored import Scored, added_columns, chosen, kept_columns

__all__ = ["labelling_config", "write_label_studio", "write_labelling_config", "write_tasks"]

_LOG = logging.getLogger(__name__)
_CONTROL, _OBJECT = "label", "text"
_COLOURS = ("#d6453d", "#8a8f98", "#2e9e5b", "#2f6fd0", "#c98a12", "#8757c9")

_Row = Mapping[str, Any]


def write_label_studio(
    draft: Path,
    chunks: Iterable[Sequence[Scored]],
    taken: Collection[str],
    *,
    labels: Sequence[str],
    model_version: str,
    keep: Collection[str] | None = None,
) -> None:
    """Write Label Studio tasks with pre-annotations.

    Args:
        draft: Where to write the tasks; half a file is left if this fails.
        chunks: The rows.
        taken: Columns that hold the text and the term.
        labels: Of the task.
        model_version: Names the model in Label Studio.
        keep: Columns of the input that are kept; None keeps all.
    """
    rows = (_task_row(scored, taken, keep) for chunk in chunks for scored in chunk)
    _write_tasks(draft, rows, labels, model_version)


def write_labelling_config(path: Path, labels: Sequence[str]) -> None:
    """Write the labelling config beside the tasks at ``path``, as .xml, unless that is somebody's."""
    config = path.with_suffix(".xml")
    written = write_beside(config, labelling_config(labels))
    if written != config:
        _LOG.warning("%s is another file and stays; the labelling config is in %s", config, written)


def write_tasks(path: Path, rows: Iterable[_Row], *, labels: Sequence[str], model_version: str) -> int:
    """Write scored rows as a JSON list of tasks, one a line, whole or not at all.

    Adjacent rows with the same text are one task. A column whose value all of its rows share goes
    into ``data`` (channel, wordtype, keyword ...); the score of a prediction is that of its least
    certain region, so that sorting by it shows the least certain ones first.

    Args:
        path: The file to write.
        rows: With text, term (or keyword), start and end (code points), label and prob; columns
            ``prob_<label>`` are left out.
        labels: Of the task, in order.
        model_version: Names the model in Label Studio.

    Returns:
        The number of tasks.

    Raises:
        DataError: A row has no text, no label of the task, or a span that is not its term.
    """
    with atomic_write(path) as draft:
        return _write_tasks(draft, rows, labels, model_version)


def _write_tasks(draft: Path, rows: Iterable[_Row], labels: Sequence[str], model_version: str) -> int:
    num_tasks = 0
    with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
        stream.write("[")
        for task in _tasks(rows, labels, model_version):
            comma = "," if num_tasks else ""
            stream.write(f"{comma}\n{json_line(task)}")
            num_tasks += 1
        stream.write("\n]\n")
    return num_tasks


def labelling_config(labels: Sequence[str]) -> str:
    """The labelling config of a project that the tasks fit: mark a term, give it a label."""
    lines = "".join(
        f"    <Label value={quoteattr(label)} background={quoteattr(colour)}/>\n"
        for label, colour in zip(labels, itertools.cycle(_COLOURS), strict=False)
    )
    return (
        f'<View>\n  <Labels name="{_CONTROL}" toName="{_OBJECT}">\n{lines}'
        f'  </Labels>\n  <Text name="{_OBJECT}" value="$text"/>\n</View>\n'
    )


def _task_row(scored: Scored, taken: Collection[str], keep: Collection[str] | None) -> dict[str, Any]:
    kept_values = chosen(scored.row.values, keep)
    theirs = {name: value for name, value in kept_values.items() if name not in taken}
    example = scored.example
    ours = {"label": scored.label, "prob": scored.prob, "start": example.start, "end": example.end}
    kept = kept_columns(theirs, ["text", "term", *added_columns(list(scored.probs))])
    plain: dict[str, Any] = finite(kept)
    return plain | {"text": example.text, "term": example.term} | ours


def _tasks(rows: Iterable[_Row], labels: Sequence[str], model_version: str) -> Iterator[dict[str, Any]]:
    numbered = enumerate(rows, 1)
    for text, group in itertools.groupby(numbered, key=lambda pair: pair[1].get("text")):
        same = list(group)
        if not isinstance(text, str) or not text:
            raise DataError(f"row {same[0][0]}: no text; expected scored rows with a column text")
        found = (_region(number, row, text, labels) for number, row in same)
        # One span listed twice is one region: Label Studio needs an id for each.
        regions = list({region["id"]: region for region in found}.values())
        score = min(region["score"] for region in regions)
        yield {
            "data": {"text": text, **_shared([row for _, row in same], labels)},
            "predictions": [{"model_version": model_version, "score": score, "result": regions}],
        }


def _region(number: int, row: _Row, text: str, labels: Sequence[str]) -> dict[str, Any]:
    label, prob, start, end = (row.get(name) for name in ("label", "prob", "start", "end"))
    if label not in labels:
        raise DataError(f"row {number}: label {label!r} is none of the task's ({', '.join(labels)})")
    if not isinstance(prob, int | float) or not 0 <= prob <= 1:
        raise DataError(f"row {number}: prob must be a number from 0 to 1; score the rows first")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        raise DataError(
            f"row {number}: start and end must be half-open offsets within the text, in Unicode code "
            "points; a task without terms has nothing to mark in Label Studio"
        )
    term = text[start:end]
    if _term(row) not in (None, "", term):
        raise DataError(f"row {number}: text[{start}:{end}] is not the term; give offsets in code points")
    return {
        "id": f"{start}-{end}",
        "from_name": _CONTROL,
        "to_name": _OBJECT,
        "type": "labels",
        "value": {"start": start, "end": end, "text": term, "labels": [label]},
        "score": prob,
    }


def _term(row: _Row) -> object:
    return row.get("term", row.get("keyword"))


def _shared(rows: Sequence[_Row], labels: Sequence[str]) -> dict[str, Any]:
    """The columns on which all rows of a text agree, the term as ``keyword``; without empty ones."""
    ours = {"text", "term", "start", "end", "label", "prob", *(f"prob_{label}" for label in labels)}
    first = {"keyword": _term(rows[0]), **{name: v for name, v in rows[0].items() if name not in ours}}
    return {
        name: value
        for name, value in first.items()
        # JSON has no word for NaN and infinity, which tables use for empty cells.
        if finite(value) not in (None, "")
        and all((_term(row) if name == "keyword" else row.get(name)) == value for row in rows)
    }

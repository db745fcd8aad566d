"""How the rows of a command line are encoded: with or without marks around the keyword, lower-cased or not.

The original has rows of two generations. Until 2021-02-22 its readers of three-line files and of rows of
three columns added no marks; they came with rows of seven columns. So the number of columns decides,
unless ``--marks`` or the settings beside a checkpoint (``gs{step}.json``) do. A model that was trained
without marks and gets them predicts another label for about one row in eleven, and only the accuracy
shows it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from attar.classic.files import card_path, marks_from, read_card, read_vocab, write_card
from attar.errors import DataError, RecipeError
from attar.recipe.load import SourceRecipe
from attar.records.prepared_folder import numbered_rows
from attar.records.readers.formats import detect_format
from original.log import MAIN
from original.tasks import TASKS, ClassicTask

__all__ = [
    "RowFormat",
    "Shape",
    "check_teachers",
    "detect_row_format",
    "marked_by_shape",
    "shape_of",
    "stray_capitals",
    "write_row_format",
]

Shape = Literal["three-line", "three columns", "seven columns"]

_CAPITAL = re.compile(r"[A-Z]")
_NAMED_TOKEN = re.compile(r"\[.*\]|<.*>")  # [unused1], <S>: no text is tokenised into them
_SHOWN: Mapping[Shape, str] = {
    "three-line": "a three-line file",
    "three columns": "rows of three columns",
    "seven columns": "rows of seven columns",
}


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How rows are encoded.

    Attributes:
        marks: Whether ``_`` is put around the keyword.
        lower_case: Whether texts are lower-cased.
        rows: The shape of the rows; None in a task without keywords.
    """

    marks: bool
    lower_case: bool
    rows: Shape | None = None


def shape_of(source: SourceRecipe) -> Shape | None:
    """The shape of a file's rows; None if no row has one of them.

    Raises:
        DataError: The file has rows of both generations, or cannot be read.
    """
    if source.format == "target":
        return "three-line"
    first: dict[Shape, str] = {}
    for where, row in numbered_rows(Path(source.path)):
        size = len(row) if isinstance(row, list) else 0
        shape: Shape | None = {3: "three columns", 7: "seven columns", 8: "seven columns"}.get(size)  # type: ignore[assignment]
        if shape is not None:
            first.setdefault(shape, where)
    if len(first) > 1:
        places = " and ".join(f"{_SHOWN[shape]} ({where})" for shape, where in first.items())
        raise DataError(
            f"{source.path}: {places}; the original marks the keyword in rows of seven columns alone. "
            "Use one shape, or give --marks on or off for all"
        )
    return next(iter(first), None)


def marked_by_shape(source: SourceRecipe) -> bool:
    """Whether the rows of a file are marked; every format but the two old ones has offsets."""
    path = Path(source.path)
    row_format = source.format or (detect_format(path) if path.is_file() else None)
    if row_format not in ("rows", "target"):
        return True
    return shape_of(source.model_copy(update={"format": row_format})) not in ("three columns", "three-line")


def detect_row_format(
    args: argparse.Namespace, sources: Sequence[SourceRecipe], aux: SourceRecipe | None = None
) -> RowFormat:
    """How the rows of a command line are encoded; logs the choice and its reason.

    Args:
        args: From ``parse_arguments``.
        sources: The files of its data folder.
        aux: The train file of the aux task.

    Raises:
        DataError: The files are of both generations, and ``--marks`` is auto.
        CheckpointError: The vocabulary or ``gs{step}.json`` cannot be read.
    """
    task = TASKS[args.task_name]
    start = args.tuned_checkpoint_S if args.load_model_type == "all" else None
    card = read_card(start) if start is not None else None
    if task.task.has_term:
        marks, rows = _marks(args, sources, aux, card)
    else:
        marks, rows = False, None
    row_format = RowFormat(marks, _lower_case(args, card), rows)
    if start is not None and card is None and task.task.has_term and args.marks == "auto":
        MAIN.warning(
            "%s: no %s beside it says how it was trained; assumed to be trained %s, as these rows are read. "
            "--marks on or off overrides this",
            start, card_path(start).name, _with(marks),
        )  # fmt: skip
    return row_format


def _marks(
    args: argparse.Namespace,
    sources: Sequence[SourceRecipe],
    aux: SourceRecipe | None,
    card: Mapping[str, Any] | None,
) -> tuple[bool, Shape | None]:
    named = [*sources, *([aux] if aux else [])]
    given = marks_from(args.marks)
    if given is not None:
        MAIN.info("keywords are read %s: --marks %s", _with(given), args.marks)
        return given, next((_shape_or_none(source) for source in sources), None)
    shapes = {source.path: shape_of(source) for source in named}
    found = {path: shape for path, shape in shapes.items() if shape is not None}
    by_shape = {shape == "seven columns" for shape in found.values()}
    if card is not None:
        # Its weights were trained on one input format, whatever the shape of these rows.
        marks = bool(card["marks"])
        log = MAIN.warning if by_shape - {marks} else MAIN.info
        log(
            "keywords are read %s: %s was trained so, says %s%s",
            _with(marks), args.tuned_checkpoint_S, card_path(args.tuned_checkpoint_S).name,
            f"; the rows alone would be read {_with(not marks)}" if by_shape - {marks} else "",
        )  # fmt: skip
        return marks, next(iter(found.values()), None)
    if len(by_shape) > 1:
        places = ", ".join(f"{path} ({_SHOWN[shape]})" for path, shape in found.items())
        raise DataError(
            f"rows of both generations: {places}; the original marks the keyword in rows of seven columns "
            "alone, and a model needs one of them. Use files of one shape, or give --marks on or off for all"
        )
    marks = True in by_shape
    shape = next(iter(found.values()), None)
    if shape is not None:
        MAIN.info("keywords are read %s: %s", _with(marks), f"{next(iter(found))} is {_SHOWN[shape]}")
    return marks, shape


def _shape_or_none(source: SourceRecipe) -> Shape | None:
    try:
        return shape_of(source)
    except DataError:
        return None  # rows of both: the reason for --marks


def _with(marks: bool) -> str:
    return "with marks (_)" if marks else "without marks"


def _lower_case(args: argparse.Namespace, card: Mapping[str, Any] | None) -> bool:
    """Whether texts are lower-cased; the command lines of the original's third step do not say it."""
    if args.do_lower_case:
        return True
    if card is not None and isinstance(card.get("lower_case"), bool):
        lower_case: bool = card["lower_case"]
        if lower_case:
            name = card_path(args.tuned_checkpoint_S).name
            MAIN.info("--do_lower_case is not given, but texts are read lower-case: %s says so", name)
        return lower_case
    capitals = stray_capitals(read_vocab(args.vocab_file))
    if capitals is None:
        return False
    MAIN.info(
        "--do_lower_case is not given, but texts are read lower-case: %s has no capitals%s",
        args.vocab_file, f" but {', '.join(capitals)}" if capitals else "",
    )  # fmt: skip
    return True


def stray_capitals(tokens: Iterable[str]) -> list[str] | None:
    """The capital letters in a vocabulary of lower-cased text; None for a cased vocabulary.

    The vocabulary of Google's Chinese BERT, which MacBERT and the Chinese ELECTRA share, holds the single
    letters I, K, M and T, but no word or word piece with capitals. A cased vocabulary has such words or,
    if it has letters alone, about as many capitals as small letters.
    """
    texts = [token for token in tokens if not _NAMED_TOKEN.fullmatch(token)]
    capitals = sorted(token for token in texts if _CAPITAL.fullmatch(token))
    small = sum(token.isascii() and token.islower() and len(token) == 1 for token in texts)
    in_words = any(_CAPITAL.search(token) and len(token) > 1 for token in texts)
    return None if in_words or 4 * len(capitals) > small else capitals


def check_teachers(args: argparse.Namespace, row_format: RowFormat) -> None:
    """Check that the teachers were trained on rows encoded like those of their student.

    Raises:
        RecipeError: One was not, and ``--marks`` is auto.
        CheckpointError: A ``gs{step}.json`` cannot be read.
    """
    if args.marks != "auto" or not TASKS[args.task_name].task.has_term:
        return
    for weights in args.teachers:
        card = read_card(weights)
        if card is None:
            MAIN.warning(
                "%s: no %s beside it says how it was trained; assumed to be trained %s, as the rows of "
                "its student are read. --marks on or off overrides this",
                weights, card_path(weights).name, _with(row_format.marks),
            )  # fmt: skip
        elif card["marks"] != row_format.marks:
            raise RecipeError(
                f"{weights} was trained {_with(card['marks'])}, says {card_path(weights).name}; its "
                f"student's rows are read {_with(row_format.marks)}. Take other rows or another teacher, "
                "or give --marks on or off for both"
            )


def write_row_format(
    weights: Path, args: argparse.Namespace, row_format: RowFormat, task: ClassicTask
) -> None:
    """Write ``gs{step}.json``: how the rows were encoded that a checkpoint was trained on."""
    card: dict[str, Any] = {
        "task": task.name,
        "marks": row_format.marks,
        # The original's reader of three-line files lower-cases whatever the tokenizer does.
        "lower_case": row_format.lower_case or row_format.rows == "three-line",
        "max_seq_length": args.max_seq_length,
    }
    write_card(weights, card | ({"rows": row_format.rows} if row_format.rows else {}))

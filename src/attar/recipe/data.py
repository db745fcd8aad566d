"""``[task]``, ``[data]`` and ``[encode]``: what is asked, of which rows, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from attar.recipe.base import Positive, Section, Share
from attar.task import InputStyle, Metric

__all__ = ["DataRecipe", "EncodeRecipe", "Form", "JoinRecipe", "SourceRecipe", "TaskRecipe"]

Form = Literal[
    "rows", "markup", "jsonl", "csv", "tsv", "excel", "parquet",
    "target", "triplets", "bio", "lines", "label_studio", "mongodb",
]  # fmt: skip


class TaskRecipe(Section):
    """A user's own task; see ``attar.task.Task``."""

    name: str
    labels: tuple[str, ...]
    style: InputStyle = "marked_pair"
    window_chars: int | None = None
    metric: Metric = "macro_f1"
    aliases: dict[str, str] = {}


class JoinRecipe(Section):
    """More columns for the rows of a table, from another one: the rows with the same ``on``."""

    path: str
    on: str


class SourceRecipe(Section):
    """One source of rows: a path alone, or a table that says how to read it.

    ``path`` is a file or folder, ``mongodb://HOST/DATABASE/COLLECTION``, or the address of a Label
    Studio project (``http://HOST/projects/7``); ``$NAME`` in it is an environment variable.
    ``form`` is told by the ending and a look at the start where it is left out.

    Tables: ``columns`` says what ours are called there (text, term, start, end, label, channel,
    wordtype; dots go into nested fields), ``names`` are the columns of a table that has no header
    line, ``delimiter`` may be of several characters, ``quoted = false`` takes quotes as text,
    ``join`` adds the columns of another table, ``empty`` lists the cells that mean "nothing".

    ``constants`` sets columns for every row. ``occurrence`` says which occurrence of a term
    without offsets is meant: "only" one may be there, the "first", or "all". ``query`` is a
    MongoDB filter. ``split`` sends every row to train, dev or test.
    """

    path: str
    form: Form | None = None
    columns: dict[str, str] = {}
    names: tuple[str, ...] = ()
    delimiter: str | None = None
    quoted: bool = True
    join: JoinRecipe | None = None
    empty: tuple[str, ...] = ()
    constants: dict[str, str] = {}
    occurrence: Literal["only", "first", "all"] = "only"
    query: dict[str, Any] = {}
    split: Literal["train", "dev", "test"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the TOML holds
        return {"path": str(value)} if isinstance(value, str | Path) else value

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched from a server before it is read."""
        return "://" in self.path


class DataRecipe(Section):
    """``prepare``: where the rows come from, what is accepted and how it is split.

    ``columns`` holds for the sources without columns of their own. ``repair`` moves offsets to
    the term where exactly one reading of them does. ``disagreement`` says what becomes of a term
    that several annotators label differently: "drop" it, take the "majority", or keep all in
    training with their shares as "weights". A text of more than ``max_chars`` is rejected.
    Reviews whose character 3-grams overlap by more than ``near_duplicate`` (Jaccard) stay on one
    side of the split. Rows whose ``channel`` is in ``train_only`` are never held out. Where a
    source has a ``split`` of its own, ``dev`` and ``test`` are shares of the other rows, and may
    be 0 if sources fill them.
    """

    sources: tuple[SourceRecipe, ...] = ()
    columns: dict[str, str] = {}
    repair: bool = True
    disagreement: Literal["drop", "majority", "weights"] = "drop"
    max_chars: Positive = 5000
    dev: Share = 0.1
    test: Share = 0.2
    near_duplicate: Share = 0.5
    train_only: tuple[str, ...] = ()


class EncodeRecipe(Section):
    """The input: at most ``max_tokens`` tokens an example, special tokens included.

    ``reads`` is the token that the classifier reads: "mark", the one before the marked term, or
    "cls", as the original system did; by default the mark where the task has one. ``normalise``
    is done to every text before it is read, in training and in scoring: "entities" (HTML),
    "nfkc", "t2s" (traditional to simplified); the offsets stay those of the text as written.
    """

    max_tokens: Annotated[int, Field(ge=8, le=512)] = 70
    window_chars: Positive | None = None
    reads: Literal["cls", "mark"] | None = None
    normalise: tuple[Literal["entities", "nfkc", "t2s"], ...] = ()

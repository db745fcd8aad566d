"""``[task]``, ``[data]`` and ``[encode]``: what is asked, of which rows, and how they are read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from attar.errors import RecipeError
from attar.recipe.base import FilePath, Positive, Section, Share
from attar.suggest import did_you_mean
from attar.task import BUILT_IN_TASKS, InputStyle, Metric, Task

__all__ = ["DataRecipe", "EncodeRecipe", "JoinRecipe", "SourceFormat", "SourceRecipe", "TaskRecipe"]

SourceFormat = Literal[
    "rows", "markup", "jsonl", "csv", "tsv", "excel", "parquet",
    "target", "triplets", "bio", "lines", "label_studio", "mongodb",
]  # fmt: skip

TextEncoding = Annotated[
    Literal[
        "utf-8", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "big5", "big5-hkscs", "euc_kr", "shift_jis",
        "euc_jp", "cp1252", "utf8", "utf-8-sig", "gbk", "gb2312", "cp936", "cp950",
    ],
    BeforeValidator(lambda said: said.strip().lower() if isinstance(said, str) else said),
]  # fmt: skip
"""As ``attar.io.encodings`` knows them, in any case."""


class TaskRecipe(Section):
    """A user's own task, or a built-in one with other settings; see ``attar.task.Task``."""

    name: str
    """Short name, shown in reports and artifacts; or that of a built-in task."""
    labels: tuple[str, ...] = ()
    """The labels, two or more, in the order of the logits; left out, those of the built-in task."""
    style: InputStyle = "marked_pair"
    """How an example becomes tokens: text and term with the term marked, the same without marks, the
    text alone, or two sentences."""
    window_chars: int | None = None
    """Characters kept on either side of the term; left out, clauses are kept as the token budget allows."""
    metric: Metric = "macro_f1"
    """The dev score that picks the best weights."""
    aliases: dict[str, str] = {}
    """Other spellings of labels in your files, to the label they stand for. To those of a built-in task
    they are added; numbers among them replace its numbers."""

    def resolved(self) -> Task:
        """The Task.

        Raises:
            RecipeError: It has no labels and is no built-in one, or cannot be.
        """
        settings = self.model_dump(exclude={"aliases"})
        if self.labels:
            return Task(**settings, aliases=self.aliases)
        if self.name not in BUILT_IN_TASKS:
            near = did_you_mean(self.name, BUILT_IN_TASKS)
            raise RecipeError(
                f"'task.labels' is missing: {self.name!r} is none of the built-in tasks "
                f"({', '.join(BUILT_IN_TASKS)}){near}; give the labels of your own task"
            )
        changed = {key: settings[key] for key in self.model_fields_set - {"labels", "aliases"}}
        return replace(BUILT_IN_TASKS[self.name], **changed).with_aliases(self.aliases)


class JoinRecipe(Section):
    """More columns for the rows of a table, from another one: the rows with the same ``on``."""

    path: FilePath
    """The other table; where the source says a `format`, of that format too."""
    on: str
    """The column that both have; each value stands once in the other table."""


class SourceRecipe(Section):
    """One source of rows: a path alone, or a table that says how to read it."""

    path: FilePath
    """A file, a folder, `mongodb://HOST/DATABASE/COLLECTION`, or a Label Studio project's address
    (`http://HOST/projects/7`); `$NAME` is an environment variable."""
    format: SourceFormat | None = None
    """How it is written; left out, the ending and the start of the file tell."""
    columns: dict[str, str] = {}
    """Our column names to theirs; dots go into nested fields. In Label Studio `label` names a control."""
    encoding: TextEncoding | None = None
    """Of a file of text; left out, UTF-8, UTF-16 with a byte order mark and GB18030 (GBK) are told apart, and
    others refused by name."""
    names: tuple[str, ...] = ()
    """The columns of a table without a header line."""
    delimiter: str | None = None
    """What stands between two cells, one character or several; else a comma, in TSV a tab."""
    quoted: bool = True
    """Whether a quote at the start of a cell begins a quoted one; false takes quotes as text."""
    join: JoinRecipe | None = None
    """Another table whose columns are added."""
    empty: tuple[str, ...] = ()
    """Cells that mean nothing."""
    constants: dict[str, str] = {}
    """Columns that are the same in every row: ours, or metadata. They win over the file's."""
    occurrence: Literal["only", "first", "all"] = "only"
    """Which occurrence of a term without offsets is meant; `only` allows just one."""
    query: dict[str, Any] = {}
    """A MongoDB filter; values may be extended JSON."""
    explode: Annotated[str, Field(min_length=1)] | None = None
    """Tables: what parts several terms in one cell, such as 、; a JSON list of them is read too. Each becomes
    a row, with the one label of all or its own; offsets count in rows of one term."""
    split: Literal["train", "dev", "test"] | None = None
    """Sends every row of the source there."""

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

    Where a source has a ``split`` of its own, ``dev`` and ``test`` are shares of the other rows.
    """

    sources: tuple[SourceRecipe, ...] = ()
    """What is read, in this order; relative paths start from the recipe's folder, with
    `--set` from the working folder."""
    columns: dict[str, str] = {}
    """Our column names (text, term, start, end, label, channel, wordtype, annotator) to theirs, for
    tables without columns of their own."""
    repair: bool = True
    """Move offsets to the term where exactly one reading of them does."""
    disagreement: Literal["drop", "majority", "weights"] = "drop"
    """What becomes of a term that several annotators label differently: none is used, that of most
    annotators, or all with their shares."""
    max_chars: Positive = 5000
    """A longer text is rejected."""
    dev: Share = 0.1
    """Share of the examples that choose weights and settings; 0 where a source fills dev."""
    test: Share = 0.2
    """Share of the examples that only the report sees; 0 where a source fills test."""
    near_duplicate: Share = 0.5
    """Reviews whose 3-grams overlap by more than this (Jaccard) stay in one split."""
    train_only: tuple[str, ...] = ()
    """Channels whose reviews are never held out."""


class EncodeRecipe(Section):
    """The input of every model: its length, what the classifier reads, and how texts are normalised."""

    max_tokens: Annotated[int, Field(ge=8, le=512)] = 70
    """Longest input, special tokens included."""
    window_chars: Positive | None = None
    """Overrides the task's `window_chars`."""
    pooling: Literal["cls", "entity_start"] | None = None
    """The token whose vector is classified: [CLS], or the mark before the term; left out, the mark where
    the task has one."""
    normalise: tuple[Literal["entities", "nfkc", "t2s"], ...] = ()
    """Done to every text before it is read, in this order: HTML entities, form NFKC, traditional to
    simplified characters. Offsets stay those of the text as written."""

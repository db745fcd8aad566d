"""Arguments and options that several verbs share, and what they are read into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attar.errors import RecipeError
from attar.ready import artifact_folder

if TYPE_CHECKING:
    from attar.language.translator import Translator
    from attar.recipe.load import Recipe, SourceRecipe

__all__ = [
    "Aliases",
    "ArtifactFolder",
    "Columns",
    "DataFolder",
    "InEncoding",
    "Lang",
    "OutFolder",
    "Overrides",
    "RecipePath",
    "Workers",
    "expanded",
    "lines_in",
    "pairs",
    "recipe_or_defaults",
    "with_encoding",
]

ArtifactFolder = Annotated[
    Path, typer.Argument(help="An artifact folder, or a ready model: zh-reviews.", callback=artifact_folder)
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")
]
DataFolder = Annotated[Path, typer.Option("--data", help="A folder written by `attar prepare`.")]
OutFolder = Annotated[Path, typer.Option("--out", help="The folder to write.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help="What a column is called in your tables, as label=情感; start= says that it is not there.",
    ),
]
Aliases = Annotated[
    list[str] | None,
    typer.Option(
        "--alias", metavar="SPELLING=LABEL", help="What a label in your files stands for, as 推荐=积极."
    ),
]
InEncoding = Annotated[
    str | None,
    typer.Option(
        "--in-encoding",
        help="Of text files that are not UTF-8: gb18030, utf-16, big5, euc_kr, shift_jis, euc_jp, cp1252. "
        "[default: told from the file]",
    ),
]
Lang = Annotated[
    str | None,
    typer.Option(
        "--lang",
        help="zh or en, of pages, workbooks and the last lines. [default: by locale; the lines in English]",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Number of threads. [default: ATTAR_WORKERS, else the cores that this process may use]",
    ),
]

_NO_TEXT = (".xlsx", ".xlsm", ".parquet")
_EXAMPLES = {"--column": "--column label=情感", "--alias": "--alias 好评=积极"}


def recipe_or_defaults(
    path: Path | None, overrides: list[str] | None, *, name: str = "", **keys: object
) -> Recipe:
    """The recipe at ``path``, or without one the defaults with these keys and the name of some folder."""
    from attar.recipe.load import load_recipe, make_recipe

    if path is not None:
        return load_recipe(path, overrides or ())
    return make_recipe(keys | {"name": Path(name).resolve().name}, overrides or ())  # of "." and "..", too


def pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """The names and values of an option that is given as NAME=VALUE, any number of times.

    Raises:
        RecipeError: There is no ``=``, or nothing before it; the same name has two values.
    """
    found = dict[str, str]()
    for one in given or ():
        name, equals, value = (part.strip() for part in one.rpartition("="))
        if not equals or not name:
            raise RecipeError(f"{option} {one!r}: expected NAME=VALUE, as in {_EXAMPLES[option]}")
        if found.setdefault(name, value) != value:
            raise RecipeError(f"{option}: {name!r} is given twice, as {found[name]!r} and {value!r}")
    return found


def lines_in(lang: str | None) -> Translator:
    """What a verb's last lines are said in: the language that ``--lang`` asks for, else English.

    Raises:
        RecipeError: There is no such language.
    """
    from attar.language.translator import asked_language, translator

    return translator(asked_language(lang))


def expanded(place: str) -> str:
    """An address with its environment variables; a path stays as it is, for it may hold a ``$``."""
    from attar.recipe.base import expand_variables

    return expand_variables(place) if "://" in place else place


def with_encoding(named: Sequence[SourceRecipe | str], encoding: str) -> list[SourceRecipe]:
    """The sources with an encoding, where it means something and they have none of their own.

    A file that is UTF-8, or has another byte order mark, stays what it is.

    Raises:
        DataError: It is none that attar knows.
    """
    from attar.io.encodings import encoding_name, of_several_files
    from attar.io.tables.excel import workbook_path
    from attar.recipe.load import SourceRecipe

    name, sources = encoding_name(encoding), []
    for source in map(SourceRecipe.model_validate, named):
        is_text = not source.is_remote and source.format not in ("excel", "parquet", "mongodb")
        is_text = is_text and workbook_path(Path(source.path))[0].suffix.lower() not in _NO_TEXT
        if is_text and Path(source.path).is_file():
            is_text = of_several_files(Path(source.path), name).name == name
        more = {"encoding": name} if is_text and source.encoding is None else {}
        sources.append(source.model_copy(update=more))
    return sources

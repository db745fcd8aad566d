"""``attar init``: files in, a recipe out that runs.

``files -> how each is read -> what its rows say -> task and model -> recipe -> dry run -> written``

The recipe is read back and its sources are checked as ``attar prepare --dry-run`` does before it is
written; a file that is there already is never touched.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from attar.errors import RecipeError
from attar.init.columns import GIVEN
from attar.init.facts import facts_of
from attar.init.labels import guess_task
from attar.init.recipe_text import recipe_text
from attar.init.sources import SourceGuess, guess_sources, is_part_name
from attar.io.encodings import encoding_name
from attar.io.files import write_new
from attar.io.tables.columns import check_names
from attar.io.tables.excel import workbook_path
from attar.language.translator import ENGLISH, Translator
from attar.recipe.base import expand_variables
from attar.recipe.load import SourceRecipe, make_recipe
from attar.records.dry_run import DryRun, dry_run, fetched_for_now

__all__ = ["NewRecipe", "initialise"]

_BAD_NAME = re.compile(r"[/\\\x00-\x1f\x7f]+")
_MOST_NAME = 60
_DEFAULT_NAME = "mine"


class NewRecipe(NamedTuple):
    """A recipe that was guessed.

    Attributes:
        name: Of the run.
        text: The recipe.
        found: What ``prepare`` makes of its sources; with a problem where nothing was written.
        left_out: The files of a folder that are not read, each with the reason.
    """

    name: str
    text: str
    found: DryRun
    left_out: list[str]


def initialise(
    places: Sequence[str],
    out: Path,
    columns: Mapping[str, str],
    aliases: Mapping[str, str],
    encoding: str | None = None,
    tr: Translator = ENGLISH,
) -> NewRecipe:
    """Guess a recipe from files, folders and servers, try it, and write it.

    Args:
        places: What ``attar prepare`` reads; an address may hold ``$NAME``, which the recipe keeps.
        out: The file to write, which must not be there.
        columns: Our columns to those of tables, which the user names.
        aliases: Spellings to labels, which the user names.
        encoding: Of the files of text that are not UTF-8, as in ``attar.io.encodings``; None finds it.
        tr: Of the language of what is found.

    Returns:
        What was written, or, where ``found.problem`` says so, was not.

    Raises:
        RecipeError: ``out`` is there already, or is not to end in ``.toml``; an address holds a password.
        DataError: A source cannot be read, or what is in it cannot be told; there is no such encoding.
    """
    _check(places, out, columns)
    asked = None if encoding is None else encoding_name(encoding)
    with ExitStack() as stack:
        sources, local = list[SourceGuess](), dict[str, str]()
        paths = [place for place in places if "://" not in place]
        if paths:
            sources += guess_sources(paths, columns, asked)
        for place in places:
            if "://" in place:
                remote = SourceRecipe(path=expand_variables(place))
                (fetched,) = stack.enter_context(fetched_for_now([remote]))
                local[place] = fetched.source.path
                sources.append(_of_server(place, fetched.source, columns))
        here = list(_readable(sources, local))
        facts = facts_of(here)
        name = _name_of(places[0])
        is_pair = any(source.is_pair for source in sources)
        task = guess_task(facts, name, aliases, is_pair=is_pair)
        text = recipe_text(name, sources, task, facts, out.parent)
        _check_encoding(text, out)
        recipe = make_recipe(tomllib.loads(text), where=str(out), folder=out.parent)
        found = dry_run(here, recipe.resolved_task(), recipe.data, tr)
        for place, path in local.items():
            for file in found.understood.files.values():
                file.facts.path = file.facts.path.replace(path, place)
    if found.problem is None:
        write_new(out, text)
    left_out = [f"{source.path}: {source.left_out}" for source in sources if source.left_out]
    return NewRecipe(name, text, found, left_out)


def _check(places: Sequence[str], out: Path, columns: Mapping[str, str]) -> None:
    """Whatever can be wrong before a file is opened."""
    check_names(columns, "--column {}=NAME")
    if out.suffix != ".toml":
        raise RecipeError(f"{out}: a recipe ends in .toml; name it so")
    if out.exists() or out.is_symlink():
        raise RecipeError(f"{out} is there already and is left as it is; choose another --out, or remove it")
    if not out.parent.is_dir():
        raise RecipeError(f"{out}: there is no folder {out.parent}; make it, or choose another --out")
    for place in places:
        if "://" in place and "$" not in place and urlsplit(place).password:
            raise RecipeError(
                "a password has no place in a recipe: put it into the environment and give the address with "
                "its name, in single quotes ('mongodb://$USER:$PASSWORD@HOST/DATABASE/COLLECTION')"
            )
        if "://" not in place and "$" in place:
            raise RecipeError(f"{place}: in a recipe a $ begins the name of a variable; rename the file")


def _check_encoding(text: str, out: Path) -> None:
    """A name that is no Unicode can be in no TOML."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RecipeError(
            f"{out}: the name of a file or a column holds what is no Unicode character; rename it"
        ) from error


def _of_server(place: str, fetched: SourceRecipe, columns: Mapping[str, str]) -> SourceGuess:
    """The source of an address; its rows are recognised by their fields, but for what the user names."""
    assert fetched.format is not None, "what was fetched says its format"
    why = dict.fromkeys(columns, GIVEN)
    return SourceGuess(place, fetched.format, columns=dict(columns), why=why)


def _readable(sources: Sequence[SourceGuess], local: Mapping[str, str]) -> Iterator[SourceRecipe]:
    """The sources as they can be read from here."""
    for source in sources:
        if source.left_out:
            continue
        keys = {"path": source.path, **source.keys()}
        if source.path in local:
            keys |= {"path": local[source.path], "format": source.format}
        yield SourceRecipe.model_validate(keys)


def _name_of(place: str) -> str:
    """The name of the run: that of the first file, or of its folder where the file is called train."""
    if "://" in place:
        path = Path(urlsplit(place).path)
        name = "-".join(path.parts[-2:]) if path.name.isdigit() else path.name
    else:
        path, _ = workbook_path(Path(place))
        whole = path.resolve()
        name = whole.name if whole.is_dir() else whole.stem
        if is_part_name(name) and whole.parent.name:
            name = whole.parent.name
    return _BAD_NAME.sub("-", name)[:_MOST_NAME].strip("-. ") or _DEFAULT_NAME

"""What a stage that reads sources depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attar.recipe.load import SourceRecipe
from attar.records.remote.fetch import shown_path
from attar.stage_cache import fingerprint

__all__ = ["source_inputs"]


def source_inputs(source: SourceRecipe) -> dict[str, Any]:
    """How a source is read and what is in it: the hashes of its files, or the address of a server.

    The name of a file does not count, but its ending does where that tells the format.

    Raises:
        RecipeError: A file is not there.
    """
    settings = source.model_dump(mode="json", exclude={"path", "join"})
    if source.is_remote:
        return settings | {"path": shown_path(source)}
    join = {"on": source.join.on, "file": fingerprint(Path(source.join.path))} if source.join else None
    file, _, sheet = source.path.partition("#")
    ending = Path(file).suffix.lower() if source.format is None else None
    return settings | {"file": fingerprint(Path(file)), "ending": ending, "sheet": sheet, "join": join}

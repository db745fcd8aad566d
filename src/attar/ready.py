"""Ready models: artifacts that the package carries, found by their names wherever a folder is asked for."""

from __future__ import annotations

from pathlib import Path

__all__ = ["artifact_folder", "ready_models"]

_READY = Path(__file__).with_name("ready_models")


def ready_models() -> list[str]:
    """Names of the models that the package carries."""
    return sorted(card.parent.name for card in _READY.glob("*/attar.json"))


def artifact_folder(given: Path) -> Path:
    """The folder of an artifact that was given by its folder, or by the name of a ready model.

    A folder of the same name comes first, as it did before there was a model of that name.
    """
    return _READY / given if str(given) in ready_models() and not given.exists() else given

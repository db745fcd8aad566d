"""The names of an encoder's weights, whatever they were saved from.

A model within ``DataParallel`` or ``torch.compile`` saves its names behind ``module.`` or ``_orig_mod.``;
one within a module of the user's own behind the name of its attribute, such as ``encoder.``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["renaming", "without_wrappers"]

_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
_FIRST = "embeddings.word_embeddings.weight"


def without_wrappers(name: str) -> str:
    """A weight's name without what ``DataParallel`` and ``torch.compile`` put before it."""
    return _WRAPPERS.sub("", name)


def renaming(names: Iterable[str], base: str) -> dict[str, str]:
    """How the weights of an encoder are to be renamed: replacements by regular expression.

    Args:
        names: Of the weights in its files that are not the model's own.
        base: What stands before the model's own: ``bert`` in ``bert.embeddings...``.

    Returns:
        Nothing if its names are the model's own already, or it cannot be told what stands before them.
    """
    found = {name.removesuffix(_FIRST) for name in names if name.endswith(_FIRST)}
    if len(found) != 1:
        return {}
    (before,) = found
    outer = before.removesuffix(f"{base}.")
    if outer == before:
        return {f"^{re.escape(before)}": f"{base}."} if before else {}
    return {f"^{re.escape(outer)}": ""} if outer else {}

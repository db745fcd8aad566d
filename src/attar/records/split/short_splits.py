"""Warnings of a held-out split that got far less than its share, for most reviews say nearly the same."""

from __future__ import annotations

from collections.abc import Mapping

from attar.language.translator import ENGLISH, Translator
from attar.recipe.load import DataRecipe

__all__ = ["split_warnings"]

_FAR_LESS = 0.5  # of what was asked


def split_warnings(
    sizes: Mapping[str, int], largest_group: int, data: DataRecipe, tr: Translator = ENGLISH
) -> list[str]:
    """What whoever reads figures of these splits should know of their sizes.

    Args:
        sizes: Examples of the splits that were dealt by share, by "train", "dev" and "test".
        largest_group: How many of them are in the largest group, which stays on one side.
        data: Says the shares.
        tr: Of the language to say it in.
    """
    total = sum(sizes.values())
    warnings = []
    for name, share in (("dev", data.dev), ("test", data.test)):
        if name in sizes and sizes[name] < _FAR_LESS * share * total < largest_group:
            warnings.append(
                tr(
                    "{name} has {count} of {total} examples, where data.{name} = {share} asks for "
                    "{asked}: {group} are in one group of reviews of which each is nearly the same as "
                    "another, and they stay on one side; raise data.near_duplicate ({threshold}) if they "
                    "say different things",
                    name=name,
                    count=sizes[name],
                    total=total,
                    share=share,
                    asked=round(share * total),
                    group=largest_group,
                    threshold=data.near_duplicate,
                )
            )
    return warnings

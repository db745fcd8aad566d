"""A verb whose options with one value may be given once: of two values the first would be lost silently."""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand, TyperOption

from attar.errors import RecipeError

__all__ = ["Once"]


class Once(TyperCommand):
    """Refuses an option that is given twice, unless it takes several values or is a switch."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - of a private class of typer
        """Read the arguments.

        Raises:
            RecipeError: An option is given twice that has one value.
        """
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for param, count in Counter(given).items():
            if isinstance(param, TyperOption) and count > 1 and not param.multiple and not param.is_flag:
                raise RecipeError(
                    f"{ctx.command_path}: {param.opts[0]} is given {count} times; it has one value, so leave "
                    "all but one out"
                )
        return super().parse_args(ctx, args)

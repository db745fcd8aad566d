"""Types of flags: the range of a number, and a one-line error that names the flag as it was typed."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import NoReturn

__all__ = ["Parser", "above_0", "finite", "from_0", "length", "seed", "share", "whole_number"]

_SHORTEST, _LONGEST = 8, 512  # of an input, in tokens


class Parser(argparse.ArgumentParser):
    """Reports a bad value as it was typed: ``--learning_rate -1 is not ...``."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and one line, and exit with 2."""
        super().error(re.sub(r"^argument (--\w+)\S*: (?=\S+ is not )", r"\1 ", message))


def whole_number(text: str) -> int:
    """A whole number of 1 or more."""
    return int(_checked(text, int, lambda value: value >= 1, "a whole number of 1 or more"))


def length(text: str) -> int:
    """The length of an input in tokens."""
    what = f"a whole number from {_SHORTEST} to {_LONGEST}"
    return int(_checked(text, int, lambda value: _SHORTEST <= value <= _LONGEST, what))


def seed(text: str) -> int:
    """A seed that every random generator takes."""
    what = "a whole number from 0 to 4294967295"
    return int(_checked(text, int, lambda value: 0 <= value < 2**32, what))


def above_0(text: str) -> float:
    """A number above 0."""
    return _checked(text, float, lambda value: 0 < value < math.inf, "a number above 0")


def from_0(text: str) -> float:
    """A number of 0 or more."""
    return _checked(text, float, lambda value: 0 <= value < math.inf, "a number of 0 or more")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _checked(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def finite(text: str) -> float:
    """A number."""
    return _checked(text, float, math.isfinite, "a number")


def _checked(text: str, kind: type[float], is_right: Callable[[float], bool], what: str) -> float:
    """A number; argparse puts the flag before the message."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not is_right(value):
        raise argparse.ArgumentTypeError(f"{text} is not {what}")
    return value

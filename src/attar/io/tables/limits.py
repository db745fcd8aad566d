"""What a file of a table may unfold to: a few kilobytes may stand for terabytes.

Workbooks and Parquet files are folded. The limit is checked against what their own lists of parts and
headers of pages say, before anything is unfolded.
"""

from __future__ import annotations

import os

from attar.io.limits import limit_bytes

__all__ = ["LIMIT_VARIABLE", "is_limit_set", "max_part_bytes"]

LIMIT_VARIABLE = "ATTAR_MAX_TABLE_GB"
"""Environment variable that raises the limit on a part of a table, in GB (10^9 bytes)."""
_DEFAULT_GB = 1.0


def max_part_bytes() -> int:
    """How many bytes a part that is held in memory may unfold to: a page, or the strings of a workbook.

    Raises:
        RecipeError: ATTAR_MAX_TABLE_GB is no number above 0.
    """
    return limit_bytes(LIMIT_VARIABLE, _DEFAULT_GB)


def is_limit_set() -> bool:
    """Whether a user says how large a part may be: then a part may also be folded however tightly."""
    return LIMIT_VARIABLE in os.environ

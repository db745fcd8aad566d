"""What a report calls its models where people read it.

The artifact has one key in ``report.json``, ``student_int8``, whatever precision it was exported in; a
page, a workbook and a picture call it by the precision that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["shown_name"]

_INT8 = "_int8"


def shown_name(report: Mapping[str, Any], name: str) -> str:
    """A model's name with its precision: an fp32 artifact is no ``student_int8``.

    Args:
        report: As report.json has it; an earlier one has no precisions.
        name: Of the model, its key in ``models``.
    """
    precision = report["models"].get(name, {}).get("precision")
    return f"{name.removesuffix(_INT8)}_{precision}" if precision and name.endswith(_INT8) else name

"""What a report calls its models where people read it.

The artifact has one key in ``report.json``, ``student_int8``, whatever precision it was exported in; a
page, a workbook and a picture call it by the precision that it has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attar.language.translator import N_, Language, Translator

__all__ = ["ANSWERS", "IN_SERVICE_SAID", "LINEAR", "PAGES", "said_description", "shown_name"]

PAGES: Mapping[Language, str] = {"en": "report.html", "zh": "report.zh.html"}
"""The page's file by its language: all are written, so that a folder does not depend on who made it."""

ANSWERS: Mapping[Language, str] = {"en": "answers.xlsx", "zh": "answers.zh.xlsx"}
"""The workbook of all predictions, in the same way."""

LINEAR = N_("TF-IDF of characters, {window} around the term, and a balanced linear model")
"""What a report says of its linear model; the window is "the clause", or a number of characters."""

IN_SERVICE_SAID = N_("in service: {what}")
"""The same of the model in service."""

_INT8 = "_int8"
_LINEAR_SAID = re.compile(re.escape(LINEAR).replace(re.escape("{window}"), r"(the clause|(\d+) characters)"))


def shown_name(report: Mapping[str, Any], name: str) -> str:
    """A model's name with its precision: an fp32 artifact is no ``student_int8``.

    Args:
        report: As report.json has it; an earlier one has no precisions.
        name: Of the model, its key in ``models``.
    """
    precision = report["models"].get(name, {}).get("precision")
    return f"{name.removesuffix(_INT8)}_{precision}" if precision and name.endswith(_INT8) else name


def said_description(text: str, tr: Translator) -> str:
    """What a report.json says of a model, in a language; an unknown description stays as it is."""
    before, _, _ = IN_SERVICE_SAID.partition("{")
    if text.startswith(before):
        return tr(IN_SERVICE_SAID, what=said_description(text.removeprefix(before), tr))
    linear = _LINEAR_SAID.fullmatch(text)
    if linear is None:
        return tr(text)
    window = tr("{num} characters", num=linear[2]) if linear[2] else tr("the clause")
    return tr(LINEAR, window=window)

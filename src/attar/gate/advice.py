"""What to do about a model that falls short: which reviews to label more of, or what to deploy instead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attar.language.translator import Translator

__all__ = ["LEAST_MORE", "advice", "label_more"]

LEAST_MORE = 100
"""Reviews of a label: fewer more of them change nothing."""

_ENOUGH = 300  # training examples of a label, above which more of it help less
_ROUNDED_TO = 50


def advice(report: Mapping[str, Any], rival: str | None, tr: Translator) -> str:
    """What helps a model that falls short of another, or of what is asked for."""
    models, chosen = report["models"], report["models"][report["chosen"]]
    better = models[rival] if rival is not None else None
    linear = models.get("tfidf")
    own = chosen.get("labels")
    if own is None:
        more = tr("Label more reviews.")
    else:
        theirs = (better or {}).get("labels") or {}
        behind = {name: theirs.get(name, {}).get("f1", 1.0) - figures["f1"] for name, figures in own.items()}
        if max(behind.values()) <= 0:  # ahead in each label, only not surely
            behind = {name: -figures["f1"] for name, figures in own.items()}
        more = label_more(report, max(behind, key=behind.__getitem__), tr)
    if linear is None or linear["macro_f1"] < chosen["macro_f1"]:
        return more
    return tr(
        "Deploy the linear model instead (attar run leaves it in linear/), or {more}",
        more=more[:1].lower() + more[1:],
    )


def label_more(report: Mapping[str, Any], label: str, tr: Translator) -> str:
    """How many more reviews of a label to label: up to a few hundred of it in training."""
    known = (report.get("train_labels") or {}).get(label, 0)
    more = max(LEAST_MORE, math.ceil((_ENOUGH - known) / _ROUNDED_TO) * _ROUNDED_TO)
    if not known:
        return tr("Label {more} more of {label}.", more=more, label=label)
    return tr(
        "Label {more} more of {label} (there are {known} to learn from).", more=more, label=label, known=known
    )

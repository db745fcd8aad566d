"""How far the annotators of the gold labels agree, where there are several: two columns or files, or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from attar.records.audit.agreement import Agreement, fleiss_kappa

__all__ = ["annotator_agreement"]


def annotator_agreement(votes: Iterable[Mapping[str, str]]) -> dict[str, Any] | None:
    """Agreement of two or more annotators.

    Args:
        votes: Of each question, the label by annotator.

    Returns:
        None where no question has the labels of two. Else ``names``, ``num`` questions that two or more
        labelled, ``pairs`` with Cohen's kappa on those that both labelled, ``alpha`` (Krippendorff's, which
        takes questions that some left out), and of three or more ``fleiss`` on the ``num_all`` questions
        that all labelled.
    """
    agreed, complete = Agreement(), list[Mapping[str, str]]()
    names = dict[str, None]()
    for each in votes:
        agreed.add(each.items())
        names |= dict.fromkeys(each)
        complete.append(each)
    if not agreed.num_spans:
        return None
    figures = agreed.to_json()
    found = {
        "names": [name for name in names if name],
        "num": figures["num_spans"],
        "percent": figures["percent"],
        "alpha": figures["alpha"],
        "pairs": figures["pairs"],
    }
    if len(found["names"]) > 2:
        by_all = [Counter(each.values()) for each in complete if len(each) == len(found["names"])]
        found |= {"num_all": len(by_all), "fleiss": fleiss_kappa(by_all)}
    return found

"""Every string of the insight page, workbook and pictures, by its key; ``attar.language`` has the Chinese.

The page's script and several modules name them, so they stand here once. Values stand in braces.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from attar.language.translator import N_, Language, translator

__all__ = ["MESSAGES", "Plural", "Warned", "message", "messages_of", "plural"]


class Warned(NamedTuple):
    """A warning: its key and the values in it."""

    msgid: str
    values: Mapping[str, Any]


class Plural(NamedTuple):
    """A string that says ``{num}``: of one, and of any other number."""

    one: str
    many: str


def plural(one: str, many: str) -> Plural:
    """Mark both forms of a string as ``N_`` marks one."""
    return Plural(one, many)


_TABLE: dict[str, str | Plural] = {
    "title": N_("What the reviews say"),
    "subtitle": N_("{mentions} in {reviews}"),
    "num_mentions": plural("{num} mention", "{num} mentions"),
    "num_reviews": plural("{num} review", "{num} reviews"),
    "period": N_("{first} to {last}"),
    "corrected_labels": plural("corrected by {num} checked mention", "corrected by {num} checked mentions"),
    "corrected_report": plural(
        "corrected by the model's test report ({num} example)",
        "corrected by the model's test report ({num} examples)",
    ),
    "uncorrected": N_("uncorrected"),
    "uncorrected_note": N_(
        "These are the model's labels as they are, its errors included, and the intervals know "
        "nothing of these. Check some 300 random rows and give them with --labels."
    ),
    "accuracy_note": N_("the model agreed with {accuracy} of them"),
    "net": N_("Net sentiment"),
    "net_note": N_("share of positive less share of negative, in points"),
    "as_said": N_("model alone {value}"),
    "mentions": N_("Mentions"),
    "reviews": N_("Reviews"),
    "all": N_("All"),
    "missing": N_("(empty)"),
    "no_date": N_("(no date)"),
    "small": N_("few mentions"),
    "small_note": N_("Grey: fewer than {small} mentions. Shown, but not compared with anything."),
    "findings": N_("What stands out"),
    "findings_note": plural(
        "One comparison was made. ★ marks it where chance alone would hardly show as much "
        "(Benjamini–Hochberg, 5 %).",
        "{num} comparisons were made. ★ marks those that remain when chance has had that many tries "
        "(Benjamini–Hochberg, 5 %).",
    ),
    "nothing_found": plural(
        "The one comparison shows no more than chance would.",
        "None of the {num} comparisons is more than chance would show.",
    ),
    "no_comparisons": N_("Nothing to compare: no two groups have {small} mentions each."),
    "say_difference": N_("{second} is {points} points {direction} than {first}{within}"),
    "say_change": N_("{subject} {direction} by {points} points from {first} to {second}"),
    "say_trend": N_("{subject} {direction} by {points} points a period since {first}"),
    "within": N_(" for {value}"),
    "higher": N_("higher"),
    "lower": N_("lower"),
    "rose": N_("rose"),
    "fell": N_("fell"),
    "everything": N_("The total"),
    "trend": N_("Over time"),
    "trend_note": N_("Bars are 95 % intervals; hollow points have few mentions."),
    "heat": N_("Heat map"),
    "heat_note": N_("Choose a cell to read its reviews."),
    "save_png": N_("Save as PNG"),
    "save_png_note": N_("A picture for slides"),
    "table": N_("All figures"),
    "table_note": N_("Choose a heading to sort, a row to read its reviews."),
    "comparisons": N_("Comparisons"),
    "outcome": N_("Measure"),
    "lines": N_("Lines"),
    "rows": N_("Rows"),
    "columns": N_("Columns"),
    "group": N_("Group by"),
    "search": N_("Search"),
    "hide_small": N_("Hide few mentions"),
    "only_marked": N_("Only ★"),
    "more": N_("Show more"),
    "shown_of": N_("{shown} of {total}"),
    "omitted": plural(
        "{num} smaller cell ({mentions}) is in cells.parquet alone.",
        "{num} smaller cells ({mentions}) are in cells.parquet alone.",
    ),
    "close": N_("Close"),
    "examples": N_("Typical reviews"),
    "examples_note": N_(
        "Up to three of each label, chosen to differ; the labels and the probabilities are the model's."
    ),
    "no_examples": N_("No reviews are kept for this cell."),
    "interval": N_("95 % interval"),
    "model_alone": N_("Model alone"),
    "kind": N_("Kind"),
    "difference": N_("difference"),
    "change": N_("change"),
    "trend_kind": N_("trend"),
    "what": N_("What"),
    "points": N_("Points"),
    "adjusted": N_("p, adjusted"),
    "method": N_("How to read this"),
    "method_cluster": N_(
        "A review is the unit: several mentions of one review are not independent, so intervals are "
        "over reviews (cluster-robust, 95 %). {identity}"
    ),
    "identity_text": N_("Rows with the same text are one review."),
    "identity_column": N_("Reviews are told apart by the column {column}."),
    "identity_none": N_("There is no text, so each row counts as a review of its own."),
    "method_labels": N_(
        "What people found in the checked mentions of each label tells how many of all mentions have "
        "it (prediction-powered inference). This holds if the checked mentions are a random sample "
        "of the scored ones."
    ),
    "pooled": N_("pooled"),
    "method_pooled": N_(
        "Pooled: the figure of a small group drawn towards the mean of all groups, by how little is known of "
        "it (empirical Bayes). Better for ranking many small groups; intervals and comparisons are those of "
        "each group itself."
    ),
    "method_report": N_(
        "The shares are the mixture that best explains the model's labels, given how it errs in its "
        "test report (adjusted counts). This holds if it errs here as it did there."
    ),
    "left_out": N_("Left out: {what}."),
    "made_by": N_("Made by attar {version}."),
    "no_label": plural("{num} row without a label", "{num} rows without a label"),
    "unreadable": plural("{num} unreadable row", "{num} unreadable rows"),
    "undated": plural(
        "{num} mention has no date that can be read; it is in no trend.",
        "{num} mentions have no date that can be read; they are in no trend.",
    ),
    "warn_few_labels": plural(
        "Only {num} checked mention: the intervals are wide. {wanted} and more are better.",
        "Only {num} checked mentions: the intervals are wide. {wanted} and more are better.",
    ),
    "warn_labels_mix": N_(
        "The checked mentions have another mix of the model's labels than all of them ({points} "
        "points apart). That is corrected, but are they a random sample?"
    ),
    "warn_unmatched": plural(
        "{num} checked mention is among no scored rows and was not used.",
        "{num} checked mentions are among no scored rows and were not used.",
    ),
    "warn_report": N_(
        "The report's test reviews may not be like these: other terms, brands or channels have other "
        "errors. A checked sample of these rows (--labels) is surer."
    ),
    "warn_report_mix": N_(
        "The report has another mix of labels: the model's labels are {points} points apart. Be "
        "careful with the corrected shares."
    ),
    "sheet_overview": N_("overview"),
    "sheet_findings": N_("comparisons"),
    "sheet_examples": N_("reviews"),
    "column_of": N_("{name} ({what})"),
    "low": N_("low"),
    "high": N_("high"),
    "label": N_("Label"),
    "review": N_("Review"),
    "prob": N_("Prob"),
    "percent": N_("{value} %"),
    "joined": N_("{sentence} {next}"),
    "of_outcome": N_("{said} · {outcome}"),
    "corrected_share": N_("Corrected"),
    "shares": N_("Shares"),
}

MESSAGES: Mapping[str, str | Plural] = MappingProxyType(_TABLE)
"""By key."""


def message(language: Language, msgid: str, **values: Any) -> str:  # noqa: ANN401 - of strings and numbers
    """A string with its values; one that has a plural takes a whole ``num``."""
    text = MESSAGES[msgid]
    if isinstance(text, Plural):
        return translator(language).plural(text.one, text.many, values["num"], **values)
    return translator(language)(text, **values)


def messages_of(language: Language) -> dict[str, list[str]]:
    """All strings of a language, for the page's script: of one, and of any other number if that differs."""
    catalog, found = translator(language).catalog, dict[str, list[str]]()
    for msgid, text in MESSAGES.items():
        if isinstance(text, Plural):
            both = [catalog.ngettext(text.one, text.many, num) for num in (1, 2)]
            found[msgid] = list(dict.fromkeys(both))
        else:
            found[msgid] = [catalog.gettext(text)]
    return found

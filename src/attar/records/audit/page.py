"""audit.html: one self-contained page for the person who labels, or who asked for the labels.

Last step of the audit: the counts as audit.json has them, and a few rows for each reason.
Everything is text and CSS; nothing is fetched and nothing runs. The markup is ``audit.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from attar.errors import require
from attar.language.translator import N_, Language, Translator, page_environment, translator
from attar.records.audit.summary import Sample
from attar.records.understood import short_lines

__all__ = ["PAGES", "audit_template", "render_audit"]

PAGES: Mapping[Language, str] = {"en": "audit.html", "zh": "audit.zh.html"}
"""The page's file by its language: all are written, so that a folder does not depend on who made it."""

_CONTEXT_CHARS = 90

# Of each reason: what it means, and what to do.
_REASONS: Mapping[str, tuple[str, str]] = {
    "bad_row": (
        N_("The row is not as its format has rows."),
        N_("Mend the row, or the program that wrote it."),
    ),
    "not_utf8": (
        N_("The line is not UTF-8, or not what the rest of the file is."),
        N_("Save the file as UTF-8."),
    ),
    "bad_mark": (N_("A mark in the text is not closed or is inside another."), N_("Write [term|label].")),
    "no_mark": (N_("The line has no mark."), N_("Mark its terms, or take it out.")),
    "bad_text": (
        N_("Half of a surrogate pair: a character was cut in two."),
        N_("Export the row again, whole."),
    ),
    "empty_text": (
        N_("There is no text, or only its address."),
        N_("See whether data.columns.text names the right column."),
    ),
    "empty_term": (N_("There is no term."), N_("See whether data.columns.term names the right column.")),
    "missing_label": (N_("There is no label."), N_("Label the row; rows still to be labelled are no harm.")),
    "unknown_label": (
        N_("The label is none of the task's."),
        N_("Map the spelling in task.aliases, or correct it."),
    ),
    "bad_offsets": (
        N_("The offsets do not point at the term, and no single reading of them does."),
        N_("Count half-open offsets in Unicode code points, or leave them out where the term occurs once."),
    ),
    "term_not_found": (N_("The term does not occur in the text."), N_("Write it as the text does.")),
    "term_ambiguous": (N_("The term occurs in the text more than once."), N_("Give start and end.")),
    "control_characters": (
        N_("The text holds characters that no one can see or type."),
        N_("Take them out where the text is exported."),
    ),
    "too_long": (
        N_("The text is longer than data.max_chars."),
        N_("Cut it into reviews, or raise the limit."),
    ),
    "cancelled": (N_("The annotator cancelled or skipped it."), N_("Nothing, unless it should be labelled.")),
    "duplicate": (N_("The same text, span and label came before."), N_("Nothing: the first is kept.")),
    "contradiction": (
        N_("One span of one text has two labels that cannot be told apart by annotator."),
        N_("Decide for one; none is used until then."),
    ),
    "disagreement": (
        N_("Annotators give one span different labels."),
        N_('Decide for one, or set data.disagreement to "majority" or "weights".'),
    ),
    "no_majority": (N_("As many annotators say one as the other."), N_("Ask one more annotator, or decide.")),
    "also_held_out": (
        N_("The review is also in a held-out file."),
        N_("Nothing: it must not be trained on too."),
    ),
}
_REPAIRS: Mapping[str, str] = {
    "utf16": N_("Offsets in UTF-16 code units, as browsers and Java count."),
    "utf8": N_("Offsets in bytes of UTF-8."),
    "whitespace": N_("Offsets in the text with other whitespace, or blanks around the term."),
    "entities": N_("Offsets in the text without HTML entities, or a term that is written with others."),
    "invisible": N_("The same with characters that nobody sees, such as U+200B (zero width space)."),
    "tags": N_("Offsets in the text without HTML tags, or a term that is written with others."),
    "offsets": N_("The term is only a part of what the offsets mark, which is taken."),
    "occurrence": N_("Offsets that fit nowhere, but the term occurs in the text once."),
    "normal_form": N_(
        "The term occurs in the text once, after full-width forms and entities are normalised."
    ),
}


def render_audit(
    audit: Mapping[str, Any],
    samples: Mapping[str, Sequence[Sample]],
    manifest: Mapping[str, Any],
    language: Language = "en",
) -> str:
    """Render the page.

    Args:
        audit: What audit.json holds.
        samples: Rows by reason, and by ``repair:`` and the reading.
        manifest: ``task`` (with its name), ``sources`` (each with its path), ``settings``, ``attar``
            (the version), ``labels`` by split, and perhaps ``understood``, how each file was read.
        language: Of the page; what is said of a single row stays English, as in rejected.jsonl.

    Raises:
        MissingPackageError: The package jinja2 is not installed.
    """
    tr = translator(language)
    page = audit_template(language).render(
        audit=audit,
        manifest=manifest,
        headline=_headline(audit, tr),
        colours=_colours(list(audit["labels"])),
        reasons={name: [tr(said) for said in both] for name, both in _REASONS.items()},
        repairs={name: tr(said) for name, said in _REPAIRS.items()},
        understood=short_lines(manifest.get("understood", ()), tr),
        samples={name: [_row(sample) for sample in rows] for name, rows in samples.items()},
    )
    return str(page)


def audit_template(language: Language = "en") -> Any:  # noqa: ANN401 - of an optional package
    """The page's template; a run that ends with the page asks for it before it begins.

    Raises:
        MissingPackageError: The package jinja2 is not installed.
    """
    require("jinja2", "data")  # a template that was compiled before would not tell
    return _template(language)


@lru_cache
def _template(language: Language) -> Any:  # noqa: ANN401 - of an optional package
    """The template, compiled once: that takes longer than all else about a small source."""
    environment = page_environment("attar.records.audit", language)
    environment.filters |= {"number": "{:,}".format, "share": _share, "figure": _figure}
    return environment.get_template("audit.html.j2")


def _headline(audit: Mapping[str, Any], tr: Translator) -> str:
    read, used = audit["num_read"], audit["num_accepted"] + audit["num_confirmed"]
    if read and used == read:
        return tr.plural("The only row can be used.", "All {num} rows can be used.", read)
    headline = tr("{used} of {read} rows can be used.", used=used, read=read)
    reasons = list(audit["reasons"].items())
    if reasons:
        name, count = reasons[0]
        said = tr("The commonest reason against the others is {name} ({num}).", name=name, num=count)
        headline = tr("{sentence} {next}", sentence=headline, next=said)
    return headline


def _colours(labels: Sequence[str]) -> dict[str, str]:
    """A CSS colour by label, dark enough apart: bad and good stand at the ends of a task's labels."""
    ends = {0: "var(--accent)", len(labels) - 1: "var(--good)"}
    between = ("var(--second)", "var(--gold)", "var(--soft)")
    return {label: ends.get(i, between[(i - 1) % len(between)]) for i, label in enumerate(labels)}


def _row(sample: Sample) -> dict[str, str]:
    """One sample, its text in three parts around the term."""
    text, start, end = sample.text, sample.start, sample.end
    # Half of a surrogate pair, a reason to be shown here, cannot be written as UTF-8.
    left, term, right = (_writable(part) for part in (text[:start], text[start:end], text[end:]))
    return {
        "where": _writable(sample.where),
        "left": left if len(left) <= _CONTEXT_CHARS else "…" + left[-_CONTEXT_CHARS:],
        "term": term,
        "right": _cut(right),
        "note": _writable(sample.note),
        "claim": _writable(_cut(sample.claim)),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _CONTEXT_CHARS else text[:_CONTEXT_CHARS] + "…"


def _writable(text: str) -> str:
    shown = "".join(char if char.isprintable() or char in "\n\t " else f"⟨{ord(char):04X}⟩" for char in text)
    return shown.encode("utf-8", "backslashreplace").decode()


def _share(value: float, whole: float) -> str:
    """A part of a whole in percent; what is not nothing is not shown as nothing."""
    percent = 100 * value / whole if whole else 0.0
    return "<0.1" if 0 < percent < 0.05 else f"{percent:.1f}"


def _figure(value: float | None) -> str:
    """A coefficient, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")

"""audit.html: one self-contained page for the person who labels, or who asked for the labels.

Last step of the audit: the counts as audit.json has them, and a few rows for each reason.
Everything is text and CSS; nothing is fetched and nothing runs. The markup is ``audit.html.j2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attar.errors import require
from attar.records.audit.summary import Sample
from attar.records.understood import short_lines

__all__ = ["audit_template", "render_audit"]

_CONTEXT_CHARS = 90

# Of each reason: what it means, and what to do.
_REASONS: Mapping[str, tuple[str, str]] = {
    "bad_row": ("The row is not as its format has rows.", "Mend the row, or the program that wrote it."),
    "not_utf8": ("The line is not UTF-8, or not what the rest of the file is.", "Save the file as UTF-8."),
    "bad_mark": ("A mark in the text is not closed or is inside another.", "Write [term|label]."),
    "no_mark": ("The line has no mark.", "Mark its terms, or take it out."),
    "bad_text": ("Half of a surrogate pair: a character was cut in two.", "Export the row again, whole."),
    "empty_text": (
        "There is no text, or only its address.",
        "See whether data.columns.text names the right column.",
    ),
    "empty_term": ("There is no term.", "See whether data.columns.term names the right column."),
    "missing_label": ("There is no label.", "Label the row; rows still to be labelled are no harm."),
    "unknown_label": ("The label is none of the task's.", "Map the spelling in task.aliases, or correct it."),
    "bad_offsets": (
        "The offsets do not point at the term, and no single reading of them does.",
        "Count half-open offsets in Unicode code points, or leave them out where the term occurs once.",
    ),
    "term_not_found": ("The term does not occur in the text.", "Write it as the text does."),
    "term_ambiguous": ("The term occurs in the text more than once.", "Give start and end."),
    "control_characters": (
        "The text holds characters that no one can see or type.",
        "Take them out where the text is exported.",
    ),
    "too_long": ("The text is longer than data.max_chars.", "Cut it into reviews, or raise the limit."),
    "cancelled": ("The annotator cancelled or skipped it.", "Nothing, unless it should be labelled."),
    "duplicate": ("The same text, span and label came before.", "Nothing: the first is kept."),
    "contradiction": (
        "One span of one text has two labels that cannot be told apart by annotator.",
        "Decide for one; none is used until then.",
    ),
    "disagreement": (
        "Annotators give one span different labels.",
        'Decide for one, or set data.disagreement to "majority" or "weights".',
    ),
    "no_majority": ("As many annotators say one as the other.", "Ask one more annotator, or decide."),
    "also_held_out": ("The review is also in a held-out file.", "Nothing: it must not be trained on too."),
}
_REPAIRS: Mapping[str, str] = {
    "utf16": "Offsets in UTF-16 code units, as browsers and Java count.",
    "utf8": "Offsets in bytes of UTF-8.",
    "whitespace": "Offsets in the text with other whitespace, or blanks around the term.",
    "entities": "Offsets in the text without HTML entities, or a term that is written with others.",
    "invisible": "The same with characters that nobody sees, such as U+200B (zero width space).",
    "tags": "Offsets in the text without HTML tags, or a term that is written with others.",
    "offsets": "The term is only a part of what the offsets mark, which is taken.",
    "occurrence": "Offsets that fit nowhere, but the term occurs in the text once.",
    "normal_form": "The term occurs in the text once, after full-width forms and entities are normalised.",
}


def render_audit(
    audit: Mapping[str, Any], samples: Mapping[str, Sequence[Sample]], manifest: Mapping[str, Any]
) -> str:
    """Render the page.

    Args:
        audit: What audit.json holds.
        samples: Rows by reason, and by ``repair:`` and the reading.
        manifest: ``task`` (with its name), ``sources`` (each with its path), ``settings``, ``attar``
            (the version), ``labels`` by split, and perhaps ``understood``, how each file was read.

    Raises:
        MissingPackageError: The package jinja2 is not installed.
    """
    page = audit_template().render(
        audit=audit,
        manifest=manifest,
        headline=_headline(audit),
        colours=_colours(list(audit["labels"])),
        reasons=_REASONS,
        repairs=_REPAIRS,
        understood=short_lines(manifest.get("understood", ())),
        samples={name: [_row(sample) for sample in rows] for name, rows in samples.items()},
    )
    return str(page)


def audit_template() -> Any:  # noqa: ANN401 - of an optional package
    """The page's template; a run that ends with the page asks for it before it begins.

    Raises:
        MissingPackageError: The package jinja2 is not installed.
    """
    jinja2 = require("jinja2", "data")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attar.records.audit", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": "{:,}".format, "share": _share, "figure": _figure}
    return environment.get_template("audit.html.j2")


def _headline(audit: Mapping[str, Any]) -> str:
    read, used = audit["num_read"], audit["num_accepted"] + audit["num_confirmed"]
    if read and used == read:
        return f"All {read:,} rows can be used." if read > 1 else "The only row can be used."
    headline = f"{used:,} of {read:,} rows can be used."
    reasons = list(audit["reasons"].items())
    if reasons:
        name, count = reasons[0]
        headline += f" The commonest reason against the others is {name} ({count:,})."
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

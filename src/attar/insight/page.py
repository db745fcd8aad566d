"""insight.html: one page that fetches nothing, whose script draws what is in its data.

The markup, the style and the script are ``page.html``, ``page.css``, ``page.js`` and ``slide.js``. All that
comes from the user is data in a JSON element and is put on the page as text, never as markup; a content
security policy forbids everything else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from attar import __version__
from attar.insight.contrasts import Finding
from attar.insight.estimates import SMALL, View
from attar.insight.messages import message, messages_of
from attar.insight.results import Insight, outcome_names
from attar.insight.sentences import correction_note, foremost, sentence, small_note, warnings_of
from attar.language.translator import TAGS, Language

__all__ = ["render_page"]

_MOST_CELLS = 40_000
_MOST_FINDINGS = 2_000
_SCALE = 10_000  # of the shares in the data, which are whole numbers


def render_page(made: Insight, language: Language) -> str:
    """The page, self-contained."""
    html, css, slide, script = (
        files("attar.insight").joinpath(name).read_text("utf-8")
        for name in ("page.html", "page.css", "slide.js", "page.js")
    )
    script = f"{slide}\n{script}"
    data = json.dumps(_data(made, language), ensure_ascii=False, separators=(",", ":"))
    # Inside a script element only these can end it, or begin something else.
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    values = {
        "LANG": TAGS[language],
        "TITLE": escape(made.title or message(language, "title")),
        "CSS": css,
        "JS": script,
        "SCRIPT_HASH": _hash(script),
        "DATA": data.encode("utf-8", "replace").decode(),
    }
    pieces = html.split("{{")
    return pieces[0] + "".join(
        values[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:])
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(made: Insight, language: Language) -> dict[str, Any]:
    rows = made.rows
    budget, views = _MOST_CELLS, list[dict[str, Any]]()
    pool: dict[tuple[Any, ...], int] = {}
    for number, view in enumerate(made.views):
        kept = min(
            len(view.codes),
            budget // max(1, len(made.views) - number) if len(view.dimensions) > 1 else budget,
        )
        budget -= kept
        views.append(_view(view, kept) | {"examples": _examples(made.examples[number], pool, kept)})
    used: list[set[int]] = [set() for _ in rows.dimensions]
    for shown in views:
        for column, place in enumerate(shown["dims"]):
            used[place].update(row[column] for row in shown["rows"])
    findings = made.findings[:_MOST_FINDINGS]
    return {
        "msgs": messages_of(language),
        "title": made.title or message(language, "title"),
        "labels": list(rows.labels),
        "scores": None if made.scores is None else [float(each) for each in made.scores],
        "outcomes": outcome_names(made, message(language, "net")),
        "small": SMALL,
        "corrected": made.source is not None,
        "status": correction_note(made, language),
        "accuracy": made.source.accuracy if made.source else None,
        "warnings": warnings_of(made, language),
        "smallNote": small_note(language),
        "method": _method(made, language),
        "dims": [{"name": each.name, "period": each.period} for each in rows.dimensions],
        "values": [
            {code: rows.values[place][code] for code in sorted(codes)} for place, codes in enumerate(used)
        ],
        "views": views,
        "pool": [list(each) for each in pool],
        "numCompared": len(made.findings),
        "foremost": [_finding(made, language, each) for each in foremost(made)],
        "findings": [_finding(made, language, each) for each in findings],
    }


def _finding(made: Insight, language: Language, found: Finding) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "text": sentence(made, language, found),
        "star": found.is_marked,
        "v": [round(_SCALE * x) for x in (found.value, found.low, found.high)],
        "p": float(f"{found.adjusted:.3g}"),
    }


def _view(view: View, kept: int) -> dict[str, Any]:
    """First cells: codes, mentions, reviews, counts; of each outcome said, best, low, high, pooled."""
    parts = (view.said.value, *view.best, view.pooled)
    estimates = np.stack([part[:kept] for part in parts], axis=2)  # [kept, M, 5]
    columns = (view.codes, view.mentions[:, None], view.reviews[:, None], view.counts)
    figures = np.rint(_SCALE * estimates).astype(np.int64).reshape(kept, len(parts) * parts[0].shape[1])
    table = np.concatenate([*(each[:kept] for each in columns), figures], axis=1).tolist()
    omitted = [len(view.codes) - kept, int(view.mentions[kept:].sum())]
    return {"dims": list(view.dimensions), "rows": table, "omitted": omitted}


def _examples(
    found: Mapping[tuple[int, int], Any], pool: dict[tuple[Any, ...], int], kept: int
) -> dict[int, list[int]]:
    made: dict[int, list[int]] = {}
    for (cell, _), shown in found.items():
        if cell < kept:
            made.setdefault(cell, []).extend(pool.setdefault(tuple(each), len(pool)) for each in shown)
    return made


def _method(made: Insight, language: Language) -> list[str]:
    columns = made.columns
    identity = (
        "identity_column" if columns.review else "identity_text" if made.rows.has_text else "identity_none"
    )
    said = [
        message(language, "method_cluster", identity=message(language, identity, column=columns.review or ""))
    ]
    if made.source is not None:
        said.append(message(language, f"method_{made.source.kind}"))
    said.append(message(language, "method_pooled"))
    return [*said, message(language, "made_by", version=__version__)]

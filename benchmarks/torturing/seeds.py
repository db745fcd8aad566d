"""Valid inputs that the fuzzing starts from; made up, in each format that attar reads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from torturing.workbook_writing import plain_parts

__all__ = [
    "ALL_OF_THEM",
    "LABEL_STUDIO",
    "REQUEST",
    "ROWS",
    "SPAN_ROWS",
    "TEXTS",
    "excel_parts",
    "parquet_of",
]

TEXTS = ("香味很好，但是持妆太差了", "这款粉底液的香味太浓，不推荐", "口红的一点香味都没有，持妆很好😀")
ROWS: list[dict[str, Any]] = [
    {"text": TEXTS[0], "term": "香味", "label": "积极", "start": 0, "end": 2, "channel": "京东"},
    {"text": TEXTS[0], "term": "持妆", "label": "消极", "start": 7, "end": 9, "channel": "京东"},
    {"text": TEXTS[1], "term": "香味", "label": "消极", "start": 6, "end": 8, "channel": "淘宝"},
    {"text": TEXTS[2], "term": "持妆", "label": "积极", "start": 12, "end": 14, "channel": "淘宝"},
]
SPAN_ROWS: list[dict[str, Any]] = [
    {"id": 1, "text": TEXTS[0], "label": [[0, 2, "积极"], [7, 9, "消极"]]},
    {"id": 2, "text": TEXTS[1], "label": [[6, 8, "消极"]]},
]
LABEL_STUDIO = [
    {
        "id": number,
        "data": {"text": text},
        "annotations": [
            {
                "id": 10 + number,
                "completed_by": 1,
                "result": [
                    {
                        "id": "r1",
                        "from_name": "label",
                        "to_name": "text",
                        "type": "labels",
                        "value": {"start": text.find("香味"), "end": text.find("香味") + 2, "text": "香味",
                                  "labels": ["积极"]},
                    }
                ],
            }
        ],
    }
    for number, text in enumerate(TEXTS)
]  # fmt: skip
REQUEST = {
    "rows": [
        {"id": 1, "text": TEXTS[0], "term": "香味"},
        {"text": TEXTS[1], "terms": ["香味", "粉底液"]},
        {"text": TEXTS[2], "term": "持妆", "start": 12, "end": 14},
    ],
    "strict": False,
}
ALL_OF_THEM = tuple(
    path.read_text("utf-8")
    for path in sorted((Path(__file__).resolve().parents[2] / "recipes").rglob("*.toml"))
)
"""The recipes of the project."""


@cache
def excel_parts() -> Mapping[str, bytes]:
    """The parts of a good workbook."""
    return {name: str(content).encode() for name, content in plain_parts().items()}


def parquet_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as Parquet, each column of the type that its values have, else text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns.append(pa.array(values))
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
            columns.append(pa.array([ascii(value) for value in values]))
    stream = io.BytesIO()
    safe = [name.encode("utf-8", "replace").decode() for name in names]
    pq.write_table(pa.table(columns, names=safe), stream)
    return stream.getvalue()

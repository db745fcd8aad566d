"""Rows in = accepted + rejected: whatever a file of any format holds, each of its rows has an outcome."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import audit
from attar.records.readers.sources import read_source
from attar.records.record import Accepted, Confirmed, Rejection
from attar.task import BUILT_IN_TASKS

TASK = BUILT_IN_TASKS["cosmetics"]
TASKS = [
    {"id": 1, "data": {"text": "泵坏"}, "annotations": [{"result": [
        {"id": "a", "type": "labels", "value": {"start": 0, "end": 1, "text": "泵", "labels": ["消极"]}},
    ]}]},
    {"id": 2, "data": {"text": "香味"}, "annotations": []},
    {"id": 3, "data": {}, "annotations": [{"was_cancelled": True}]},
    {"data": {"text": "香味"}, "annotations": [{"result": 7}]},
    {"data": {"text": "香味"}, "annotations": [7]},
    [], None, 5, "x",
]  # fmt: skip
ROWS = [
    ["泵坏", "泵", "消极"], ["香味好", "香味", 0, 2, "积极", "", ""], ["泵坏", "泵", "?"], [], ["a"], {},
    None,
    ["香味好", "香味", 5, 9, "积极", "", ""], ["香味好", "香味", "x", 2, 1, "", ""], 7, "x", ["", "", ""],
]  # fmt: skip
OBJECTS = [
    {"text": "泵坏", "term": "泵", "label": "消极"}, {"text": "泵坏"}, {}, {"text": None}, {"text": ["x"]},
    {"text": "泵坏", "label": [[0, 1, "消极"]]}, {"text": "泵坏", "label": []},
    {"text": "泵坏", "label": {"a": 1}},
    {"text": "x", "term": "y", "start": "z", "end": 1, "label": 0},
]  # fmt: skip
LINES = {
    "jsonl": [json.dumps(one) for one in [*OBJECTS, *ROWS]] + ["{", "NaN", "x"],
    "mongodb": [json.dumps(one) for one in [*OBJECTS, *ROWS, {"content": "泵坏", "aspect": []}]] + ["{", "x"],
    "csv": ["泵坏,泵,消极", "泵坏,泵", "泵坏", ",,", "a,b,c,d", '"泵, 坏",泵,-1', '"泵\n坏",泵,9', "#N/A,,"],
    "tsv": ["泵坏\t泵\t消极", "泵坏", "\t\t", "a\tb\tc\td", '"泵坏"\t泵\t-1', "泵\r坏\t泵\t1"],
    "lines": ["泵坏", " ", "香味", "\u3000"],
    "markup": ["[泵|消极]坏", "泵坏", "[泵|消极]坏|", "[|积极]", "[a|b|c|d]", "[香味|好]"],
    "triplets": [
        "泵 坏####[([0], [1], 'NEG')]",
        "泵 坏####[]",
        "泵坏",
        "泵####[",
        "泵####[([7], [1], 'POS')]",
    ],
}
few = settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def outcomes(path, file_format):
    source = SourceRecipe(path=str(path), format=file_format)
    return list(audit(list(read_source(source, task=TASK)), TASK, DataRecipe()))


def check(found, places):
    """Each place has an outcome, and each outcome is one of three."""
    wheres = Counter(one.where if isinstance(one, Rejection) else one.record.where for one in found)
    assert set(wheres) == set(places)
    kinds = Counter(type(one) for one in found)
    assert len(found) == kinds[Accepted] + kinds[Confirmed] + kinds[Rejection]


@pytest.mark.parametrize("file_format", LINES)
@few
@given(data=st.data())
def test_each_line_has_an_outcome(tmp_path, file_format, data):
    drawn = data.draw(st.lists(st.sampled_from(LINES[file_format]), max_size=8))
    lines = [LINES[file_format][0], *drawn]  # which has the columns
    head = {"csv": "text,term,label\n", "tsv": "text\tterm\tlabel\n"}.get(file_format, "")
    path = tmp_path / "a.txt"
    path.write_text(head + "".join(f"{line}\n" for line in lines), "utf-8", newline="")
    number, places = 2 if head else 1, []
    for line in lines:
        places.append(f"{path}:{number}")
        number += line.count("\n") + 1
    if file_format == "mongodb":
        assert len(outcomes(path, file_format)) >= len(lines)
    else:
        check(outcomes(path, file_format), places)


def test_objects_without_any_column_are_rejected_too(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{}\nx\n{}\n", "utf-8")
    check(outcomes(path, None), [f"{path}:{number}" for number in (1, 2, 3)])


@few
@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=8), st.booleans())
def test_each_row_of_a_list_has_an_outcome(tmp_path, rows, on_one_line):
    path = tmp_path / "a.json"
    path.write_text("[" + (", " if on_one_line else ",\n").join(map(json.dumps, rows)) + "\n]", "utf-8")
    found = outcomes(path, "rows")
    assert len(found) == len(rows)
    line = on_one_line or len(rows) == 1
    check(found, [f"{path}[{n}]" if line else f"{path}:{n + 1}" for n in range(len(rows))])


@few
@given(st.lists(st.sampled_from(TASKS), min_size=1, max_size=8))
def test_each_task_has_an_outcome(tmp_path, tasks):
    path = tmp_path / "a.json"
    path.write_text("[" + ",\n".join(map(json.dumps, tasks)) + "\n]", "utf-8")
    places = [
        f"{path}#{task['id']}" if isinstance(task, dict) and "id" in task else f"{path}:{number}"
        for number, task in enumerate(tasks, 1)
    ]
    check(outcomes(path, "label_studio"), places)


@few
@given(
    st.lists(
        st.lists(st.sampled_from(["泵$T$", "$T$好", "泵", "消极", " "]), min_size=3, max_size=3), max_size=4
    )
)
def test_each_example_of_three_lines_has_an_outcome(tmp_path, groups):
    path = tmp_path / "a.txt"
    lines = [line for group in groups for line in ["$T$坏", *group[1:]]]
    path.write_text("".join(f"{line}\n" for line in lines) or "$T$\n", "utf-8")
    texts = [f"{path}:{number}" for number, line in enumerate(lines or ["$T$"], 1) if "$T$" in line]
    wheres = [
        one.where if isinstance(one, Rejection) else one.record.where for one in outcomes(path, "target")
    ]
    assert set(texts) <= set(wheres)

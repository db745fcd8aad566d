import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.records.audit import Rejection, audit
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS, Example, Task

TASK = BUILT_IN_TASKS["cosmetics"]
GOOD = Record("香味好，泵坏", "泵", 4, 5, "消极", {"channel": "京东"}, "a:1")


def outcome(task: Task = TASK, **changes: object) -> Example | Rejection:
    (result,) = audit([dataclasses.replace(GOOD, **changes)], task)
    return result


def test_a_good_record_becomes_an_example():
    assert outcome() == Example("香味好，泵坏", 4, 5, "消极", {"channel": "京东"})
    assert outcome(label=" negative ").label == "消极"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": " \n"}, "empty_text"),
        ({"text": "泵坏\ud83d", "start": 0, "end": 1}, "bad_text"),
        ({"meta": {"channel": "\udc00"}}, "bad_text"),
        ({"term": " "}, "empty_term"),
        ({"label": None}, "missing_label"),
        ({"label": " "}, "missing_label"),
        ({"label": "喜欢"}, "unknown_label"),
        ({"start": 3, "end": 4}, "bad_offsets"),
        ({"start": -2, "end": -1}, "bad_offsets"),
        ({"start": 4, "end": 99}, "bad_offsets"),
        ({"start": 4, "end": None}, "bad_offsets"),
        ({"term": "瓶", "start": None, "end": None}, "term_not_found"),
        ({"text": "泵泵", "start": None, "end": None}, "term_ambiguous"),
        ({"text": "哈哈哈", "term": "哈哈", "start": None, "end": None}, "term_ambiguous"),
    ],
)
def test_each_reason(changes, reason):
    rejection = outcome(**changes)
    record = dataclasses.replace(GOOD, **changes)
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.where, rejection.row) == (reason, "a:1", record.as_row())


def test_missing_offsets_are_found_if_there_is_one_place():
    assert outcome(start=None, end=None) == outcome()


@pytest.mark.parametrize(
    ("label", "hint"),
    [("postive", "'positive' (积极)?"), ("积", "'积极'?"), ("NEGATIVE", "(消极)?"), ("消極", "'消极'?")],
)
def test_an_unknown_label_names_the_nearest(label, hint):
    message = outcome(label=label).message
    assert message.startswith(f"label {label!r} is none of 消极, 中性, 积极")
    assert message.endswith(hint)


def test_messages_hold_no_review_text():
    swapped = outcome(label="这瓶水我用了三个月", term="瓶水")
    wrong = outcome(start=0, end=1)
    lost = outcome(term="瓶身", start=None, end=None)
    for rejection in (swapped, wrong, lost):
        assert not any(word in rejection.message for word in ("瓶", "泵", "香味"))


def test_a_task_without_terms_needs_none():
    task = dataclasses.replace(TASK, style="single")
    assert outcome(task, term="", start=None, end=None) == Example(
        "香味好，泵坏", 0, 0, "消极", {"channel": "京东"}
    )


def test_a_repeated_row_is_kept_once_and_names_the_first():
    first, second = audit([GOOD, dataclasses.replace(GOOD, label="neg", where="a:9")], TASK)
    assert isinstance(first, Example)
    assert isinstance(second, Rejection)
    assert (second.reason, second.where) == ("duplicate", "a:9")
    assert "a:1" in second.message


def test_all_rows_of_a_contradiction_are_rejected():
    other = dataclasses.replace(GOOD, term="香味", start=0, end=2)
    rows = [GOOD, other, GOOD, dataclasses.replace(GOOD, label="积极", start=None, end=None)]
    outcomes = list(audit(rows, TASK))
    assert [getattr(row, "reason", "") for row in outcomes] == [
        "contradiction",
        "",
        "contradiction",
        "contradiction",
    ]
    assert "消极 and 积极" in outcomes[0].message


def test_a_readers_rejection_is_passed_on_in_its_place():
    rejection = Rejection("bad_row", "no", "a:2", [1])
    assert list(audit([GOOD, rejection], TASK))[1] is rejection


RECORDS = st.builds(
    Record,
    st.text("泵坏香味 ", max_size=5),
    st.text("泵坏香", max_size=2),
    st.none() | st.integers(-1, 6),
    st.none() | st.integers(-1, 6),
    st.sampled_from(["积极", "neg", "x", None]),
)


@given(st.lists(RECORDS))
def test_every_record_has_one_outcome_and_every_example_points_at_its_term(records):
    outcomes = list(audit(records, TASK))
    assert len(outcomes) == len(records)
    spans = []
    for record, result in zip(records, outcomes, strict=True):
        if isinstance(result, Rejection):
            assert result.row == record.as_row()
        else:
            assert result.term == record.term
            assert result.label in TASK.labels
            spans.append((result.text, result.start, result.end))
    assert len(set(spans)) == len(spans)

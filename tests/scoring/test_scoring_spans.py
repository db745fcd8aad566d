import pytest

from attar.scoring.spans import ExampleReader
from attar.task import BUILT_IN_TASKS

TASK = BUILT_IN_TASKS["cosmetics"]


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("term", ["泵头\u200b", "\ufeff泵头", "泵\u00ad头", " 泵头\u200e"])
@pytest.mark.parametrize("offsets", [{}, {"start": 1, "end": 3}])
def test_what_nobody_sees_in_a_term_is_looked_past(repair, term, offsets):
    found = ExampleReader(TASK, repair=repair).examples({"text": "好泵头坏", "term": term, **offsets})
    assert [(example.start, example.end) for example in found] == [(1, 3)]


@pytest.mark.parametrize("repair", [True, False])
def test_offsets_are_those_of_the_text_as_written(repair):
    reader = ExampleReader(TASK, repair=repair)
    (example,) = reader.examples({"text": "\ufeff好泵\u200b头坏", "term": "泵头"})
    assert (example.start, example.end, example.term) == (2, 5, "泵\u200b头")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"text": "\u200b\ufeff ", "term": "泵头"}, "empty_text"),
        ({"text": "好泵头坏", "term": "\u200b"}, "empty_term"),
        ({"text": "s3://reviews/1.txt", "start": 0, "end": 2}, "empty_text"),
        ({"text": "好泵头坏", "term": "瓶\u200b"}, "term_not_found"),
        ({"text": "好泵头坏", "term": "泵头", "start": 0, "end": 2}, "bad_offsets"),
    ],
)
def test_what_cannot_be_scored_has_a_reason(cells, reason):
    assert ExampleReader(TASK, repair=False).examples(cells) == reason

import pytest

from attar.recipe.load import DataRecipe
from attar.records.audit.checks import Checks
from attar.records.record import Accepted, Record, Rejection
from attar.task import BUILT_IN_TASKS, Task

CHECKS = Checks(BUILT_IN_TASKS["cosmetics"], DataRecipe())


def check(text, term, start=None, end=None, **more):
    return CHECKS.accept(Record(text, term, start, end, "积极", where="a:1", **more))


@pytest.mark.parametrize(("start", "end"), [(None, None), (1, 3)])
def test_what_nobody_sees_is_looked_past_and_that_is_said(start, end):
    found = check("好泵头坏", "泵头\u200b", start, end)
    assert isinstance(found, Accepted)
    assert found.example.term == "泵头"
    assert found.repair_to_json()["how"] == "invisible"


@pytest.mark.parametrize(
    ("text", "term", "place", "reason", "message"),
    [
        ("好泵头坏", "瓶\ufeff", (), "term_not_found", "U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
        ("好泵\u00ad头坏", "瓶", (0, 1), "bad_offsets", "U+00AD (SOFT HYPHEN)"),
        ("好泵头坏", "\u200b", (), "empty_term", "no term"),
        ("\u200b \ufeff", "泵", (), "empty_text", "empty"),
    ],
)
def test_where_it_does_not_help_the_character_is_named(text, term, place, reason, message):
    found = check(text, term, *place)
    assert isinstance(found, Rejection)
    assert found.reason == reason
    assert message in found.message


def test_what_nobody_sees_in_a_label_is_looked_past():
    found = CHECKS.accept(Record("好泵头坏", "泵头", 1, 3, "\ufeff消极\u200b "))
    assert isinstance(found, Accepted)
    assert found.example.label == "消极"


def test_an_address_is_no_review_of_a_term_but_may_be_a_text_of_its_own():
    address = Record("https://example.org/1.txt", "", 8, 10, "积极")
    found = CHECKS.accept(address)
    assert isinstance(found, Rejection)
    assert "address" in found.message
    whole = Task("posts", ("积极", "消极"), style="single")
    assert isinstance(Checks(whole, DataRecipe()).accept(address), Accepted)


def test_a_mark_counts_for_more_than_a_table_does():
    marked = check("粉底液好", "底液", 0, 3, is_marked=True)
    assert isinstance(marked, Accepted)
    assert marked.example.term == "粉底液"
    assert marked.repair_to_json()["given"] == ["底液", 0, 3]
    listed = check("粉底液好", "底液", 0, 3)
    assert isinstance(listed, Rejection)
    assert "the offsets mark more than the term" in listed.message

import dataclasses
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.errors import DataError
from attar.recipe.load import DataRecipe
from attar.records.audit.agreement import Agreement
from attar.records.audit.audit import Accepted, Confirmed, Rejection, audit
from attar.records.record import Record
from attar.task import BUILT_IN_TASKS, Example, Task
from attar.text.repair import Repair

TASK = BUILT_IN_TASKS["cosmetics"]
GOOD = Record("香味好，泵坏", "泵", 4, 5, "消极", {"channel": "京东"}, "a:1")
STRICT = DataRecipe(repair=False)
DATA = DataRecipe()


def one(task: Task = TASK, data: DataRecipe = STRICT, **changes: object):
    (result,) = audit([dataclasses.replace(GOOD, **changes)], task, data)
    return result


def outcome(task: Task = TASK, **changes: object) -> Example | Rejection:
    result = one(task, **changes)
    return result.example if isinstance(result, Accepted) else result


def reasons(records, data=DATA):
    """What became of each: "" for an example."""
    outcomes = audit(records, TASK, data)
    return [getattr(o, "reason", "confirmed" if isinstance(o, Confirmed) else "") for o in outcomes]


def test_a_good_record_becomes_an_example():
    assert outcome() == Example("香味好，泵坏", 4, 5, "消极", {"channel": "京东"})
    assert outcome(label=" negative ").label == "消极"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": " \n"}, "empty_text"),
        ({"text": "泵坏\ud83d", "start": 0, "end": 1}, "bad_text"),
        ({"meta": {"channel": "\udc00"}}, "bad_text"),
        ({"term": "\udc00"}, "bad_text"),
        ({"text": "香味好\x00泵坏"}, "control_characters"),
        ({"text": "香味好\x85泵坏"}, "control_characters"),
        ({"term": "泵\x1f"}, "control_characters"),
        ({"text": "泵" * 5001}, "too_long"),
        ({"term": "泵" * 5001}, "too_long"),
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
    [("postive", "'positive' (积极)?"), ("积", "'积极'?"), ("NEGATVE", "(消极)?"), ("消極", "'消极'?")],
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
    first, second = audit([GOOD, dataclasses.replace(GOOD, label="neg", where="a:9")], TASK, DATA)
    assert isinstance(first, Accepted)
    assert isinstance(second, Rejection)
    assert (second.reason, second.where) == ("duplicate", "a:9")
    assert "a:1" in second.message


def test_all_rows_of_a_contradiction_are_rejected():
    other = dataclasses.replace(GOOD, term="香味", start=0, end=2)
    rows = [GOOD, other, GOOD, dataclasses.replace(GOOD, label="积极", start=None, end=None)]
    outcomes = list(audit(rows, TASK, DATA))
    assert [getattr(row, "reason", "") for row in outcomes] == [
        "contradiction",
        "",
        "contradiction",
        "contradiction",
    ]
    assert "消极 and 积极" in outcomes[0].message


def test_a_readers_rejection_is_passed_on_in_its_place():
    rejection = Rejection("bad_row", "no", "a:2", [1])
    assert list(audit([GOOD, rejection], TASK, DATA))[1] is rejection


def by(annotator, label, **changes):
    return dataclasses.replace(
        GOOD, label=label, annotator=annotator, where=f"{annotator}:{label}", **changes
    )


def test_annotators_who_agree_confirm():
    rows = [by("甲", "neg"), by("乙", "消极"), by("乙", "消极"), by("", "消极"), by("丙", "消极")]
    assert reasons(rows) == ["", "confirmed", "duplicate", "duplicate", "confirmed"]
    outcomes = list(audit(rows, TASK, DATA))
    assert outcomes[1] == Confirmed(rows[1], "甲:neg")
    assert outcomes[0].example.weight == 1


def test_nobody_in_particular_confirms_nothing():
    assert reasons([by("", "消极"), by("甲", "消极"), by("乙", "消极")]) == ["", "duplicate", "confirmed"]


@pytest.mark.parametrize(
    "rows",
    [
        [by("", "消极"), by("", "积极")],
        [by("甲", "消极"), by("甲", "积极")],
        [by("甲", "消极"), by("", "积极")],
        [by("甲", "消极"), by("甲", "积极"), by("乙", "消极")],
    ],
)
@pytest.mark.parametrize("policy", ["drop", "majority", "weights"])
def test_one_annotator_cannot_disagree(rows, policy):
    assert reasons(rows, DataRecipe(disagreement=policy)) == ["contradiction"] * len(rows)


VOTES = [by("甲", "积极"), by("乙", "消极"), by("丙", "消极"), by("丙", "消极")]


def test_drop_keeps_no_label():
    assert reasons(VOTES) == ["disagreement"] * 4
    rejection = next(iter(audit(VOTES, TASK, DATA)))
    assert "消极 and 积极" in rejection.message


def test_majority_keeps_the_label_of_most():
    data = DataRecipe(disagreement="majority")
    assert reasons(VOTES, data) == ["disagreement", "", "confirmed", "duplicate"]
    outvoted, kept, *_ = audit(VOTES, TASK, data)
    assert "most say 消极" in outvoted.message
    assert (kept.example.label, kept.example.weight) == ("消极", 1)
    tie = [*VOTES[:2], by("丁", "积极"), by("戊", "消极"), by("己", "中性")]
    assert reasons(tie, data) == ["no_majority"] * 5


def test_weights_keep_every_label_with_its_share():
    data = DataRecipe(disagreement="weights")
    assert reasons(VOTES, data) == ["", "", "confirmed", "duplicate"]
    kept = [o.example for o in audit(VOTES, TASK, data) if isinstance(o, Accepted)]
    assert [(e.label, e.weight) for e in kept] == [("积极", 0.333333), ("消极", 0.666667)]


def test_shares_of_a_disagreement_settled_before_are_read_back():
    rows = [by("", "积极", weight=0.333333), by("", "消极", weight=0.666667)]
    kept = [o.example for o in audit(rows, TASK, DataRecipe(disagreement="weights"))]
    assert [(e.label, e.weight) for e in kept] == [("积极", 0.333333), ("消极", 0.666667)]
    assert reasons(rows, DataRecipe(disagreement="majority")) == ["disagreement", ""]
    assert reasons(rows) == ["disagreement"] * 2


def test_agreement_is_told_before_the_first_outcome():
    agreement = Agreement()
    other = dataclasses.replace(GOOD, term="香味", start=0, end=2, annotator="甲")
    outcomes = audit([*VOTES, other], TASK, DATA, agreement)
    next(iter(outcomes))
    assert agreement.num_spans == 1
    assert agreement.percent == pytest.approx(1 / 3)


def test_a_pair_of_sentences():
    task = dataclasses.replace(TASK, style="sentence_pair")
    assert outcome(task, term="泵呢") == Example(
        "香味好，泵坏", 0, 0, "消极", {"channel": "京东"}, second="泵呢"
    )
    assert outcome(task, term=" ").reason == "empty_term"
    other = dataclasses.replace(GOOD, term="别的", label="积极")
    assert [type(o) for o in audit([GOOD, other], task, DATA)] == [Accepted, Accepted]


def test_split_and_weight_are_carried():
    accepted = one(split="test", weight=0.5)
    assert accepted.record.split == "test"
    assert accepted.example.weight == 0.5


def test_a_lost_character_is_no_reason_to_lose_a_label():
    assert outcome(text="香味好\ufffd泵坏").term == "泵"


def test_offsets_are_repaired_where_that_is_asked_for():
    accepted = one(data=DATA, start=12, end=15)
    assert accepted.repair == Repair(4, 5, "utf8")
    assert (accepted.example.start, accepted.example.term) == (4, "泵")
    assert accepted.repair_to_json() == {
        "where": "a:1", "how": "utf8", "given": ["泵", 12, 15], "found": ["泵", 4, 5], "text": GOOD.text,
    }  # fmt: skip
    assert one(data=DATA).repair is None
    assert one(data=DATA, start=None, end=None).repair is None
    twice = one(data=DATA, text="泵，泵", start=1, end=2)
    assert (twice.reason, "2 places" in twice.message) == ("bad_offsets", True)
    assert one(data=DATA, term="瓶", start=1, end=2).reason == "bad_offsets"
    assert one(data=DATA, term="瓶", start=None, end=None).reason == "term_not_found"
    assert one(data=DATA, text="５㎏，5kg，5ｋg", term="5kg ", start=None, end=None).repair.start == 3
    many = one(data=DATA, text="５㎏，5ｋg", term="5kg", start=None, end=None)
    assert many.reason == "term_ambiguous"


def test_a_one_shot_iterator_is_a_bug_of_ours():
    with pytest.raises(AssertionError, match="twice"):
        next(audit(iter([GOOD]), TASK, DATA))


class Changing:
    """Records that differ from one reading to the next."""

    def __init__(self):
        self.texts = iter(["香味好，泵坏", "改过了，泵坏"])

    def __iter__(self):
        yield dataclasses.replace(GOOD, text=next(self.texts))


def test_a_source_that_changes_is_noticed():
    with pytest.raises(DataError, match=r"a:1: the source changed"):
        list(audit(Changing(), TASK, DATA))


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
    outcomes = list(audit(records, TASK, STRICT))
    assert len(outcomes) == len(records)
    spans = []
    for record, result in zip(records, outcomes, strict=True):
        if isinstance(result, Rejection):
            assert result.row == record.as_row()
        else:
            example = result.example
            assert example.term == record.term
            assert example.label in TASK.labels
            spans.append((example.text, example.start, example.end))
    assert len(set(spans)) == len(spans)


MANY = st.builds(
    Record,
    st.sampled_from(["泵坏", "香坏"]),
    st.just("坏"),
    st.just(1),
    st.just(2),
    st.sampled_from(TASK.labels),
    annotator=st.sampled_from(["", "甲", "乙", "丙"]),
)


@given(st.lists(MANY, max_size=12), st.sampled_from(["drop", "majority", "weights"]))
def test_no_label_wins_by_being_first(records, policy):
    def kept(rows):
        outcomes = audit(rows, TASK, DataRecipe(disagreement=policy))
        return {
            (o.example.question, o.example.label, o.example.weight)
            for o in outcomes
            if isinstance(o, Accepted)
        }

    assert kept(records) == kept(records[::-1])


def byte_offsets(record):
    start = len(record.text[: record.start].encode())
    return {"start": start, "end": start + 3}


def damaged():
    """10,000 good records of which 1,000 are damaged in 12 ways, and what is to come of it."""
    rows, expected = [], []
    for i in range(10_000):
        text = f"😀第{i}瓶  香味好，泵坏，瓶身&amp;泵身还行"
        rows.append(Record(text, "泵", text.index("泵"), text.index("泵") + 1, "消极", {}, f"a:{i}"))
        expected.append("")
    ways = [
        ("utf16", lambda r: {"start": r.start + 1, "end": r.end + 1}),
        ("utf8", byte_offsets),
        ("whitespace", lambda r: {"start": r.start - 1, "end": r.end - 1}),
        ("entities", lambda r: {"start": r.text.rindex("泵") - 4, "end": r.text.rindex("泵") - 3}),
        ("occurrence", lambda _: {"term": "香味", "start": 0, "end": 2}),
        ("normal_form", lambda _: {"term": "瓶身&泵", "start": 0, "end": 4}),
        ("bad_offsets", lambda _: {"start": 0, "end": 1}),
        ("unknown_label", lambda _: {"label": "喜欢"}),
        ("control_characters", lambda r: {"text": r.text + "\x07"}),
        ("too_long", lambda r: {"text": r.text + "好" * 5000}),
        ("empty_term", lambda _: {"term": " "}),
        ("bad_text", lambda r: {"text": r.text + "\ud83d"}),
    ]
    for i in range(1000):
        name, damage = ways[i % len(ways)]
        rows[i] = dataclasses.replace(rows[i], **damage(rows[i]))
        expected[i] = name
    order = random.Random(20).sample(range(10_000), 10_000)  # noqa: S311
    return [rows[i] for i in order], [expected[i] for i in order]


def test_a_thousand_damaged_records_of_ten_thousand():
    rows, expected = damaged()
    found = [
        o.repair.how if isinstance(o, Accepted) and o.repair else getattr(o, "reason", "")
        for o in audit(rows, TASK, DATA)
    ]
    assert Counter(found) == {
        "": 9000,
        **dict.fromkeys(("utf16", "utf8", "whitespace", "entities"), 84),
        **dict.fromkeys(("occurrence", "normal_form", "bad_offsets", "unknown_label"), 83),
        **dict.fromkeys(("control_characters", "too_long", "empty_term", "bad_text"), 83),
    }
    assert found == expected

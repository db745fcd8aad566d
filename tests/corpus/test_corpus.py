"""The embedded reviews keep what their data card says of them."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.audit.audit import Rejection, audit
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.records.split.near_duplicates import grams
from attar.task import BUILT_IN_TASKS

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
WORDTYPES = {"品牌", "产品", "属性", "成分"}


@pytest.fixture(scope="module", params=["cosmetics", "components"])
def task(request):
    return request.param


FOLDERS = {"cosmetics": ("cosmetics", "cosmetics_hard", "shop_reviews"), "components": ("components",)}


def read(task: str) -> list[Record | Rejection]:
    return [
        record for folder in FOLDERS[task] for record in read_source(SourceRecipe(path=str(CORPUS / folder)))
    ]


def by_review(task: str) -> dict[str, list[Record]]:
    reviews = defaultdict(list)
    for record in read(task):
        reviews[record.text].append(record)
    return reviews


def test_every_row_is_accepted_and_points_at_its_term(task):
    records = read(task)
    outcomes = list(audit(records, BUILT_IN_TASKS[task], DataRecipe()))
    assert [(row.where, row.reason) for row in outcomes if isinstance(row, Rejection)] == []
    assert len(outcomes) == len(records)
    for record in records:
        assert record.text[record.start : record.end] == record.term
        assert record.term == record.term.strip() != ""


def test_every_row_has_a_channel_and_cosmetics_a_wordtype(task):
    for record in read(task):
        assert record.meta.get("channel"), record.where
        if task == "cosmetics":
            assert record.meta.get("wordtype") in WORDTYPES, record.where


def test_no_review_is_marked_up_twice(task):
    assert all(len({record.where for record in rows}) == 1 for rows in by_review(task).values())


def test_no_two_reviews_are_near_duplicates(task):
    reviews = [(rows[0].where, grams(text)) for text, rows in by_review(task).items()]
    places = defaultdict(list)
    for number, (where, mine) in enumerate(reviews):
        common = Counter(itertools.chain.from_iterable(places[gram] for gram in mine))
        for other, count in common.items():
            there, theirs = reviews[other]
            assert count <= 0.5 * (len(mine) + len(theirs) - count), (there, where)
        for gram in mine:
            places[gram].append(number)


def count_line(name: str, records: list[Record], labels: tuple[str, ...]) -> str:
    counts = Counter(record.label for record in records)
    reviews = len({record.text for record in records})
    cells = (name, reviews, len(records), *(counts[label] for label in labels))
    return f"| {' | '.join(map(str, cells))} |"


def test_the_data_card_counts_right(task):
    labels = BUILT_IN_TASKS[task].labels
    groups = defaultdict(list)
    for record in read(task):
        file = Path(record.where.rpartition(":")[0])
        groups[f"{file.parent.name}/{file.name}"].append(record)
        groups[record.meta["channel"]].append(record)
        groups[record.meta.get("wordtype", "all")].append(record)
        if task == "cosmetics":
            groups["all"].append(record)
    card = (CORPUS / "README.md").read_text("utf-8").splitlines()
    expected = [count_line(name, records, labels) for name, records in groups.items()]
    assert [line for line in expected if line not in card] == []


def test_cosmetics_is_large_mixed_and_hard():
    reviews = by_review("cosmetics")
    records = [record for rows in reviews.values() for record in rows]
    assert len(reviews) >= 1200
    assert len(records) >= 3600
    labels = Counter(record.label for record in records)
    assert set(labels) == {"消极", "中性", "积极"}
    assert all(0.2 <= count / len(records) <= 0.5 for count in labels.values())
    disagree = sum(len({record.label for record in rows}) > 1 for rows in reviews.values())
    repeat = sum(any(text.count(r.term) > 1 for r in rows) for text, rows in reviews.items())
    assert disagree >= 250
    assert repeat >= 100
    card = (CORPUS / "README.md").read_text("utf-8")
    assert f"{disagree} reviews hold terms that disagree and {repeat} hold a term that" in card


def test_components_are_half_and_half():
    labels = Counter(record.label for record in read("components"))
    assert labels.total() >= 800
    assert 0.45 <= labels["是"] / labels.total() <= 0.55

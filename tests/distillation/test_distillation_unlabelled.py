"""Reviews without labels: known terms found in them, nothing of the held-out side, not too many."""

import json
from collections import Counter
from pathlib import Path

import pytest

from attar.distillation.data.unlabelled import unlabelled_examples
from attar.distillation.settings import StudentSettings
from attar.errors import DataError, RecipeError
from attar.recipe.load import make_recipe
from attar.task import Example


def example(text, term, label="积极"):
    start = text.index(term)
    return Example(text, start, start + len(term), label)


TRAIN = [
    example("这支口红显色又滋润，天天都在用", "口红", "积极"),
    example("面膜敷完脸上很干", "面膜", "消极"),
]
DEV = [example("眼影飞粉严重，口红一抹就没有了", "眼影", "消极")]


def settings_of(tree):
    return StudentSettings.taught(make_recipe(tree))


def find(path, train=TRAIN, held_out=DEV, *, download_dir=Path("never-fetched"), **keys):
    tree = {"name": "r", "distill": {"unlabelled": {"sources": [path], **keys}}}
    return unlabelled_examples(settings_of(tree), train, held_out, download_dir)


def spans(found):
    return [(e.text, e.term) for e in found.examples]


@pytest.fixture
def lines(tmp_path):
    def write(*texts, name="reviews.txt"):
        path = tmp_path / name
        path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
        return str(path)

    return write


def test_plain_lines_give_every_known_term(lines):
    found = find(lines("口红和面膜都买了", "没有认识的词", "睫毛膏也行，配口红"), terms=["睫毛膏"])
    assert spans(found) == [
        ("口红和面膜都买了", "口红"),
        ("口红和面膜都买了", "面膜"),
        ("睫毛膏也行，配口红", "睫毛膏"),
        ("睫毛膏也行，配口红", "口红"),
    ]
    assert {e.label for e in found.examples} == {None}
    assert (found.counts["rows"], found.counts["terms"]) == (3, 3)
    assert found.counts["asked"] == found.counts["found"] == 4


def test_a_training_term_of_one_character_is_looked_for_only_if_it_is_named(lines):
    train = [*TRAIN, example("泵坏了", "泵", "消极")]
    path = lines("口红送了泵")
    assert spans(find(path, train)) == [("口红送了泵", "口红")]
    assert spans(find(path, train, terms=["泵"])) == [("口红送了泵", "口红"), ("口红送了泵", "泵")]


def test_other_forms_are_read_for_their_text_alone(tmp_path):
    table = tmp_path / "export.csv"
    table.write_text("id,review,label,term\n1,口红不错,没见过,不在\n1,口红不错,另一个,\n2,,,\n", "utf-8")
    found = find({"path": str(table), "columns": {"text": "review"}})
    assert spans(found) == [("口红不错", "口红")]
    assert found.counts["dropped_unusable_or_equal"] == 2
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "面膜不错", "id": 3}, ensure_ascii=False) + "\n", "utf-8")
    assert spans(find(str(rows))) == [("面膜不错", "面膜")]


def test_what_is_held_out_or_labelled_or_said_twice_is_left_out(lines):
    held_out = DEV[0].text
    found = find(
        lines(
            f"{held_out}！",  # dev, but for its punctuation
            "眼影飞粉严重，口红一抹就没有了吧",  # nearly dev
            TRAIN[0].text,  # nothing in it but what is labelled
            f"{TRAIN[1].text}，口红",  # nearly a training review: its other term is new
            "口红的颜色和图片里的一模一样，推荐购买",
            "口红的颜色和图片里的一模一样，推荐购买哦",
        )
    )
    assert spans(found) == [
        (f"{TRAIN[1].text}，口红", "口红"),
        ("口红的颜色和图片里的一模一样，推荐购买", "口红"),
    ]
    dropped = {key: count for key, count in found.counts.items() if key.startswith("dropped")}
    assert dropped == {
        "dropped_held_out": 2,
        "dropped_in_train": 2,
        "dropped_near_duplicate": 1,
        "dropped_over_per_term": 0,
    }


def test_frequent_terms_do_not_drown_the_rest(lines):
    numbers = [f"{a}{b}{c}" for a in "甲乙丙丁戊" for b in "子丑寅卯辰" for c in "东南西北"]
    path = lines(*(f"{n}口红" for n in numbers), *(f"面膜{n}" for n in numbers[:3]))
    found = find(path, per_term=7)
    assert Counter(e.term for e in found.examples) == {"口红": 7, "面膜": 3}
    assert spans(found) == spans(find(path, per_term=7))
    assert found.counts["dropped_over_per_term"] == 93
    assert len(find(path, per_term=1000).examples) == 103


def test_another_seed_draws_others(lines):
    path = lines(*(f"{a}{b}{c}口红" for a in "甲乙丙丁戊" for b in "子丑寅卯" for c in "东南西北"))
    tree = {"name": "r", "distill": {"unlabelled": {"sources": [path], "per_term": 5}}}
    drawn = {
        seed: tuple(
            e.text for e in unlabelled_examples(settings_of(tree | {"seed": seed}), TRAIN, DEV, Path("x"))[0]
        )
        for seed in (1, 2)
    }
    assert drawn[1] != drawn[2]


def test_single_sentences_need_no_terms(lines):
    tree = {
        "name": "r",
        "task": {"name": "mood", "labels": ["低", "高"], "style": "single"},
        "distill": {"unlabelled": [lines("今天真不错", "今天真不错", "都还行吧", "说好的不一样")]},
    }
    known = [Example("都还行吧", 0, 0, "高")]
    found = unlabelled_examples(settings_of(tree), known, [Example("说好的，不一样", 0, 0, "低")], Path("x"))
    assert [(e.text, e.start, e.end, e.label) for e in found.examples] == [("今天真不错", 0, 0, None)]


def test_what_cannot_be_is_said(lines, tmp_path):
    with pytest.raises(DataError, match=r"distill.unlabelled \(reviews.txt\): no term occurs in a review"):
        find(lines("什么也没有"))
    pair = {"name": "same", "labels": ["不", "是"], "style": "sentence_pair"}
    tree = {"name": "r", "task": pair, "distill": {"unlabelled": [lines("一句话")]}}
    with pytest.raises(RecipeError, match=r"name pairs in distill.transfer"):
        unlabelled_examples(settings_of(tree), [], [], tmp_path)
    with pytest.raises(DataError, match=r"gone.txt: no such file"):
        find(str(tmp_path / "gone.txt"))


def test_documents_of_a_server_need_only_a_text(tmp_path):
    pytest.importorskip("pymongo")
    from mongo_server import running_server, test_database

    with running_server(tmp_path / "server") as server, test_database(server) as (uri, database):
        database.reviews.insert_many(
            [{"content": "口红不错"}, {"content": list("面膜太贵"), "shop": "京东"}, {"content": None}]
        )
        source = {"path": uri("reviews"), "columns": {"text": "content"}}
        found = find(source, download_dir=tmp_path / "downloads")
        assert spans(found) == [("口红不错", "口红"), ("面膜太贵", "面膜")]
        assert found.counts["dropped_unusable_or_equal"] == 1
    # What was fetched is read again without the server.
    assert spans(find(source, download_dir=tmp_path / "downloads")) == spans(found)

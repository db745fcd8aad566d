"""Changed copies of examples: the term stays where the offsets say, and no label comes along."""

import functools
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.distillation.data.augmentation import augmented_examples, drop_clauses, noise, swap_term
from attar.distillation.data.transfer_set import transfer_set
from attar.distillation.settings import StudentSettings
from attar.errors import RecipeError
from attar.pipeline import prepare
from attar.recipe.load import AugmentRecipe, make_recipe
from attar.records.prepared_folder import load_split
from attar.records.split.near_duplicates import group_reviews
from attar.task import Example

TEXT = "包装好看，送得快！口红很滋润，但是贵。下次再买"


def example(text=TEXT, term="口红", wordtype="产品", label="积极"):
    start = text.index(term)
    return Example(text, start, start + len(term), label, {"wordtype": wordtype} if wordtype else {})


def random(seed=0):
    return np.random.default_rng(seed)


def results(change, count=60):
    return [change(random(seed)) for seed in range(count)]


def dropping(reach):
    return {copy.text for copy in results(lambda r: drop_clauses(example(), reach, r), 300)}


def without(*clauses):
    """TEXT without each non-empty choice of the clauses."""
    choices = itertools.chain.from_iterable(
        itertools.combinations(clauses, n) for n in range(1, len(clauses) + 1)
    )
    return {functools.reduce(lambda text, clause: text.replace(clause, ""), some, TEXT) for some in choices}


def test_clauses_are_dropped_whole_and_never_the_terms_own():
    assert dropping(50) == without("包装好看，", "送得快！", "但是贵。", "下次再买")


def test_only_clauses_within_reach_are_dropped():
    assert dropping(4) == without("送得快！")
    assert dropping(5) == without("包装好看，", "送得快！", "但是贵。")


def test_a_lone_clause_cannot_be_dropped():
    for text in ("口红很滋润", "真的口红很滋润！！", "口红，"):
        assert drop_clauses(example(text), 50, random()) is None


def test_a_term_is_swapped_within_its_wordtype():
    terms = {"产品": ["口红", "眼影", "粉底液"], "属性": ["味道"]}
    copies = results(lambda r: swap_term(example(), terms, r))
    assert {copy.term for copy in copies} == {"眼影", "粉底液"}
    assert {copy.text for copy in copies} == {TEXT.replace("口红", term) for term in ("眼影", "粉底液")}
    assert {copy.start for copy in copies} == {9}
    assert swap_term(example(wordtype=None), terms, random()) is None
    assert swap_term(example(wordtype="成分"), terms, random()) is None
    assert swap_term(example("味道好", "味道", "属性"), terms, random()) is None
    twice = example("口红就是口红")
    assert swap_term(twice, terms, random()).text in ("眼影就是口红", "粉底液就是口红")


def test_noise_replaces_leaves_out_and_exchanges_letters_alone():
    copies = results(lambda r: noise(example("好用，口红！红", "口红"), 50, 0.5, "甲", r), 200)
    texts = {copy.text for copy in copies if copy is not None}
    assert {"甲用，口红！红", "用，口红！红", "用好，口红！红", "好用，口红！甲", "好用，口红！"} <= texts
    assert "好用，口红！红" not in texts
    assert noise(example(), 50, 0.0, "甲", random()) is None
    assert noise(example("，口红。"), 50, 1.0, "甲", random()) is None


def test_noise_stays_within_reach():
    long = example("前" * 30 + "口红" + "后" * 30)
    copies = [noise(long, 4, 1.0, "甲", r) for r in map(random, range(20))]
    for copy in copies:
        assert copy.text.startswith("前" * 26)
        assert copy.text.endswith("后" * 26)
        assert copy.term == "口红"


texts = st.text("口红好a，。！ b1", max_size=25)


@given(texts, st.text("口红a，", min_size=1, max_size=3), texts, st.integers(1, 12), st.integers(0, 99))
def test_the_term_stands_where_the_copy_says(left, term, right, reach, seed):
    given_one = Example(
        f"{left}{term}{right}", len(left), len(left) + len(term), "积极", {"wordtype": "产品"}
    )
    terms = {"产品": ["别的", term]}
    for copy in (
        drop_clauses(given_one, reach, random(seed)),
        noise(given_one, reach, 0.5, "甲乙", random(seed)),
    ):
        if copy is not None:
            assert copy.term == term
            assert copy.text != given_one.text
            assert len(copy.text) <= len(given_one.text)
    swapped = swap_term(given_one, terms, random(seed))
    assert swapped is None or (swapped.term, swapped.text) == ("别的", f"{left}别的{right}")


def test_kinds_take_turns_and_leave_their_turn_to_the_next():
    train = [example(f"第{n}次买，口红{n}天就好，包装一般", "口红") for n in "一二三四五六"]
    train.append(example("香水不错", "香水"))
    made = augmented_examples(train, AugmentRecipe(copies=3, noise=0.4), 20, seed=1)
    assert {copy.label for copy in made} == {None}
    assert len({copy.question for copy in made} - {e.question for e in train}) == len(made)
    assert len(made) >= 16
    swapped = [copy for copy in made if copy.term == "香水" and "次买" in copy.text]
    assert len(swapped) == 6
    only = augmented_examples(train, AugmentRecipe(copies=1, kinds=("clauses",)), 20, seed=1)
    assert len(only) == 6  # the last has a single clause


def test_what_is_there_is_not_made_again():
    train = [example("口红好", "口红"), example("眼影好", "眼影"), example("面膜好", "面膜")]
    settings = AugmentRecipe(copies=8, kinds=("terms",))
    assert augmented_examples(train, settings, 20, seed=1) == []
    train[2] = example("面膜不行", "面膜")
    assert "面膜好" in {copy.text for copy in augmented_examples(train, settings, 20, seed=1)}


def test_the_seed_decides(make_examples):
    train = make_examples(30)
    settings = AugmentRecipe(copies=2)
    first, again, other = (
        [copy.question for copy in augmented_examples(train, settings, 20, seed)] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_sentences_without_terms_are_changed_too():
    train = [Example("今天不错，天气很好", 0, 0, "高", {"wordtype": "产品"})]
    made = augmented_examples(train, AugmentRecipe(copies=6, noise=0.3), 20, seed=3)
    assert "今天不错，" in {copy.text for copy in made}
    assert {(copy.start, copy.end) for copy in made} == {(0, 0)}
    assert len(made) > 2


def test_the_stage_adds_the_copies(tmp_path, make_rows):
    recipe = make_recipe({"name": "r", "distill": {"augment": {"copies": 2}}})
    data = prepare(recipe, [make_rows(tmp_path / "rows.jsonl", 40)], tmp_path / "data")
    found = transfer_set(StudentSettings.taught(recipe), data, ["never run"], tmp_path / "out")
    train = load_split(data, "train")
    assert len(train) < len(found.examples) <= 2 * len(train)
    assert Counter(copy.label for copy in found.examples) == {None: len(found.examples)}
    assert {copy.meta["copy_of"] for copy in found.examples} <= {e.text for e in train}
    assert found.teachers == ["never run"]


def test_no_copy_is_nearly_a_held_out_review(tmp_path, make_rows):
    held, long = "这支口红颜色真的特别好看显白又滋润", "包装盒上全是灰，客服半天不理人，快递送错了三次"
    one = {"text": f"{held}不，{long}", "term": "口红", "label": "消极"}
    other = {"text": held, "term": "口红", "label": "积极"}
    sources = [{"path": str(make_rows(tmp_path / "rows.jsonl", 40))}]
    for split, row in (("train", one), ("test", other)):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row, ensure_ascii=False), "utf-8")
        sources.append({"path": str(tmp_path / f"{split}.jsonl"), "split": split})

    def near_copies(near_duplicate):
        augment = {"copies": 6, "kinds": ["clauses"]}
        tree = {"name": "r", "data": {"sources": sources, "near_duplicate": near_duplicate}}
        recipe = make_recipe(tree | {"distill": {"augment": augment}})
        data = prepare(recipe, recipe.data.sources, tmp_path / f"data-{near_duplicate}")
        assert one["text"] in {e.text for e in load_split(data, "train")}
        texts = {
            copy.text
            for copy in transfer_set(StudentSettings.taught(recipe), data, [], tmp_path / "out").examples
        }
        return {text for text in texts if group_reviews([text, held], 0.6)[text] == held}

    assert near_copies(1.0)
    assert not near_copies(0.6)


def test_what_a_recipe_may_not_say():
    for keys, complaint in (
        ({"augment": {"copies": 1}, "soft_weight": 0}, "what has no label teaches nothing"),
        ({"augment": {"kinds": []}}, "at least 1 item"),
        ({"augment": {"kinds": ["clause"]}}, "clauses"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            make_recipe({"name": "r", "distill": keys})

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.recipe.load import DataRecipe
from attar.records.split.near_duplicates import group_reviews
from attar.records.split.short_splits import split_warnings
from attar.records.split.split import SPLITS, check_leaks, split
from attar.task import Example

LABELS = ("消极", "中性", "积极")


def reviews(count: int, seed: int = 1) -> list[Example]:
    """Examples of ``count`` different reviews with one to four terms, a fifteenth of them 中性."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        text = "".join(map(chr, rng.integers(0x4E00, 0x9000, 20)))
        for start in range(int(rng.integers(1, 5))):
            label = str(rng.choice(LABELS, p=(5 / 15, 1 / 15, 9 / 15)))
            channel = str(rng.choice(["京东", "微博"]))
            examples.append(Example(text, start, start + 1, label, {"channel": channel}))
    return examples


def test_sizes_and_label_shares_are_near_the_whole():
    examples = reviews(600)
    splits = split(examples, DataRecipe(dev=0.1, test=0.2), 20).sides
    whole = Counter(example.label for example in examples)
    assert sum(map(len, splits.values())) == len(examples)
    for name, share in (("train", 0.7), ("dev", 0.1), ("test", 0.2)):
        assert len(splits[name]) / len(examples) == pytest.approx(share, abs=0.01)
        counts = Counter(example.label for example in splits[name])
        for label in LABELS:
            assert counts[label] == pytest.approx(whole[label] * share, abs=3)


def test_long_and_short_reviews_are_in_every_split():
    examples = reviews(600)
    terms = Counter(example.text for example in examples)
    for part in split(examples, DataRecipe(), 20).sides.values():
        texts = {example.text for example in part}
        assert sum(terms[text] for text in texts) / len(texts) == pytest.approx(2.5, abs=0.5)


@settings(max_examples=20)
@given(st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seed_and_not_on_the_order(seed, rng):
    examples = reviews(40)
    before = split(examples, DataRecipe(), seed)
    rng.shuffle(examples)
    assert split(examples, DataRecipe(), seed) == before


def test_another_seed_is_another_split():
    examples = reviews(60)
    assert split(examples, DataRecipe(), 1).sides["test"] != split(examples, DataRecipe(), 2).sides["test"]


def test_reviews_that_say_the_same_stay_together():
    base = reviews(60)
    near = [
        Example(f"{e.text[:-1]}！ {e.text[-1]}好", e.start, e.end, e.label, e.meta)
        for e in base
        if e.start == 0
    ]
    groups = group_reviews([e.text for e in base + near], 0.5)
    assert len(set(groups.values())) == 60
    splits = split(base + near, DataRecipe(), 20).sides
    sides = {name: {groups[e.text] for e in part} for name, part in splits.items()}
    assert sum(map(len, sides.values())) == 60


def test_train_only_channels_are_never_held_out():
    splits = split(reviews(400), DataRecipe(train_only=("微博",)), 20).sides
    texts = {e.text for e in reviews(400) if e.meta["channel"] == "微博"}
    for name in ("dev", "test"):
        assert splits[name]
        assert not {e.text for e in splits[name]} & texts
    assert {e.meta["channel"] for e in splits["train"]} == {"京东", "微博"}


def test_a_train_only_review_keeps_its_near_duplicates_in_train():
    base = reviews(30)
    base = [Example(e.text, e.start, e.end, e.label, {"channel": "京东"}) for e in base]
    texts = sorted({e.text for e in base})[:10]
    copies = [Example(f"{text}!", 0, 1, "积极", {"channel": "微博"}) for text in texts]
    splits = split(base + copies, DataRecipe(train_only=("微博",)), 20).sides
    assert set(texts) <= {e.text for e in splits["train"]}
    assert not set(texts) & {e.text for name in ("dev", "test") for e in splits[name]}


def test_too_few_examples_name_the_empty_split():
    with pytest.raises(DataError, match="the dev split would be empty: 2 examples in 2 groups"):
        split([Example("泵坏了", 0, 1, "消极"), Example("香味很好闻", 0, 2, "积极")], DataRecipe(), 20)
    everything = DataRecipe(train_only=("京东", "微博"))
    with pytest.raises(DataError, match="split would be empty"):
        split(reviews(50), everything, 20)


@pytest.mark.parametrize(
    ("dev", "test", "name"), [(0.5, 0.5, "train"), (0.0, 0.2, "dev"), (0.2, 0.0, "test")]
)
def test_shares_that_leave_nothing_are_refused(dev, test, name):
    with pytest.raises(DataError, match=f"leave nothing for {name}"):
        split(reviews(50), DataRecipe(dev=dev, test=test), 20)


def test_a_held_out_file_stays_what_it_is():
    held_out, free = reviews(40, seed=5), reviews(200)
    result = split(free, DataRecipe(), 20, {"test": held_out})
    assert sorted(e.question for e in result.sides["test"]) == sorted(e.question for e in held_out)
    assert len(result.sides["dev"]) == pytest.approx(0.1 * len(free), abs=3)
    assert len(result.sides["train"]) + len(result.sides["dev"]) == len(free)
    assert result.left_out == []
    assert split(free[::-1], DataRecipe(), 20, {"test": held_out[::-1]}) == result


def test_what_says_the_same_as_a_held_out_review_is_left_out_of_training():
    held_out, free = reviews(30, seed=5), reviews(60)
    echo = Example(f"{held_out[0].text}！！", 0, 1, "消极")
    twice = Example(held_out[3].text, 0, 2, "消极")
    result = split(
        [*free, echo], DataRecipe(), 20, {"test": held_out, "dev": reviews(9, seed=6), "train": [twice]}
    )
    assert {e.text for e in result.left_out} == {echo.text, twice.text}
    assert sorted(e.question for e in result.sides["test"]) == sorted(e.question for e in held_out)


def test_a_training_file_pulls_its_near_duplicates_into_training():
    free, mine = reviews(60), reviews(20, seed=7)
    echoes = [Example(f"{e.text}。", 0, 1, "积极") for e in mine]
    sides = split(free + echoes, DataRecipe(), 20, {"train": mine}).sides
    assert {e.text for e in mine + echoes} <= {e.text for e in sides["train"]}
    assert sides["dev"] and sides["test"]


def test_shares_of_nothing_are_fine_where_files_are_held_out():
    fixed = {"dev": reviews(10, seed=8), "test": reviews(10, seed=9)}
    sides = split(reviews(30), DataRecipe(dev=0, test=0), 20, fixed).sides
    assert len(sides["train"]) == len(reviews(30))
    assert split([], DataRecipe(), 20, fixed | {"train": reviews(30)}).sides["dev"]


def test_a_leak_is_found():
    pump, scent = Example("泵坏了", 0, 1, "消极"), Example("香味很好闻", 0, 2, "积极")
    groups = {"泵坏了": "a", "泵，坏了": "a", "香味很好闻": "b"}
    check_leaks({"train": [pump, pump], "test": [scent]}, groups)
    with pytest.raises(DataError, match="in train and in test") as caught:
        check_leaks({"train": [pump], "test": [scent, Example("泵，坏了", 0, 1, "消极")]}, groups)
    assert "泵" not in str(caught.value)


def test_the_splits_are_named_in_order():
    assert tuple(split(reviews(50), DataRecipe(), 20).sides) == SPLITS == ("train", "dev", "test")


def test_a_split_that_one_group_leaves_short_is_named():
    text = "".join(map(chr, range(0x4E00, 0x4E20)))
    chain = [Example(f"{text}{chr(0x5000 + n)}", 0, 1, "积极") for n in range(380)]
    examples = chain + reviews(8)
    found = split(examples, DataRecipe(), 20)
    assert found.largest_group == 380
    sizes = {name: len(side) for name, side in found.sides.items()}
    dev, test = split_warnings(sizes, found.largest_group, DataRecipe())
    assert dev.startswith(f"dev has {sizes['dev']} of {len(examples)} examples, where data.dev = 0.1 asks")
    assert "380 are in one group" in dev
    assert "raise data.near_duplicate (0.5)" in dev
    assert test.startswith(f"test has {sizes['test']} of")


def test_no_split_is_short_where_reviews_differ_or_a_file_is_the_split():
    found = split(reviews(60), DataRecipe(), 20)
    sizes = {name: len(side) for name, side in found.sides.items()}
    assert split_warnings(sizes, found.largest_group, DataRecipe()) == []
    assert split_warnings({"train": 900, "test": 200}, 880, DataRecipe()) == []

"""The part of a text that an encoding holds, in the text's own offsets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.task import Example
from attar.text.encoding import InputSpec, TextEncoder

SPECS = {
    "clauses": InputSpec("marked_pair", 20),
    "characters": InputSpec("marked_pair", 20, window_chars=3),
    "unmarked": InputSpec("pair", 20),
    "normalised": InputSpec("marked_pair", 20, normalise=("entities", "nfkc")),
}


@pytest.fixture(scope="module")
def encoders(tiny_tokenizer):
    return {name: TextEncoder(tiny_tokenizer, spec) for name, spec in SPECS.items()}


@st.composite
def examples(draw, pieces):
    sides = [
        "".join(draw(st.lists(st.sampled_from(pieces), min_size=least, max_size=most)))
        for least, most in ((0, 40), (1, 3), (0, 40))
    ]
    start = len(sides[0])
    return Example("".join(sides), start, start + len(sides[1]))


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=40)  # of each
@given(st.data())
def test_the_window_alone_is_read_as_the_whole_text_is(encoders, name, data):
    encoder = encoders[name]
    example = data.draw(examples([*"口红粉底好差，。！？ \u3000", "＠", "&amp;"]))
    low, high = encoder.window(example)
    assert 0 <= low <= example.start
    assert example.end <= high <= len(example.text)
    cut = Example(example.text[low:high], example.start - low, example.end - low)
    whole, alone = encoder.encode([example, cut])
    assert alone.ids.tolist() == whole.ids.tolist()
    assert encoder.window(cut) == (0, len(cut.text))


@given(examples([*"口红。 ", "best", "０12", "e\u0301", "&lt;", "ﬁ"]))
def test_words_and_letters_that_change_their_length_stay_within_the_text(encoders, example):
    for encoder in encoders.values():
        low, high = encoder.window(example)
        assert 0 <= low <= example.start <= example.end <= high <= len(example.text)


def test_a_text_that_fits_is_kept_with_its_spaces(encoders):
    assert encoders["clauses"].window(Example("  好口红 ！ ", 3, 5)) == (0, 8)


def test_the_clauses_farthest_from_the_term_go(encoders):
    text = "好好好好，差差差，口红，好好好好好好。"
    low, high = encoders["clauses"].window(Example(text, 9, 11))
    assert text[low:high] == "差差差，口红，"

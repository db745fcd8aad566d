"""The clause around a term, of which the linear model reads n-grams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.task import Example
from attar.text.ngrams import ngram_window, ngrams
from attar.text.window import CLAUSE_MARKS


@given(st.text(st.sampled_from("香味好" + CLAUSE_MARKS), min_size=1, max_size=40), st.data())
def test_the_clause_is_what_is_between_two_marks(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    left = max((at + 1 for at in range(start) if text[at] in CLAUSE_MARKS), default=0)
    right = next((at for at in range(end, len(text)) if text[at] in CLAUSE_MARKS), len(text))
    assert ngram_window(Example(text, start, end), None) == (left, right)


@pytest.mark.parametrize(
    ("start", "window"), [(5_000, (4_500, 5_502)), (3, (0, 505)), (9_998, (9_498, 10_000))]
)
def test_a_clause_without_an_end_is_read_in_part(start, window):
    example = Example("香" * 10_000, start, start + 2)
    assert ngram_window(example, None) == window
    assert len(ngrams(example, "marked_pair", None)) < 10_000

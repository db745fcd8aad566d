"""Every wrong value given to the Python API is an AttarError that names its pair, and quotes no review."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attar
from attar.errors import AttarError, DataError, RecipeError
from attar.scoring.arguments import examples_of_columns
from attar.task import BUILT_IN_TASKS, Example

TEXT, TERM = "眉笔很顺手，眉笔不晕", "眉笔"
NAN = float("nan")
WRONG = [
    None,
    NAN,
    np.float64("nan"),
    b"\xe7\x9c\x89",
    bytearray(b"x"),
    618,
    6.5,
    True,
    ["眉笔"],
    ("眉",),
    {},
]
WRONG += [{"a": 1}, {"眉笔"}, object(), np.array(["眉笔"]), np.int64(3), "\ud83d"]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
def test_a_wrong_text_or_term_names_its_pair(predictor, wrong):
    texts, terms = [TEXT] * 3, [TERM] * 3
    for calls in (
        lambda: predictor.predict([TEXT, wrong, TEXT], terms),
        lambda: predictor.predict(texts, [TERM, wrong, TERM]),
        lambda: list(predictor.predict_stream([(TEXT, TERM), (wrong, TERM)])),
        lambda: list(predictor.predict_stream([(TEXT, TERM), (TEXT, wrong), (TEXT, TERM)], chunk=1)),
        lambda: list(predictor.predict_stream([(TEXT, TERM), wrong])),
        lambda: list(predictor.predict_stream([(TEXT, TERM), (TEXT, TERM, wrong, 2)])),
    ):
        with pytest.raises(DataError, match="pair 1") as caught:
            calls()
        assert "顺手" not in str(caught.value)
        assert "眉" not in str(caught.value)
    for example in (wrong, Example(wrong, 0, 1), Example(TEXT, wrong, 2), Example(TEXT, 0, 2, second=wrong)):
        with pytest.raises(DataError, match="example 1"):
            predictor.predict_probs([Example(TEXT, 0, 2), example])


@pytest.mark.parametrize(
    "span", [NAN, 3, "02", b"02", (0,), (0, 1, 2), (0, NAN), (None, 2), (0.5, 2), {0: 2}]
)
def test_a_wrong_span_names_its_pair(predictor, span):
    with pytest.raises(DataError, match="pair 1: "):
        predictor.predict([TEXT] * 2, [TERM] * 2, [None, span])


@pytest.mark.parametrize("ends", [(-1, 2), (3, 2), (0, 99)])
def test_offsets_outside_an_example(predictor, ends):
    with pytest.raises(DataError, match="example 0: start and end"):
        predictor.predict_logits([Example(TEXT, *ends)])


def test_numpys_own_strings_and_integers_are_read(predictor):
    wanted = predictor.predict([TEXT, TEXT], [TERM, TERM], [(6, 8), None])
    spans = [(np.int64(6), np.int32(8)), None]
    assert predictor.predict(np.array([TEXT] * 2), np.array([TERM] * 2), spans) == wanted
    assert predictor.predict((TEXT for _ in range(2)), iter([TERM] * 2), [np.array([6, 8]), None]) == wanted
    found = list(predictor.predict_stream([(np.str_(TEXT), TERM, np.uint8(6), 8.0), [TEXT, TERM]]))
    assert found == wanted
    assert type(found[0].start) is int
    probs = predictor.predict_probs([Example(np.str_(TEXT), np.int64(6), 8.0), Example(TEXT, 0, 2)])
    assert [list(one.probs.values()) for one in wanted] == probs.tolist()


@pytest.mark.parametrize(
    ("texts", "terms", "said"),
    [
        (TEXT, [TERM], "texts is a str; expected a list"),
        ([TEXT], TERM, "terms is a str"),
        (None, [TERM], "texts is None"),
        (NAN, [TERM], "texts is NaN"),
        (7, [TERM], "texts is an int"),
        ({TEXT: 1}, [TERM], "texts is a dict"),
        ([TEXT], {TERM}, "terms is a set"),
        (np.array([[TEXT]]), [TERM], "texts is a ndarray with 2 dimensions"),
        (np.array(TEXT), [TERM], "with 0 dimensions"),
        ([TEXT] * 3, [TERM] * 2, "pair 2 is incomplete: .*there are 3 texts, 2 terms"),
        ([TEXT], [TERM] * 2, "pair 1 is incomplete: .*there are 1 texts, 2 terms"),
    ],
)
def test_columns_that_are_no_lists_or_of_unequal_lengths(predictor, texts, terms, said):
    with pytest.raises(DataError, match=said):
        predictor.predict(texts, terms)


@pytest.mark.parametrize("chunk", [0, -1, None, 2.5, "4", NAN])
def test_a_chunk_that_is_no_number_of_pairs(predictor, chunk):
    with pytest.raises(DataError, match=r"chunk = .*expected a whole number"):
        predictor.predict_stream([(TEXT, TERM)], chunk=chunk)


@pytest.mark.parametrize("pairs", [None, 3, NAN])
def test_pairs_that_are_no_iterable(predictor, pairs):
    with pytest.raises(DataError, match=r"pairs is .*expected an iterable"):
        predictor.predict_stream(pairs)


@pytest.mark.parametrize("path", [None, 3, b"artifact", ["artifact"]])
def test_a_path_that_is_none(path):
    with pytest.raises(AttarError, match=r"attar\.load: path is"):
        attar.load(path)


@pytest.mark.parametrize("workers", ["2", 1.5, NAN, 0, [1]])
def test_workers_that_are_no_number(artifact_folder, workers):
    with pytest.raises(RecipeError, match="workers = "):
        attar.load(artifact_folder, workers=workers)


ANYTHING = st.one_of(
    st.none(), st.floats(), st.integers(), st.text(max_size=3), st.binary(max_size=2), st.booleans(),
    st.lists(st.integers(0, 3), max_size=3), st.just(TEXT), st.just(TERM), st.just(np.int64(2)),
    st.tuples(st.integers(-1, 9), st.integers(-1, 9)), st.characters(categories=["Cs"]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ANYTHING, max_size=3), ANYTHING | st.lists(ANYTHING, max_size=3), st.lists(ANYTHING, max_size=3)
)
def test_nothing_else_is_ever_raised(predictor, texts, terms, spans):
    for call in (
        lambda: predictor.predict(texts, terms, spans),
        lambda: list(predictor.predict_stream([tuple(spans), *texts])),
    ):
        try:
            call()
        except AttarError as error:
            assert "顺手" not in str(error)


@pytest.mark.parametrize("term", ["泵头\u200b", "\ufeff泵头", " 泵头 ", "泵\u00ad头"])
@pytest.mark.parametrize("span", [None, (1, 3)])
def test_a_term_with_what_nobody_sees_is_found(term, span):
    (example,) = examples_of_columns(BUILT_IN_TASKS["cosmetics"], ["好泵头坏"], [term], [span])
    assert (example.start, example.end) == (1, 3)


def test_what_nobody_sees_is_named_where_a_term_is_not_found():
    with pytest.raises(DataError, match=r"pair 0: its term .* U\+200B \(ZERO WIDTH SPACE\)"):
        examples_of_columns(BUILT_IN_TASKS["cosmetics"], ["好泵头坏"], ["瓶\u200b"], None)
    with pytest.raises(DataError, match=r"pair 0: its term"):
        examples_of_columns(BUILT_IN_TASKS["cosmetics"], ["好泵头坏"], ["\u200b"], None)

"""Known terms in a text: all of them, none twice, none within a word."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.distillation.data.term_finder import TermFinder, read_terms
from attar.errors import DataError, MissingPackageError


def found(text, *terms, steps=()):
    return [(text[p.start : p.end], p.start, p.term) for p in TermFinder(terms, steps).find(text)]


def test_the_longest_term_wins_wherever_it_starts():
    text = "粉底液和粉底，精华水乳"
    assert found(text, "粉底", "粉底液", "水乳", "精华水") == [
        ("粉底液", 0, "粉底液"),
        ("粉底", 4, "粉底"),
        ("精华水", 7, "精华水"),
    ]
    assert found("水光针管", "水光", "光针管") == [("光针管", 1, "光针管")]


def test_a_word_is_found_whole():
    assert found("SPF50够，SPFx不是，没有spf", "SPF", "SPF50") == [("SPF50", 0, "SPF50")]
    assert found("用A醇，VA醇不算，10色，0色", "A醇", "0色") == [("A醇", 1, "A醇"), ("0色", 14, "0色")]
    assert found("redred red", "red") == [("red", 7, "red")]
    assert found("лаклак, лак", "лак") == [("лак", 8, "лак")]
    # What a longer match may not have is free for a shorter one.
    assert found("粉SPF5", "粉S", "粉") == [("粉", 0, "粉")]


def test_terms_and_texts_are_normalised_alike_and_offsets_stay():
    text = "這款&amp;ＳＰＦ防曬"
    assert found(text, "防晒", "SPF", "&", steps=("entities", "nfkc", "t2s")) == [
        ("&amp;", 2, "&"),
        ("ＳＰＦ", 7, "SPF"),
        ("防曬", 10, "防晒"),
    ]
    assert found("ﬁne", "f", "fi", steps=("nfkc",)) == []
    assert found("ﬁ好", "i", "fi", steps=("nfkc",)) == [("ﬁ", 0, "fi")]


@given(
    st.lists(st.text("口红a1&；", min_size=1, max_size=4), min_size=1, max_size=6).filter(
        lambda terms: any(term.strip() for term in terms)
    ),
    st.text("口红a1&； ＡΩ", max_size=40),
    st.sampled_from([(), ("nfkc",), ("entities", "nfkc")]),
)
def test_places_are_terms_in_order_without_overlap(terms, text, steps):
    finder = TermFinder(terms, steps)
    end = 0
    for place in finder.find(text):
        assert end <= place.start < place.end <= len(text)
        assert finder.spelling(text[place.start : place.end]) == place.term
        assert place.term in finder.terms
        end = place.end
    whole = finder.terms[0]
    assert [place.term for place in finder.find(f"。{whole}。")] == [whole]


def test_terms_from_a_list_and_from_a_file(tmp_path):
    path = tmp_path / "terms.txt"
    path.write_text("口红\n\n 眼影 \n", "utf-8")
    assert read_terms(str(path)) == ["口红", "眼影"] == read_terms(("口红", "眼影"))
    path.write_text("\n", "utf-8")
    with pytest.raises(DataError, match=r"terms.txt: holds no terms"):
        read_terms(str(path))
    with pytest.raises(DataError, match="no term to find"):
        TermFinder(["", " "])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    with pytest.raises(MissingPackageError, match=r"ahocorasick_rs; pip install 'attar\[train\]'"):
        TermFinder(["口红"])

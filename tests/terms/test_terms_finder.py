"""Known terms in a text: all of them, none twice, none within a word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.terms.finder import TermFinder, term_spelling
from attar.text.normalise import normalise

ALWAYS = ("entities", "nfkc")


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
    assert found("SPF50够，SPFx不是，没有spf", "spf", "spf50") == [("SPF50", 0, "spf50"), ("spf", 16, "spf")]
    assert found("用A醇，VA醇不算，10色，0色", "a醇", "0色") == [("A醇", 1, "a醇"), ("0色", 14, "0色")]
    assert found("redred red", "red") == [("red", 7, "red")]
    assert found("лаклак, лак", "лак") == [("лак", 8, "лак")]
    # What a longer match may not have is free for a shorter one.
    assert found("粉SPF5", "粉s", "粉") == [("粉", 0, "粉")]


def test_terms_and_texts_are_compared_alike_and_offsets_stay():
    text = "這款&amp;ＳＰＦ防曬"
    assert found(text, "防晒", "SPF", "&", steps=("t2s",)) == [
        ("&amp;", 2, "&"),
        ("ＳＰＦ", 7, "spf"),
        ("防曬", 10, "防晒"),
    ]
    assert found("ﬁne", "f", "fi") == []
    assert found("ﬁ好", "i", "fi") == [("ﬁ", 0, "fi")]
    assert found("La　 Mer面霜，LA MER", "La Mer") == [("La　 Mer", 0, "la mer"), ("LA MER", 10, "la mer")]
    assert found("İstanbul，İ", "İ") == [("İ", 9, "İ")]


def test_forms_have_the_name_of_their_term():
    finder = TermFinder({"持妆": "持妆", "不脱妆": "持妆", "ＳＰＦ值": "防晒"})
    assert finder.terms == ["持妆", "防晒"]
    assert [match.term for match in finder.find("不脱妆，持妆好，spf值高")] == ["持妆", "持妆", "防晒"]


def naive(text, forms):
    """The same by comparing every span of the text as it is compared, the longest first."""
    normal = normalise(text, ALWAYS).text
    # Without blanks and entities every character of the normal form is one of the text.
    normal = "".join(low if len(low := char.lower()) == 1 else char for char in normal)
    wanted = {term_spelling(form) for form in forms} - {""}
    spans = [
        (i, j) for i in range(len(normal)) for j in range(i + 1, len(normal) + 1) if normal[i:j] in wanted
    ]
    taken, kept = set(), []

    def letter(at):
        return 0 <= at < len(normal) and normal[at].isalnum() and normal[at] < "\u2e80"

    for start, end in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        cuts = (letter(start - 1) and letter(start)) or (letter(end - 1) and letter(end))
        if not cuts and not taken & {*range(start, end)}:
            taken |= {*range(start, end)}
            kept.append((start, end, normal[start:end]))
    return sorted(kept)


ONE_TO_ONE = "口红唇a1B１Ｂｂ，、；：-"


@settings(max_examples=300)
@given(
    st.lists(st.text(ONE_TO_ONE, min_size=1, max_size=4), min_size=1, max_size=8),
    st.text(ONE_TO_ONE, max_size=30),
)
def test_what_a_naive_search_finds_is_found(forms, text):
    assert [tuple(match) for match in TermFinder(forms).find(text)] == naive(text, forms)


@given(
    st.lists(st.text("口红aA香", min_size=1, max_size=4), min_size=1, max_size=6),
    st.text("口红aA香， ＡΩﬁé\u0301", max_size=60),
    st.integers(2, 9),
)
def test_a_long_text_is_searched_in_pieces_with_the_same_result(forms, text, long):
    finder = TermFinder(forms)
    whole = finder.find(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("attar.terms.finder._LONG", long)
        assert list(finder.each(text)) == finder.find(text) == whole


@given(
    st.lists(st.text("口红aA1&；\u3000 ", min_size=1, max_size=4), min_size=1, max_size=6).filter(
        lambda terms: any(term_spelling(term) for term in terms)
    ),
    st.text("口红aA1&；amp ＡΩﬁé\u0301\n\u3000 ", max_size=40),
    st.sampled_from([(), ("nfkc",), ("t2s",)]),
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


@given(st.text(max_size=40))
def test_texts_that_need_no_map_are_read_as_those_that_do(text):
    quick = TermFinder(["口红", "a"])
    plain = quick._view.plain(text)
    if plain is not None:
        slow = normalise(text, ALWAYS).text.lower()
        assert len(plain) == len(text)
        kept = {char for char in slow if char.isalnum() or char in "口红a"}
        assert [c for c in plain if c in kept] == [c for c in slow if c in kept]


def test_no_term():
    with pytest.raises(DataError, match="no term to find"):
        TermFinder(["", " "])

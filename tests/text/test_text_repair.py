import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.text.readings import _UNITS
from attar.text.repair import Repair, fitting_place, occurrences, repair


def units(text, encoding, size):
    return len(text.encode(encoding)) // size


@pytest.mark.parametrize(
    ("text", "term", "start", "end", "expected"),
    [
        ("😀泵坏，泵", "泵", 2, 3, (1, 2, "utf16")),
        ("👍🏻泵坏，泵", "泵", 4, 5, (2, 3, "utf16")),
        ("香味好泵坏，泵", "泵", 9, 12, (3, 4, "utf8")),
        ("好  的  泵坏，泵", "泵", 4, 5, (6, 7, "whitespace")),
        ("好\r\n的\r\n泵坏，泵", "泵", 4, 5, (6, 7, "whitespace")),
        ("好\n的\n泵坏，泵", "泵", 6, 7, (4, 5, "whitespace")),
        ("  泵坏，泵", "泵", 0, 1, (2, 3, "whitespace")),
        ("泵坏，泵", " 泵 ", 0, 1, (0, 1, "whitespace")),
        ("好 泵 坏，泵", "泵", 1, 4, (2, 3, "whitespace")),
        ("A&amp;B泵坏，泵", "泵", 3, 4, (7, 8, "entities")),
        ("泵和A&amp;B和A&amp;B", "A&B", 2, 9, (2, 9, "entities")),
        ("A&amp;B的😀泵坏，泵", "泵", 6, 7, (9, 10, "utf16")),
        ("香味好，泵坏", "泵", 0, 1, (4, 5, "occurrence")),
        ("香味好，泵坏", "泵", 4, 99, (4, 5, "occurrence")),
        ("香味好，泵坏", "泵", -3, -2, (4, 5, "occurrence")),
        ("香味好，泵坏", "泵", 99, 1, (4, 5, "occurrence")),
        ("香味好，泵坏", "泵", 4, None, (4, 5, "occurrence")),
        ("香味好，泵坏", " 泵", None, None, (4, 5, "whitespace")),
        ("ＳＫ－ＩＩ好", "SK-II", 0, 1, (0, 5, "normal_form")),
        ("用了５㎏的", "5kg", None, None, (2, 4, "normal_form")),
        ("用了 A &amp; B 的", "Ａ  &  B", None, None, (3, 12, "normal_form")),
        ("泵坏，泵", "泵\u200b", 0, 1, (0, 1, "invisible")),
        ("\ufeff泵坏，泵", "泵", 0, 1, (1, 2, "invisible")),
        ("好\u200b的\u00ad泵\u2060坏，泵", "泵", 2, 3, (4, 5, "invisible")),
        ("泵\u200d头坏，泵", "泵头", None, None, (0, 3, "invisible")),
        ("泵头坏，泵", "\ufeff泵\u200e头\u202c", None, None, (0, 2, "invisible")),
        ("用了❤\ufe0f", "❤", 2, 4, (2, 4, "invisible")),
        ("用了❤好", "❤\ufe0f", None, None, (2, 3, "invisible")),
        ("用ＳＫ\u200bＩＩ好", "SKII", None, None, (1, 6, "normal_form")),
        ("<div>好泵坏，泵</div>", "泵", 4, 5, (9, 10, "tags")),
        ("<p>泵坏<br/>好，<b>泵</b></p>", "泵", 5, 6, (15, 16, "tags")),
        ("<p>泵坏<br/>好，<b>泵</b></p>", "泵", 4, 5, (15, 16, "tags")),
        ("A&amp;B<i>泵</i>和泵", "泵", 5, 6, (16, 17, "tags")),
        ("好<b>泵</b>头坏", "泵头", None, None, (4, 10, "tags")),
        ("好泵\n头坏，泵头", "泵\\n头", 1, 4, (1, 4, "whitespace")),
        # Offsets that mark more, or less, than the term.
        ("新的iPhone很好，Phon", "Phon", 2, 8, (2, 8, "offsets")),
        ("😀用iPhone，Phon", "Phon", 3, 9, (2, 8, "offsets")),
        ("“泵”坏，泵", "泵", 0, 3, (1, 2, "occurrence")),
        ("用着好，泵坏了。泵", "泵", 0, 7, (4, 5, "occurrence")),
        ("粉底液好，粉底液坏", "粉底液", 5, 7, (5, 8, "occurrence")),
        ("粉底液好，粉底液坏", "粉底液", 6, 7, (5, 8, "occurrence")),
    ],
)
def test_each_reading(text, term, start, end, expected):
    assert repair(text, term, start, end) == Repair(*expected)


@pytest.mark.parametrize(
    ("text", "term", "start", "end", "why"),
    [
        ("泵好，泵坏", "泵", 1, 2, "2 places"),
        ("哈哈哈", "哈哈", None, 1, "2 places"),
        ("泵坏", "瓶", 0, 1, "does not occur"),
        ("5㎏", "k", 0, 1, "does not occur"),
        ("&ampx", "amp;", None, None, "does not occur"),
        # In UTF-16 the second, with the whitespace collapsed the first.
        ("😀  好泵好泵", "泵", 5, 6, "2 places"),
        ("粉底液好", "底液", 0, 3, "mark more"),
        ("泵，泵坏", "泵", 0, 4, "mark more"),
        ("泵坏", "\u200b", None, None, "does not occur"),
    ],
)
def test_nothing_is_guessed(text, term, start, end, why):
    reason = repair(text, term, start, end)
    assert isinstance(reason, str)
    assert why in reason
    assert term not in reason


@pytest.mark.parametrize(
    ("text", "term", "start", "end", "expected"),
    [
        ("粉底液好", "底液", 0, 3, (0, 3, "offsets")),
        ("My new iPhone is", "Phon", 3, 13, (3, 13, "offsets")),
        ("My new iPhone is", "Phon", 7, 14, (7, 13, "offsets")),
        ("泵，泵坏", "泵", 0, 4, (0, 4, "offsets")),
        ("粉底液好", "粉底液", 1, 2, (0, 3, "occurrence")),
    ],
)
def test_of_what_a_person_marked_the_offsets_count(text, term, start, end, expected):
    assert repair(text, term, start, end, is_marked=True) == Repair(*expected)


@pytest.mark.parametrize(
    ("text", "term", "places"),
    [
        ("泵坏，泵头", "泵\u200b", [(0, 1), (3, 4)]),
        ("泵\u200b头，泵头", "泵头", [(4, 6)]),
        ("泵\u200b头，泵头", "\ufeff泵头", [(0, 3), (4, 6)]),
        ("泵\u200b头，泵\ufeff头", "泵头", [(0, 3), (4, 7)]),
        ("泵坏", "\u200b", []),
    ],
)
def test_every_place_of_a_term_is_found_past_what_nobody_sees(text, term, places):
    assert occurrences(text, term) == places


@pytest.mark.parametrize(
    ("term", "start", "end", "place"),
    [("泵头", 1, 3, (1, 3)), ("泵头\u200b ", 1, 3, (1, 3)), ("泵头", 0, 2, None), ("泵头", 2, 99, None)],
)
def test_offsets_fit_but_for_what_nobody_sees(term, start, end, place):
    assert fitting_place("好泵头坏", term, start, end) == place


def plain(text):
    shown = re.sub("[\u200b-\u200f\u2060\ufeff\u00ad\ufe0f]|<[^<>]*>", "", text)
    return "".join(unicodedata.normalize("NFKC", html.unescape(shown)).split())


PIECES = st.sampled_from(
    [
        *("泵", "泵头", "香 味", "😀", "👍🏻", "&amp;", "&lt;", "&#128512;"),
        *(" ", "  ", "\n", "\r\n", "\u3000", "，", "A", "é", "ﬁ"),
    ]
)
SIDES = st.lists(PIECES, max_size=5).map("".join)
TERMS = st.sampled_from(["泵", "泵头", "香 味", "A&amp;B", "😀", "ﬁ", "头😀"])


def collapsed(text):
    return re.sub(r"\s+", " ", text)


# What a program that counts otherwise makes of the text before a place.
DAMAGES = {
    "utf16": lambda before: units(before, "utf-16-le", 2),
    "utf8": lambda before: units(before, "utf-8", 1),
    "collapsed": lambda before: len(collapsed(before)),
    "stripped": lambda before: len(before.lstrip()),
    "crlf": lambda before: len(before.replace("\r\n", "\n")),
    "entities": lambda before: len(html.unescape(before)),
}


@given(SIDES, TERMS, SIDES, st.sampled_from(sorted(DAMAGES)))
def test_damaged_offsets_lead_back_or_nowhere(left, term, right, damage):
    text = left + term + right
    start, end = DAMAGES[damage](left), DAMAGES[damage](left + term)
    found = repair(text, term, start, end)
    if isinstance(found, Repair) and found.how != "offsets":
        assert plain(text[found.start : found.end]) == plain(term)
    if text[start:end] == term:
        return  # the damage points at another one by chance
    if text.count(term) == 1 and isinstance(found, Repair) and term in text[found.start : found.end]:
        assert (found.start, found.end) == (len(left), len(left) + len(term))


@given(st.text("泵头好", max_size=6), st.text("泵头好，", max_size=6), st.sampled_from(["utf16", "utf8"]))
def test_where_one_reading_fits_it_is_taken(left, right, unit):
    left = "😀" + left
    text = left + "泵头" + right
    start, end = DAMAGES[unit](left), DAMAGES[unit](left + "泵头")
    found = repair(text, "泵头", start, end)
    if text[start:end] != "泵头":
        assert found == Repair(len(left), len(left) + 2, unit)


@given(st.text(max_size=12), st.text(min_size=1, max_size=3), st.integers(-2, 20), st.integers(-2, 20))
def test_what_is_found_is_always_the_term(text, term, start, end):
    found = repair(text, term, start, end) if term.strip() else "blank"
    if isinstance(found, Repair):
        assert 0 <= found.start < found.end <= len(text)
        piece = plain(text[found.start : found.end])
        assert piece == plain(term) or (found.how == "offsets" and plain(term) in piece)


@given(st.text(alphabet="a é香😀\U0010ffff", max_size=8), st.integers(-2, 40))
def test_offsets_in_units_are_those_of_the_characters_before_them(text, offset):
    for unit, place_of in _UNITS:
        widths = {None: lambda _: 1, "utf16": lambda char: len(char.encode("utf-16-le")) // 2}
        width = widths.get(unit, lambda char: len(char.encode()))
        places = [sum(map(width, text[:number])) for number in range(len(text) + 1)]
        assert place_of(text, offset) == (places.index(offset) if offset in places else None)

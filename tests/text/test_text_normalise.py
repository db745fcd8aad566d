import html
import re
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.text.normalise import Normalised, normalise, substitute

# What the steps act on, beside anything at all.
PIECES = [
    *("&amp;", "&lt;", "&#39;", "&#x1F600;", "&#1;", "&#0;", "&notit;", "&amp", "&semi;", "&#x30", "&#59;"),
    *("&fjlig;", "&", ";", "&#", "&&", "ﬁ", "㎏", "，", "Ａ", "é", "e\u0301", "e\u0323\u0301", "ｶﾞ", "각"),
    *("\u1100\u1161\u11a8", "ㅏ", "\u0301", "\u3099", "❤️", "😀", "\ud83d", "\udc00", "\u09c7\u09be"),
    *("泵头", " ", "a", "①", "\ufdfa", "\u3000"),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=2), max_size=8).map("".join)
STEPS = st.sampled_from([("entities",), ("nfkc",), ("entities", "nfkc"), ("nfkc", "entities"), ()])


def spans(text):
    ends = st.integers(0, len(text))
    return st.tuples(ends, ends).map(sorted)


@given(TEXTS)
def test_each_step_says_what_the_standard_library_says(text):
    assert normalise(text, ["nfkc"]).text == unicodedata.normalize("NFKC", text)
    assert normalise(text, ["entities"]).text == html.unescape(text)
    both = unicodedata.normalize("NFKC", html.unescape(text))
    assert normalise(text, ["entities", "nfkc"]).text == both


@given(st.data(), TEXTS, STEPS)
def test_a_span_and_its_way_back(data, text, steps):
    normal = normalise(text, steps)
    start, end = data.draw(spans(normal.text))
    low, high = normal.to_original(start, end)
    assert 0 <= low <= high <= len(text)
    if len(steps) == 1:
        assert normal.text[start:end] in normalise(text[low:high], steps).text
    again = normal.to_normal(low, high)
    assert again[0] <= start
    assert end <= again[1]


@given(st.data(), TEXTS, STEPS)
def test_there_and_back_holds_the_span(data, text, steps):
    normal = normalise(text, steps)
    start, end = data.draw(spans(text))
    new_start, new_end = normal.to_normal(start, end)
    assert 0 <= new_start <= new_end <= len(normal.text)
    low, high = normal.to_original(new_start, new_end)
    assert low <= start
    assert end <= high
    if not normal.origin:
        assert (new_start, new_end) == (low, high) == (start, end)


@given(st.data(), TEXTS, STEPS)
def test_a_wider_span_stays_wider(data, text, steps):
    normal = normalise(text, steps)
    start, end = data.draw(spans(normal.text))
    inner = sorted((data.draw(st.integers(start, end)), data.draw(st.integers(start, end))))
    outer_low, outer_high = normal.to_original(start, end)
    low, high = normal.to_original(*inner)
    assert outer_low <= low <= high <= outer_high


@given(TEXTS, STEPS)
def test_the_whole_goes_to_the_whole(text, steps):
    normal = normalise(text, steps)
    assert normal.to_original(0, len(normal.text)) == (0, len(text))
    assert normal.to_normal(0, len(text)) == (0, len(normal.text))


@pytest.mark.parametrize(
    ("text", "steps", "term", "written"),
    [
        ("A&amp;B，泵坏", ["entities", "nfkc"], "泵", "泵"),
        ("A&amp;B，泵坏", ["entities"], "&", "&amp;"),
        ("&#128512;泵", ["entities"], "泵", "泵"),
        ("用了５㎏的", ["nfkc"], "kg", "㎏"),
        ("用了５㎏的", ["nfkc"], "k", "㎏"),
        ("ｶﾞ泵", ["nfkc"], "ガ", "ｶﾞ"),
        ("cafe\u0301泵", ["nfkc"], "é", "e\u0301"),
        ("ＳＫ－ＩＩ好", ["nfkc"], "SK-II", "ＳＫ－ＩＩ"),
        ("a&#1;b", ["entities"], "b", "&#1;b"),
    ],
)
def test_a_term_is_found_where_it_was_written(text, steps, term, written):
    normal = normalise(text, steps)
    start = normal.text.index(term)
    low, high = normal.to_original(start, start + len(term))
    assert text[low:high] == written


def test_characters_for_characters_need_no_map():
    assert normalise("香味好，泵坏！", ["entities", "nfkc"]) == Normalised("香味好,泵坏!")


def test_no_character_joins_the_one_before_it_unnoticed():
    """Every second half of a canonical composition, of the Unicode version at hand."""
    seconds = set()
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            seconds.add(chr(int(parts[1], 16)))
    seconds |= {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    for second in seconds:
        normal = normalise(f"Ａ{second}x", ["nfkc"])
        low, high = normal.to_original(*normal.to_normal(0, 1))
        # Only a pair that is mapped one for one may be taken apart.
        assert (low, high) == (0, 2) or (not normal.origin and len(normal.text) == 3)


def test_substitute():
    normal = substitute("a \t b\r\n", re.compile(r"\s+"), " ")
    assert normal.text == "a b "
    assert normal.to_original(1, 2) == (1, 4)
    assert normal.to_normal(2, 3) == (1, 2)
    assert substitute("a$b", re.compile(r"\$"), r"\1").text == r"a\1b"


def test_traditional_becomes_simplified():
    pytest.importorskip("opencc")
    normal = normalise("泵頭壞了，味道還行", ["t2s"])
    assert normal == Normalised("泵头坏了，味道还行")
    assert normalise("泵頭\ud83d壞", ["t2s"]).text == "泵头\ud83d坏"
    assert normalise("&lt;泵頭", ["entities", "t2s"]).to_original(1, 3) == (4, 6)
    assert normalise("a\0頭", ["t2s"]).text == "a\0头"


@given(st.text("乾坤頭髮裏後面著麼颱風\U00020000a ", max_size=12))
def test_simplified_text_keeps_its_places(text):
    pytest.importorskip("opencc")
    normal = normalise(text, ["t2s"])
    assert normal.to_original(0, len(normal.text)) == (0, len(text))
    assert len(normal.text) == len(text) or normal.origin


class Longer:
    """A converter that knows a phrase of another length."""

    def convert(self, text):
        return text.replace("泵頭", "泵").replace("頭", "头")


def test_a_phrase_of_another_length_is_not_taken(monkeypatch):
    monkeypatch.setattr("attar.text.normalise._opencc", Longer)
    assert normalise("泵頭x", ["t2s"]) == Normalised("泵头x")


def test_a_missing_package_is_named():
    code = (
        "import sys; sys.modules['opencc'] = None\n"
        "from attar.errors import MissingPackageError\nfrom attar.text.normalise import normalise\n"
        "try:\n    normalise('頭', ['t2s'])\n"
        "except MissingPackageError as error:\n    sys.stdout.write(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'attar[t2s]'" in done.stdout

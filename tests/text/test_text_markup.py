import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.text.markup import global_offset, has_tags, html_text

PAGE = '<div class="a>b"><p>好用，<b>泵</b>坏&amp;贵<br>真的</p>\r\n<p>第二<!-- <i> -->段<p>三</div>'


def test_the_text_is_that_of_the_nodes_and_a_break_is_one():
    assert html_text(PAGE).text == "好用，泵坏&贵\n真的\n第二段三"
    assert html_text(PAGE, "").text == "好用，泵坏&贵真的\n第二段三"
    start, end = html_text(PAGE).to_original(5, 6)
    assert PAGE[start:end] == "&amp;"


@pytest.mark.parametrize(
    ("path", "offset", "char"),
    [
        ("/div[1]/p[1]/text()[1]", 2, "，"),
        ("/div[1]/p[1]/b[1]/text()[1]", 0, "泵"),
        ("/div/p/b/text()", 0, "泵"),
        ("/div[1]/p[1]/text()[2]", 1, "&"),
        ("/div[1]/p[1]/text()[3]", 0, "真"),
        ("/div[1]/p[2]/text()[1]", 1, "二"),
        ("/div[1]/p[2]/text()[2]", 0, "段"),
        ("/div[1]/p[3]/text()[1]", 0, "三"),
        ("/body[1]/div[1]/p[1]/text()[1]", 0, "好"),
    ],
)
def test_a_path_leads_to_its_text_node(path, offset, char):
    at = global_offset(PAGE, path, offset)
    assert html_text(PAGE).text[at] == char


@pytest.mark.parametrize(
    ("path", "offset"),
    [("/div[1]/p[9]/text()[1]", 0), ("/div[1]/p[1]/text()[1]", 99), ("", 0), ("12", 0), ("/div[1]", 0)],
)
def test_a_path_that_leads_nowhere_is_none(path, offset):
    assert global_offset(PAGE, path, offset) is None


def test_what_a_page_does_not_show_is_no_text():
    page = "<style>p > b {}</style><p>好<SCRIPT>if (a < b) {}</SCRIPT>泵</p>"
    assert html_text(page).text == "好泵"
    assert global_offset(page, "/p[1]/text()[2]", 0) == 1


def test_a_text_without_tags_is_one_node():
    assert global_offset("好用，泵坏", "/text()[1]", 3) == 3
    assert global_offset("好用，泵坏", "/div[1]/text()[1]", 3) == 3


@pytest.mark.parametrize("text", ["泵坏", "1 < 2 > 0", "<3", "a<b", "</"])
def test_a_smaller_sign_is_no_tag(text):
    assert not has_tags(text)
    assert html_text(text).text == text


PIECES = st.sampled_from(
    ["泵", "<p>", "</p>", "<b>", "</b>", "<br>", "<br/>", "<!-- -->", "&amp;", "&lt;", "<", ">", "\r\n", "😀"]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.integers(0, 9))
def test_every_text_node_is_where_its_path_leads(text, offset):
    shown = html_text(text).text
    for path in ("/text()[1]", "/p[1]/text()[1]", "/p[1]/b[1]/text()[2]"):
        at = global_offset(text, path, offset)
        assert at is None or 0 <= at <= len(shown)
    whole = html_text(text).to_original(0, len(shown))
    assert 0 <= whole[0] <= whole[1] <= len(text)

import pytest

from attar.text.invisible import invisible_note, is_blank, without_invisible

UNSEEN = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufe00\ufe0f\ufeff\U000e0100"
)


@pytest.mark.parametrize("char", UNSEEN)
def test_each_is_taken_out_and_the_way_back_is_known(char):
    view = without_invisible(f"好{char}泵{char}{char}头")
    assert view.text == "好泵头"
    assert view.to_original(2, 3)[1] == 6
    assert is_blank(f" {char}\n")
    assert f"U+{ord(char):04X} (" in invisible_note("泵", f"泵{char}")


@pytest.mark.parametrize("text", ["", "a b", "é", "👍🏻", "か\u3099", "\ud83d"])
def test_what_is_seen_stays(text):
    assert without_invisible(text).text == text
    assert invisible_note(text, text) == ""


def test_the_note_says_where_and_not_what_the_review_says():
    assert invisible_note("好的\u200b泵", "泵") == (
        "; U+200B (ZERO WIDTH SPACE), which nobody sees, is at offset 2 of the text"
    )

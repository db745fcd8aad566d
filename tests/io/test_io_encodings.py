"""Encodings: told from short texts, said by a mark or by the user, and what is refused or damaged."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.errors import DataError
from attar.io.encodings import ENCODINGS, UTF8, encoding_name, find_encoding
from attar.io.json_list import list_items
from attar.io.lines import count_lines, numbered_lines, read_text
from attar.io.tables.table_files import open_tables
from attar.recipe.data import TextEncoding

SIMPLIFIED = [
    "遮瑕很好，持妆一般", "包装破了，客服不理人", "味道不错，价格也便宜",
    "用了三天脸上过敏", "还会再买的", "物流太慢",
    "这支口红颜色显白", "质量和图片不一样", "送给妈妈，她很喜欢",
    "保湿效果没有想象的好",
]  # fmt: skip
TRADITIONAL = [
    "這支口紅顏色很顯白", "包裝破了，客服不理人", "味道不錯，價格也便宜",
    "用了三天臉上過敏", "還會再買的", "送給媽媽，她很喜歡",
    "品質和圖片不一樣", "保濕效果沒有想像的好", "質地輕薄，適合夏天",
    "出貨太慢",
]  # fmt: skip
KOREAN = [
    "정말 좋아요", "배송이 늦었습니다", "가격이 비싸고 양이 적어요",
    "색이 예뻐서 또 샀어요", "피부에 안 맞아요", "향이 너무 강합니다",
    "포장이 찢어져 왔어요", "엄마가 좋아하세요", "보습은 보통입니다",
    "다시는 안 사요",
]  # fmt: skip
JAPANESE = [
    "香りがとても良い", "配送が遅かったです", "値段が高いのに量が少ない",
    "色がきれいでまた買います", "肌に合わない", "においが強すぎる",
    "箱がつぶれていた", "母が喜んでいます", "保湿力は普通です",
    "もう買いません",
]  # fmt: skip
WESTERN = [
    "Très bonne crème, légère et agréable", "Déçue: flacon cassé à l'arrivée",
    "Schöne Farbe, aber zu süßlich",
    "Für trockene Haut überraschend gut", "El olor es señorial, pero engaña a cualquiera: ¡qué daño!",
]  # fmt: skip
TEXTS = {
    "gb18030": (SIMPLIFIED, "gb18030"),
    "gb18030, traditional": (TRADITIONAL, "gbk"),
    "big5": (TRADITIONAL, "big5"),
    "euc_kr": (KOREAN, "euc_kr"),
    "shift_jis": (JAPANESE, "shift_jis"),
    "euc_jp": (JAPANESE, "euc_jp"),
    "cp1252": (WESTERN, "cp1252"),
}
GB18030 = ("gb18030", "gb18030, traditional")


def written(folder, raw, name="a.csv"):
    path = folder / name
    path.write_bytes(raw)
    return path


def table(rows, label="good"):
    return "text,label\r\n" + "".join(f'"{row}",{label}\r\n' for row in rows)


# --- told from the text ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 10])
@pytest.mark.parametrize("name", TEXTS)
def test_a_short_table_is_read_as_gb18030_or_refused_by_its_name(name, count, tmp_path):
    texts, codec = TEXTS[name]
    for first in range(0, len(texts), count):
        rows = texts[first : first + count]
        path = written(tmp_path, table(rows).encode(codec))
        if name in GB18030:
            [found] = open_tables(path)
            assert (found.encoding, [row.values["text"] for row in found.rows()]) == ("gb18030", rows)
        else:
            # Of fewer letters than three it is said at the line what they may be.
            is_sure = name != "cp1252" or count > 1
            way_out = f'.*encoding = "{name}".*--in-encoding {name}' if is_sure else ""
            with pytest.raises(DataError, match=rf"a\.csv.*{name}{way_out}"):
                read_text(path)


@pytest.mark.parametrize("label", ["积极", "好", "差评"])
def test_labels_in_chinese_are_enough(label, tmp_path):
    path = written(tmp_path, table(["lipstick", "serum"], label).encode("gb18030"))
    assert find_encoding(path).name == "gb18030"


@pytest.mark.parametrize(
    ("text", "codec", "doubt"),
    [
        ("泵", "gb18030", "gb18030, .*euc_kr"),  # in EUC-KR a syllable too
        ("죠", "euc_kr", "gb18030, .*euc_kr"),
        ("café", "cp1252", "cp1252"),
        ("，。", "gb18030", ""),  # signs stand at the same place in several
    ],
)
def test_what_is_too_little_to_tell_is_an_error_at_its_line(text, codec, doubt, tmp_path):
    path = written(tmp_path, table(["ok", text]).encode(codec))
    assert find_encoding(path).codec == "utf-8"
    said = (
        rf"a\.csv:3: byte \d of the line is not UTF-8; .*{doubt}"
        if doubt
        else r"a\.csv:3: byte 2 of the line"
    )
    with pytest.raises(DataError, match=said):
        list(next(iter(open_tables(path))).rows())


def test_names_that_are_seldom_written_are_enough_if_they_are_many(tmp_path):
    # A third of these characters are common ones.
    names = [
        "哈弗捷豹",
        "路虎帕萨特",
        "迈腾奔驰",
        "奥迪宝骏",
        "荣威传祺",
        "逍客劲炫",
        "雷克萨斯",
        "斯柯达凌渡",
    ]
    path = written(tmp_path, table(names * 3).encode("gb18030"))
    assert find_encoding(path).name == "gb18030"


def test_what_comes_after_much_ascii_is_found(tmp_path):
    rows = [f"plain text number {number}" for number in range(9000)]
    path = written(tmp_path, table([*rows, *SIMPLIFIED]).encode("gb18030"))
    assert path.stat().st_size > 200_000
    assert find_encoding(path).name == "gb18030"
    assert read_text(path).endswith(f'"{SIMPLIFIED[-1]}",good\r\n')


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, raw):
    path = written(tmp_path_factory.mktemp("any"), raw)
    try:
        text = read_text(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert text.encode(find_encoding(path).codec) == raw.removeprefix(find_encoding(path).mark)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_utf8_stays_utf8(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("any"), f"a{text}".encode())
    try:
        assert find_encoding(path) == UTF8
    except DataError as error:  # every other byte is zero
        assert "utf-16" in str(error) and "\0" in text


# --- damaged and mixed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [(b"\xff", 0), (b"", 1), (b"\xc4\xe3", 0), (b"\xe5", 0)])
@pytest.mark.parametrize("at", [0, 4, 9])
def test_damaged_utf8_is_an_error_at_its_line(damage, at, tmp_path):
    lines = [f'"{row}",good\n'.encode() for row in SIMPLIFIED]
    more, less = damage
    lines[at] = lines[at][:4] + more + lines[at][4 + less :]
    path = written(tmp_path, b"text,label\n" + b"".join(lines))
    assert find_encoding(path) == UTF8
    with pytest.raises(DataError, match=rf"a\.csv:{at + 2}: byte \d+ of the line is not UTF-8"):
        read_text(path)


def test_a_single_line_of_utf8_that_is_damaged(tmp_path):
    raw = table(SIMPLIFIED[:1]).encode().replace("瑕".encode(), "瑕".encode()[:2])
    with pytest.raises(DataError, match=r"a\.csv:2: byte 5 of the line is not UTF-8"):
        read_text(written(tmp_path, raw))


def test_a_damaged_line_of_gb18030_is_named(tmp_path):
    lines = table(SIMPLIFIED).encode("gb18030").split(b"\n")
    lines[5] = lines[5][:3] + b"\xff" + lines[5][3:]
    with pytest.raises(DataError, match=r"a\.csv:6: byte 4 of the line is not gb18030, as the file is; mend"):
        read_text(written(tmp_path, b"\n".join(lines)))


@pytest.mark.parametrize("first", ["gb18030", "utf-8"])
def test_two_encodings_in_one_file_are_an_error(first, tmp_path):
    second = {"gb18030": "utf-8", "utf-8": "gb18030"}[first]
    many = table(SIMPLIFIED * 400).encode(first)
    path = written(tmp_path, many + f'"{SIMPLIFIED[0]}",good\n'.encode(second))
    assert find_encoding(path).name == first
    said = "the line is UTF-8, though the file is gb18030" if second == "utf-8" else "is not UTF-8"
    with pytest.raises(DataError, match=rf"a\.csv:4002: .*{said}"):
        read_text(path)


def test_a_json_list_says_the_line_too(tmp_path):
    rows = [f'["{row}"]' for row in SIMPLIFIED]
    whole = "[" + ",\n".join(rows) + "]"
    path = written(tmp_path, whole.encode("gb18030"), "a.json")
    assert [item for _, item in list_items(path, "rows", "")] == [[row] for row in SIMPLIFIED]
    broken = whole.encode("gb18030").replace("过敏".encode("gb18030"), b"\xff")
    path = written(tmp_path, broken, "a.json")
    with pytest.raises(DataError, match=r"a\.json:4: byte \d+ of the line is not gb18030"):
        list(list_items(path, "rows", ""))


# --- marks, and what the user says -----------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "codec"), [(b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")])
@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1))
def test_lines_of_utf16(mark, codec, tmp_path_factory, lines):
    # The bytes of 上 (U+4E0A) and ਀ (U+0A00) hold that of a line's end.
    whole = "\n".join(["上海\u0a00", *lines, "上"])
    path = written(tmp_path_factory.mktemp("wide"), mark + whole.encode(codec))
    assert find_encoding(path).name == "utf-16"
    found = list(numbered_lines(path))
    assert [number for number, _ in found] == list(range(1, len(lines) + 3))
    assert "".join(line for _, line in found) == whole
    assert count_lines(path, find_encoding(path)) == len(found)


def test_a_long_file_of_utf16_and_one_that_is_cut(tmp_path):
    whole = table(SIMPLIFIED * 8000)
    path = written(tmp_path, whole.encode("utf-16"))
    assert path.stat().st_size > 2 << 20
    assert read_text(path) == whole
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.csv:80001: byte \d+ of the line is not utf-16"):
        read_text(path)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("rows", [SIMPLIFIED, ["plain", "ascii"]])
def test_utf16_without_a_mark_has_to_be_named(codec, rows, tmp_path):
    path = written(tmp_path, table(rows).encode(codec))
    with pytest.raises(DataError, match=f"looks like {codec}, without a byte order mark"):
        find_encoding(path)
    assert read_text(path, find_encoding(path, codec)) == table(rows)


@pytest.mark.parametrize("name", TEXTS)
def test_what_the_user_says_is_what_is_read(name, tmp_path):
    texts, codec = TEXTS[name]
    path = written(tmp_path, table(texts[:1]).encode(codec))
    [found] = open_tables(path, encoding=name.split(",", maxsplit=1)[0].upper())
    assert [row.values["text"] for row in found.rows()] == texts[:1]


@pytest.mark.parametrize(
    ("raw", "asked", "said"),
    [
        (table(SIMPLIFIED).encode(), "gbk", "is UTF-8, but encoding says gb18030"),
        (table(SIMPLIFIED).encode(), "big5", "is UTF-8, but encoding says big5"),
        (b"text,label\na,b\n", "utf-16", "is UTF-8, but encoding says utf-16"),
        (table(SIMPLIFIED).encode("utf-8-sig"), "gb18030", "byte order mark of utf-8"),
        (table(SIMPLIFIED).encode("utf-16"), "utf-16-be", "byte order mark of utf-16"),
        (table(SIMPLIFIED).encode("utf-32"), None, "UTF-32, which is not read"),
        (b"a", "latin", "none of utf-8, gb18030"),
    ],
)
def test_what_contradicts_the_file_is_refused(raw, asked, said, tmp_path):
    with pytest.raises(DataError, match=said):
        find_encoding(written(tmp_path, raw), asked)


@pytest.mark.parametrize("asked", ["utf-8", "UTF8", "utf-8-sig"])
def test_utf8_that_is_asked_for_is_never_anything_else(asked, tmp_path):
    path = written(tmp_path, table(SIMPLIFIED).encode("gb18030"))
    with pytest.raises(DataError, match=r"a\.csv:2: byte 2 of the line is not UTF-8"):
        list(numbered_lines(path, find_encoding(path, asked)))


def test_a_recipe_knows_the_same_names():
    literal, _ = get_args(TextEncoding)
    assert set(get_args(literal)) == set(ENCODINGS)
    assert {encoding_name(name.upper()) for name in ENCODINGS} < set(ENCODINGS)


def test_a_decoder_is_python_s_for_every_name(tmp_path):
    for name, text in itertools.product(ENCODINGS, ["text,label\n", ""]):
        if text or not name.startswith("utf-16"):
            codec = "utf-16" if name.startswith("utf-16") and name == "utf-16" else encoding_name(name)
            path = written(tmp_path, text.encode(codec))
            assert read_text(path, find_encoding(path, name)) == text

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attar.recipe.load import SourceRecipe
from attar.records.readers.sources import read_source
from attar.records.record import Record, Rejection
from attar.task import BUILT_IN_TASKS

WORDS = st.text("面霜香味泵坏好aB1😀，", min_size=1, max_size=4)


def read(path, form):
    return list(read_source(SourceRecipe(path=str(path), format=form)))


def written(tmp_path, text):
    file = tmp_path / "a.txt"
    file.write_text(text, "utf-8", newline="")
    return file


# The three-line form


def test_target_fills_every_place_and_points_at_the_first(tmp_path):
    file = written(tmp_path, "\ufeff\n今天$T$坏，$T$真坏\r\n 泵 \r\n-1\r\n\n\n$T$好\n香 味\n1")
    first, second = read(file, "target")
    assert first == Record("今天泵坏，泵真坏", "泵", 2, 3, "-1", where=f"{file}:2")
    assert second == Record("香 味好", "香 味", 0, 3, "1", where=f"{file}:7")


def test_target_rejects_what_is_cut_short_and_goes_on(tmp_path):
    file = written(tmp_path, "$T$坏\n泵\n$T$好\n香味\n1\n没有\n标记\n1\n多余\n$T$贵\n价格\n-1\n$T$贵\n")
    cut, good, unmarked, stray, dear, last = read(file, "target")
    assert (cut.reason, cut.where, cut.row) == ("bad_row", f"{file}:1", ["$T$坏", "泵"])
    assert (good.term, dear.term) == ("香味", "价格")
    assert (unmarked.reason, unmarked.where, unmarked.row) == ("no_mark", f"{file}:6", ["没有", "标记", "1"])
    assert (stray.reason, stray.where) == ("no_mark", f"{file}:9")
    assert (last.reason, last.where) == ("bad_row", f"{file}:13")
    assert "1 of three lines" in last.message


def test_target_without_a_label_leaves_it_to_the_audit(tmp_path):
    (record,) = read(written(tmp_path, "$T$坏\n泵\n\n"), "target")
    assert record.label is None


@given(before=WORDS, term=WORDS, after=WORDS)
def test_target_offsets_are_those_of_the_term(tmp_path_factory, before, term, after):
    file = written(tmp_path_factory.mktemp("target"), f"{before}$T${after}\n{term}\n1\n")
    (record,) = read(file, "target")
    assert record.text == before + term + after
    assert (record.start, record.text[record.start : record.end]) == (len(before), term)


# Triplets


def test_triplets_join_the_tokens(tmp_path):
    line = "这 iPhone 屏 幕 好 ， 价 格 贵####[((1, 3), (4, 4), 'POS'), ((6, 7), (8, 8), 'NEG')]\n"
    file = written(tmp_path, "\n" + line)
    assert read(file, "triplets") == [
        Record("这iPhone屏幕好，价格贵", "iPhone屏幕", 1, 9, "POS", where=f"{file}:2"),
        Record("这iPhone屏幕好，价格贵", "价格", 11, 13, "NEG", where=f"{file}:2"),
    ]


def test_triplets_with_all_their_tokens_or_without_an_aspect(tmp_path):
    lines = (
        "屏 幕 好####[([0, 1], [2], 'POS')]",
        "好####[((-1, -1), (0, 0), 'POS')]",
        "泵 坏####[([0], [1], 'NEG')]",
    )
    whole, unnamed, single = read(written(tmp_path, "\n".join(lines)), "triplets")
    assert (whole.term, single.term) == ("屏幕", "泵")
    assert (unnamed.text, unnamed.term, unnamed.start, unnamed.end) == ("好", "", None, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("泵 坏", "no list of triplets"),
        ("泵 坏####[((0, 0), (1, 1), 'NEG'", "not a list"),
        ("泵 坏####[{[]: 1}]", "not a list"),
        ("泵 坏####[((0, 0), (1, 1))]", "another form"),
        ("泵 坏####[(('0', 0), (1, 1), 'NEG')]", "another form"),
        ("泵 坏####[((0, 0), (1, 1), None)]", "another form"),
        ("泵 坏####[1]", "another form"),
        ("泵 坏####[((0, 2), (1, 1), 'NEG')]", "tokens 0 to 2 of 2"),
        ("泵 坏####[((1, 0), (1, 1), 'NEG')]", "tokens 1 to 0 of 2"),
        ("泵 坏####[((-1, 0), (1, 1), 'NEG')]", "tokens -1 to 0 of 2"),
        ("泵 坏####" + "[" * 5000, "not a list"),
    ],
)
def test_a_line_of_another_form_is_rejected_whole(tmp_path, line, message):
    file = written(tmp_path, f"{line}\n香 味 好####[((0, 1), (2, 2), 'POS')]\n")
    bad, good = read(file, "triplets")
    assert isinstance(bad, Rejection)
    assert (bad.reason, bad.where, bad.row) == ("bad_row", f"{file}:1", [line])
    assert message in bad.message
    assert "expected tokens####[" in bad.message
    assert good.term == "香味"


@given(st.lists(WORDS, min_size=1, max_size=8), st.data())
def test_triplet_offsets_are_those_of_the_tokens(tmp_path_factory, tokens, data):
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first, len(tokens) - 1))
    line = f"{' '.join(tokens)}####{[((first, last), (0, 0), 'POS')]}\n"
    (record,) = read(written(tmp_path_factory.mktemp("triplets"), line), "triplets")
    assert record.text == "".join(tokens)
    assert record.text[record.start : record.end] == "".join(tokens[first : last + 1])
    assert record.start == len("".join(tokens[:first]))


# BIO


def test_bio_gives_a_record_a_span(tmp_path):
    lines = [
        "燕\tB-COM",
        "窝\tI-COM",
        " \tO",
        "胶\tB-COM",
        "原\tB-EFF",
        "",
        "没\tO",
        "",
        "",
        "补\tB-EFF",
        "水\tI-EFF",
    ]
    file = written(tmp_path, "\r\n".join(lines))
    assert read(file, "bio") == [
        Record("燕窝 胶原", "燕窝", 0, 2, "COM", where=f"{file}:1"),
        Record("燕窝 胶原", "胶", 3, 4, "COM", where=f"{file}:4"),
        Record("燕窝 胶原", "原", 4, 5, "EFF", where=f"{file}:5"),
        Record("补水", "补水", 0, 2, "EFF", where=f"{file}:10"),
    ]


def test_bio_rejects_a_span_that_was_not_begun(tmp_path):
    lines = ["胶\tB-EFF", "原\tI-EFF", "蛋\tI-COM", "白\tI-COM", "粉\tO", "水\tI-COM", "好\tB-COM"]
    file = written(tmp_path, "\n".join(lines))
    first, slip, other, last = read(file, "bio")
    assert (first.term, last.term) == ("胶原", "好")
    assert (slip.reason, slip.where) == ("bad_mark", f"{file}:3")
    assert slip.row[:5] == ["胶原蛋白粉水好", "蛋白", 2, 4, "COM"]
    assert other.row[1:4] == ["水", 5, 6]


def test_bio_rejects_a_text_with_a_line_that_is_not_tagged(tmp_path):
    file = written(tmp_path, "泵\tB-COM\n坏\t\n\n香\tB-COM\n\n")
    bad, good = read(file, "bio")
    assert (bad.reason, bad.where, bad.row) == ("bad_row", f"{file}:1", ["泵\tB-COM", "坏\t"])
    assert "line 2" in bad.message
    assert good.term == "香"


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-P M-P E-P O S-N", ["粉底液", "坏"]),
        ("B-P I-P E-P O S-N", ["粉底液", "坏"]),
        ("B-P I-P L-P O U-N", ["粉底液", "坏"]),
        ("B-P E-P W-P O B-N", ["粉底", "液", "坏"]),
        ("S-P B-P E-P S-N O", ["粉", "底液", "，"]),
        ("B-P I-P B-P I-P I-P", ["粉底", "液，坏"]),
    ],
)
@pytest.mark.parametrize("tab", ["\t", " "])
def test_bio_knows_the_letters_of_its_kin(tmp_path, tags, found, tab):
    lines = [f"{char}{tab}{tag}" for char, tag in zip("粉底液，坏", tags.split(), strict=True)]
    records = list(read_source(SourceRecipe(path=str(written(tmp_path, "\ufeff" + "\r\n".join(lines))))))
    assert [record.term for record in records] == found
    assert all(record.text[record.start : record.end] == record.term for record in records)


@pytest.mark.parametrize(("tags", "slip"), [("B-P E-P I-P", "I"), ("O M-P E-P", "M"), ("S-P E-P O", "E")])
def test_bio_rejects_a_span_whose_beginning_is_lost(tmp_path, tags, slip):
    lines = [f"{char}\t{tag}" for char, tag in zip("粉底液", tags.split(), strict=True)]
    *_, bad = read(written(tmp_path, "\n".join(lines)), "bio")
    assert (bad.reason, f"{slip}-P; expected B-P" in bad.message) == ("bad_mark", True)


@pytest.mark.parametrize(
    "text",
    [
        " \tO\n泵\tB-P  \n坏\tO\t\n",
        "\u3000\tO\n泵 \tB-P\n坏\tO\n",
        "  O\n泵 B-P\n坏 O\n",
        "\n\n \tO\r\n泵\tB-P\r\n坏\tO\r\n\r\n\r\n",
    ],
)
def test_bio_with_blanks_as_characters_and_behind_tags_is_known(tmp_path, text):
    (record,) = read_source(SourceRecipe(path=str(written(tmp_path, text))))
    assert (record.text[1:], record.term, record.start) == ("泵坏", "泵", 1)


def test_bio_is_known_though_a_line_lacks_its_tag(tmp_path):
    lines = ["泵\tB-P", "坏", "", *["好\tO"] * 6, "", "香\tB-P"]
    bad, good = read_source(SourceRecipe(path=str(written(tmp_path, "\n".join(lines)))))
    assert (bad.reason, "line 2" in bad.message, good.term) == ("bad_row", True, "香")


@pytest.mark.parametrize("label", ["-1", "0", "1", "POS", "neu", "NEG", "Positive", "正面", "1.0"])
def test_polarities_of_every_spelling_reach_the_task(tmp_path, label):
    task = BUILT_IN_TASKS["cosmetics"]
    for name, text in {
        "a": f"$T$坏\n泵\n {label} \r\n",
        "b": f"[泵|{label}]坏\n",
        "c": f"泵 坏####[((0, 0), (1, 1), {label if label in ('-1', '0', '1') else repr(label)})]\n",
    }.items():
        file = tmp_path / f"{name}.txt"
        file.write_text(text, "utf-8", newline="")
        (record,) = read_source(SourceRecipe(path=str(file)))
        assert task.label_of(record.label) in task.labels
        assert record.term == "泵"


# Rows


def test_rows_of_eight_columns_have_a_weight(tmp_path):
    rows = '["泵坏", "泵", 0, 1, "-1", "京东", "包装", %s]'
    weights = ["0.5", "1", "0", "-1", "2", "true", '"1"', "null"]
    file = tmp_path / "a.json"
    file.write_text("[\n" + ",\n".join(rows % weight for weight in weights) + "\n]", "utf-8")
    half, whole, *bad = read(file, "rows")
    meta = {"channel": "京东", "wordtype": "包装"}
    assert half == Record("泵坏", "泵", 0, 1, "-1", meta, f"{file}:2", weight=0.5)
    assert whole.weight == 1.0
    assert [(row.reason, len(row.row)) for row in bad] == [("bad_row", 8)] * 6


def test_a_first_line_that_is_nested_without_end_is_no_object():
    from attar.records.readers.formats import _is_object

    assert not _is_object('{"a":' * 100_000)
    assert not _is_object('{"a":' * 100_000 + "1" + "}" * 100_000)
    assert _is_object('{"a": 1}')

"""Files that are not UTF-8, through every verb and reader that takes files."""

from __future__ import annotations

import json
import logging

import openpyxl
import pytest

from attar.compare.annotations import AnnotationOptions, read_annotations
from attar.errors import AttarError, DataError, RecipeError
from attar.pretraining.texts import read_texts
from attar.recipe.load import SourceRecipe, make_recipe
from attar.records.readers.sources import read_source
from attar.records.record import Record
from attar.records.remote.fetch import fetched, source_inputs
from attar.terms.stage import propose_term_list
from attar.terms.term_list import read_term_list

_HEADS = (
    "我觉得很好用，{}不错", "包装破了，{}也掉了", "味道一般，{}太紧", "妈妈说{}打不开", "价格便宜，就是{}松",
    "客服态度差，{}坏了不管", "夏天用着清爽，{}好看", "送货快，{}没有问题", "第二次买了，{}比以前轻",
    "{}的质量和图片上一样",
)  # fmt: skip
_TAILS = ("下次还会再来这家店里买", "朋友看了也说想要一个", "收到以后等了三天才打开")
SIMPLIFIED = [f"{head}。{tail}".replace("{}", "瓶盖") for head in _HEADS for tail in _TAILS]
TRADITIONAL = ["這個瓶蓋很好用", "包裝破了，瓶蓋也掉了", "媽媽說瓶蓋打不開", "價格便宜，顏色也好看，瓶蓋太緊"]
LABELS = ("消极", "中性", "积极")


def table(path, texts, term, codec, label=None):
    rows = [f"{text},{term},{label or LABELS[i % 3]}" for i, text in enumerate(texts)]
    path.write_bytes(("text,term,label\r\n" + "\r\n".join(rows)).encode(codec))
    return path


@pytest.fixture
def gb18030(tmp_path):
    return table(tmp_path / "gb.csv", SIMPLIFIED, "瓶盖", "gb18030")


@pytest.fixture
def big5(tmp_path):
    return table(tmp_path / "b5.csv", TRADITIONAL, "瓶蓋", "big5", "good")


def test_prepare_says_it_before_the_work_and_in_the_audit(attar_main, gb18030, tmp_path, caplog):
    caplog.set_level(logging.INFO, "attar")
    code, out, _ = attar_main("prepare", gb18030, "--dry-run")
    assert (code, out.splitlines()[0]) == (0, f"{gb18030}: csv, encoding gb18030")
    code, _, _ = attar_main("prepare", gb18030, "--out", tmp_path / "data")
    assert code == 0
    assert f"{gb18030}: csv, encoding gb18030; text = text" in caplog.text
    assert "encoding gb18030" in (tmp_path / "data" / "audit.html").read_text("utf-8")


def test_prepare_is_told_at_the_prompt(attar_main, big5, one_line):
    code, _, err = attar_main("prepare", big5, "--dry-run")
    assert "b5.csv: looks like big5 (line 2 " in one_line(code, err)
    code, out, err = attar_main("prepare", big5, "--in-encoding", "Big5", "--alias", "good=积极", "--dry-run")
    assert (code, out.splitlines()[0]) == (0, f"{big5}: csv, encoding big5")
    assert TRADITIONAL[0] in out
    code, _, err = attar_main("prepare", big5, "--in-encoding", "gbbk", "--dry-run")
    assert "did you mean 'gbk'" in one_line(code, err)


def test_the_option_is_for_what_is_not_utf8(attar_main, big5, tmp_path):
    own = table(tmp_path / "own.csv", SIMPLIFIED, "瓶盖", "utf-8")
    marked = table(tmp_path / "marked.csv", SIMPLIFIED, "瓶盖", "utf-16")
    files = (big5, own, marked)
    code, out, _ = attar_main("prepare", *files, "--in-encoding", "big5", "--alias", "good=积极", "--dry-run")
    assert code == 0
    kinds = [
        line.removeprefix(f"{file}: ") for file in files for line in out.splitlines() if f"{file}: " in line
    ]
    assert kinds == ["csv, encoding big5", "csv", "csv, encoding utf-16"]


def test_the_option_leaves_workbooks_alone(attar_main, big5, tmp_path):
    book = openpyxl.Workbook()
    for row in [["text", "term", "label"], ["瓶盖好", "瓶盖", "积极"]]:
        book.active.append(row)
    book.active.title = "2024"
    book.save(tmp_path / "a.xlsx")
    code, out, _ = attar_main(
        "prepare",
        big5,
        f"{tmp_path}/a.xlsx#2024",
        "--in-encoding",
        "big5",
        "--alias",
        "good=积极",
        "--dry-run",
    )
    assert code == 0
    assert out.count(" accepted") == 2


def test_score_and_compare(attar_main, artifact_folder, big5, gb18030, tmp_path, one_line, caplog):
    caplog.set_level(logging.INFO, "attar")
    scored = tmp_path / "scored.csv"
    code, out, _ = attar_main("score", artifact_folder, "--in", gb18030, "--out", scored)
    assert code == 0
    assert f"read:      {gb18030}: not UTF-8, read as gb18030" in out
    assert SIMPLIFIED[0] in scored.read_text("utf-8")
    code, _, err = attar_main("score", artifact_folder, "--in", big5, "--out", tmp_path / "b5.jsonl")
    assert "looks like big5" in one_line(code, err)
    code, out, _ = attar_main(
        "score", artifact_folder, "--in", big5, "--out", tmp_path / "b5.jsonl", "--in-encoding", "big5"
    )
    assert code == 0
    assert f"{big5}: not UTF-8, read as big5" in out
    arguments = ("compare", scored, "--gold", gb18030, "--out", tmp_path / "c.xlsx")
    caplog.clear()
    assert attar_main(*arguments)[0] == 0
    assert f"{gb18030}: not UTF-8, read as gb18030" in caplog.text
    caplog.clear()
    assert attar_main(*arguments, "--in-encoding", "gb18030")[0] == 0, "what score writes is UTF-8"
    assert f"{gb18030}: not UTF-8, read as gb18030" in caplog.text


def test_annotations_as_json(tmp_path, caplog):
    path = tmp_path / "rows.json"
    rows = [[text, "瓶盖", "积极"] for text in SIMPLIFIED]
    for codec, asked in (("gb18030", None), ("utf-16-le", "UTF-16-LE")):
        path.write_bytes(json.dumps(rows, ensure_ascii=False).encode(codec))
        with caplog.at_level(logging.INFO, "attar"):
            found = read_annotations(path, options=AnnotationOptions(encoding=asked)).annotations
        assert [each.text for each in found] == SIMPLIFIED
        assert f"not UTF-8, read as {codec}" in caplog.text


def test_lists_of_terms_and_proposals(tmp_path, caplog):
    caplog.set_level(logging.INFO, "attar")
    for name, whole in (
        ("a.csv", "瓶盖,盖子\n包装,外包装\n"),
        ("b.csv", "term,synonyms\n瓶盖,盖子\n包装,外包装\n"),
    ):
        path = tmp_path / name
        path.write_bytes(whole.encode("gb18030"))
        assert read_term_list(path).names == {
            "瓶盖": "瓶盖",
            "盖子": "瓶盖",
            "包装": "包装",
            "外包装": "包装",
        }
        assert f"{path}: not UTF-8, read as gb18030" in caplog.text
    reviews = tmp_path / "reviews.txt"
    for codec, asked in (("gb18030", None), ("utf-16", None), ("utf-16-be", "utf-16-be")):
        reviews.write_bytes("\n".join(SIMPLIFIED * 2).encode(codec))
        found = propose_term_list(reviews, tmp_path / "terms.csv", min_count=2, encoding=asked)
        assert found
        assert f"{reviews}: not UTF-8, read as {codec}" in caplog.text


def test_texts_without_labels(tmp_path, caplog):
    caplog.set_level(logging.INFO, "attar")
    path = tmp_path / "texts.txt"
    path.write_bytes("\n".join(SIMPLIFIED).encode("gb18030"))
    assert list(read_texts([SourceRecipe(path=str(path))], {}, tmp_path)) == SIMPLIFIED
    assert f"{path}: not UTF-8, read as gb18030" in caplog.text
    path.write_bytes("\n".join(TRADITIONAL).encode("big5"))
    with pytest.raises(DataError, match="looks like big5"):
        list(read_texts([SourceRecipe(path=str(path))], {}, tmp_path))
    assert list(read_texts([SourceRecipe(path=str(path), encoding="big5")], {}, tmp_path)) == TRADITIONAL


def test_a_table_that_is_joined_has_an_encoding_of_its_own(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_bytes("id,term,label\n1,瓶盖,积极\n2,瓶盖,消极\n".encode("gb18030"))
    (tmp_path / "texts.csv").write_text("id,text\n1,瓶盖很好\n2,瓶盖坏了\n", "utf-8")
    join = {"path": str(tmp_path / "texts.csv"), "on": "id"}
    found = list(read_source(SourceRecipe.model_validate({"path": str(labels), "join": join})))
    assert [(each.text, each.label) for each in found if isinstance(each, Record)] == [
        ("瓶盖很好", "积极"),
        ("瓶盖坏了", "消极"),
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"path": "a.xlsx", "encoding": "gbk"}, "encoding means nothing for the format 'excel'"),
        ({"path": "http://localhost:1/projects/7", "encoding": "gbk"}, "encoding is for files; leave it out"),
        ({"path": "mongodb://localhost:1/a/b", "encoding": "gbk"}, "encoding is for files; leave it out"),
    ],
)
def test_what_has_no_encoding_refuses_one(keys, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.xlsx").write_bytes(b"a")
    source = SourceRecipe.model_validate(keys)
    with pytest.raises(AttarError, match=said):
        list(read_source(fetched(source, tmp_path / "fetched").source))


def test_a_recipe_takes_any_case_and_refuses_other_names():
    def made(name):
        return make_recipe({"name": "x", "data": {"sources": [{"path": "a.csv", "encoding": name}]}})

    assert made(" GB18030").data.sources[0].encoding == "gb18030"
    with pytest.raises(RecipeError, match=r"encoding.*utf-8"):
        made("utf-7")


def test_stamps_know_it_where_it_is_used(gb18030):
    source = SourceRecipe(path=str(gb18030))
    assert "encoding" not in source_inputs(source)
    assert source_inputs(source.model_copy(update={"encoding": "gbk"}))["encoding"] == "gbk"

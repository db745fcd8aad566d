"""``attar init``: from a user's files to a recipe that runs."""

import csv
import json
import tomllib
from pathlib import Path

import pytest

from attar.recipe.load import load_recipe
from attar.records.dry_run import dry_run

TERMS = ("口红", "粉底液", "瓶盖", "持妆")
WORDS = {"积极": "很好用", "消极": "太差了", "中性": "还没试"}


def reviews(count, labels=("积极", "消极", "中性")):
    """(text, term, start, end, label) rows, each review different."""
    made = []
    for i in range(count):
        term, label = TERMS[i % 4], labels[i % len(labels)]
        before = f"{chr(0x4E00 + 37 * i)}{chr(0x5A00 + 53 * i)}家买的，"
        text = f"{before}{term}{WORDS.get(label, '就那样')}，{chr(0x6B00 + 41 * i)}"
        made.append((text, term, len(before), len(before) + len(term), label))
    return made


def write_csv(path, header, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        table.writerows([header, *rows] if header else rows)
    return path


@pytest.fixture
def init(attar_main, tmp_path, monkeypatch):
    """``init(*arguments)``: the recipe that is written in the working folder, and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, problem=None, is_remote=False):
        code, out, err = attar_main("init", *arguments)
        if problem is not None:
            (line,) = [line for line in err.splitlines() if line.startswith("attar: ")]
            assert code == 2 and problem in line, err
            assert not Path("recipe.toml").exists()
            return None, line
        assert code == 0, err
        recipe = load_recipe(Path("recipe.toml"))
        if is_remote:
            return recipe, out
        found = dry_run(recipe.data.sources, recipe.resolved_task(), recipe.data)
        assert found.problem is None
        recipe.__dict__["num_accepted"] = sum(file.num_accepted for file in found.understood.files.values())
        recipe.__dict__["num_read"] = sum(file.num_read for file in found.understood.files.values())
        return recipe, out

    return run


def columns_of(recipe):
    return [source.columns for source in recipe.data.sources]


def test_a_spreadsheet_of_ones_own(init, tmp_path):
    rows = [
        (i, text, term, {"积极": "好评", "消极": "差评", "中性": "中评"}[label])
        for i, (text, term, _, _, label) in enumerate(reviews(60))
    ]
    write_csv(tmp_path / "标注.csv", ("编号", "评论内容", "对象", "情感"), rows)
    recipe, out = init("标注.csv")
    assert columns_of(recipe) == [{"text": "评论内容", "label": "情感", "term": "对象"}]
    assert recipe.name == "标注"
    task = recipe.resolved_task()
    assert (task.name, task.labels, task.style) == ("cosmetics", ("消极", "中性", "积极"), "marked_pair")
    assert recipe.num_accepted == recipe.num_read == 60
    text = Path("recipe.toml").read_text("utf-8")
    assert '"好评" = "积极"  # guessed: a known word; seen 20 times' in text
    assert "next:      attar run recipe.toml" in out
    assert "row 1:" in out and "好评 -> 积极" in out


@pytest.mark.parametrize(
    "name", ["labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet", "labels.xlsx"]
)
def test_columns_that_no_name_gives_away_are_told_by_their_cells(init, tmp_path, name):
    header = ("a", "b", "c", "d", "e", "f")
    rows = [
        (str(i), label, term, start, end, text)
        for i, (text, term, start, end, label) in enumerate(reviews(60, ("负面", "正面")))
    ]
    path = tmp_path / name
    if name.endswith(".jsonl"):
        lines = (json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines), "utf-8")
    elif name.endswith(".parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        cells = dict(zip(header, zip(*rows, strict=True), strict=True))
        parquet.write_table(pyarrow.table({key: list(cells[key]) for key in header}), path)
    elif name.endswith(".xlsx"):
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        book.active.title = "说明"
        book.active.append(["这是一个说明页"])
        sheet = book.create_sheet("数据")
        for row in (header, *rows):
            sheet.append(row)
        book.save(path)
    else:
        write_csv(path, header, rows, "\t" if name.endswith("tsv") else ",")
    recipe, _ = init(name)
    assert columns_of(recipe) == [{"text": "f", "label": "b", "term": "c", "start": "d", "end": "e"}]
    assert recipe.resolved_task().labels == ("消极", "积极")
    assert recipe.num_accepted == 60
    if name.endswith(".xlsx"):
        assert recipe.data.sources[0].path.endswith("labels.xlsx#数据")


@pytest.mark.parametrize(
    ("spellings", "meanings"),
    [
        ("01", {"0": "消极", "1": "积极"}),
        ("012", {"0": "消极", "1": "中性", "2": "积极"}),
        ("12345", {"1": "消极", "2": "消极", "3": "中性", "4": "积极", "5": "积极"}),
        ("1245", {"1": "消极", "2": "消极", "4": "积极", "5": "积极"}),
        (("-1", "1"), {"-1": "消极", "1": "积极"}),
        (("Positive", "negative", "NEUTRAL"), {"Positive": "积极", "negative": "消极", "NEUTRAL": "中性"}),
        (("满意", "一般", "不满意"), {"满意": "满意", "一般": "一般", "不满意": "不满意"}),
    ],
)
def test_scales(init, tmp_path, spellings, meanings):
    rows = [(text, spellings[i % len(spellings)]) for i, (text, *_) in enumerate(reviews(100))]
    write_csv(tmp_path / "labels.csv", ("content", "rating"), rows)
    recipe, _ = init("labels.csv")
    task = recipe.resolved_task()
    assert {spelling: task.label_of(spelling) for spelling in spellings} == meanings
    assert task.style == "single"
    assert set(task.labels) == set(meanings.values())
    assert recipe.num_accepted == 100
    if "满意" in task.labels:
        assert task.labels == ("不满意", "一般", "满意")
    elif spellings == "01":
        assert "check it" in Path("recipe.toml").read_text("utf-8")


def test_labels_of_ones_own_are_in_the_order_of_their_number_and_a_stray_one_is_left_to_the_user(
    init, tmp_path
):
    topics = ["物流"] * 30 + ["质量"] * 50 + ["价格"] * 20
    rows = [(text, topics[i]) for i, (text, *_) in enumerate(reviews(100))]
    write_csv(tmp_path / "topics.csv", ("text", "category"), rows)
    recipe, _ = init("topics.csv")
    assert recipe.resolved_task().labels == ("质量", "物流", "价格")
    Path("recipe.toml").unlink()
    rows = [(text, label) for text, *_, label in reviews(600, ("消极", "积极"))] + [
        ("瓶盖还行吧，一般", "积及")
    ]
    write_csv(tmp_path / "stray.csv", ("text", "label"), rows)
    recipe, _ = init("stray.csv")
    assert recipe.resolved_task().labels == ("消极", "积极")
    assert recipe.num_accepted == recipe.num_read - 1
    assert '# "积及" = ""  # seen once' in Path("recipe.toml").read_text("utf-8")


def test_yes_and_no_about_a_term_are_components(init, tmp_path):
    rows = [(text, term, "是否"[i % 2]) for i, (text, term, *_) in enumerate(reviews(40))]
    write_csv(tmp_path / "words.csv", ("text", "term", "label"), rows)
    recipe, _ = init("words.csv")
    assert recipe.resolved_task().name == "components"


def test_texts_in_another_table_are_joined_and_placeholders_left_out(init, tmp_path):
    rows = reviews(60)
    write_csv(tmp_path / "reviews.csv", ("id", "Reviews"), [(i, row[0]) for i, row in enumerate(rows)])
    labels = [(i, term, start, end, "不知道", label) for i, (_, term, start, end, label) in enumerate(rows)]
    labels += [(3, "_", " ", " ", "便宜", "积极")]
    write_csv(
        tmp_path / "labels.csv",
        ("id", "AspectTerms", "A_start", "A_end", "Opinion words", "Polarities"),
        labels,
    )
    recipe, _ = init(tmp_path)
    (source,) = recipe.data.sources
    assert (Path(source.path).name, Path(source.join.path).name, source.join.on) == (
        "labels.csv",
        "reviews.csv",
        "id",
    )
    assert source.columns == {
        "text": "Reviews", "label": "Polarities", "term": "AspectTerms", "start": "A_start", "end": "A_end"
    }  # fmt: skip
    assert source.empty == ("_",)
    assert (recipe.num_read, recipe.num_accepted) == (61, 60)


def test_a_file_without_a_header_with_another_delimiter_and_stray_quotes(init, tmp_path):
    lines = [f"{text}\t{term}\t{label}" for text, term, _, _, label in reviews(60)]
    lines[7] = f'"{lines[7]}'
    (tmp_path / "old.txt").write_text("\n".join(lines), "utf-8")
    recipe, _ = init("old.txt")
    (source,) = recipe.data.sources
    assert (source.format, source.names, source.quoted) == ("tsv", ("text", "term", "label"), False)
    assert recipe.num_accepted == 60
    Path("recipe.toml").unlink()
    write_csv(tmp_path / "semi.csv", ("评论", "标签"), [(row[0], row[4]) for row in reviews(60)], ";")
    recipe, _ = init("semi.csv")
    assert recipe.data.sources[0].delimiter == ";"
    assert recipe.num_accepted == 60


def test_several_terms_in_a_cell(init, tmp_path):
    rows = [(f"{text}和面霜也是", f"{term}、面霜", label) for text, term, *_, label in reviews(40)]
    write_csv(tmp_path / "several.csv", ("text", "term", "label"), rows)
    recipe, _ = init("several.csv")
    assert recipe.data.sources[0].explode == "、"
    assert recipe.num_accepted == 80


def test_files_called_train_dev_and_test_keep_their_parts(init, tmp_path):
    folder = tmp_path / "hotel"
    folder.mkdir()
    rows = [(label, text) for text, *_, label in reviews(90, ("0", "1"))]
    for name, part in (("train", rows[:60]), ("dev", rows[60:75]), ("test", rows[75:])):
        write_csv(folder / f"{name}.tsv", ("label", "text_a"), part, "\t")
    recipe, _ = init("hotel")
    assert [(Path(s.path).stem, s.split) for s in recipe.data.sources] == [
        ("test", "test"), ("dev", "dev"), ("train", None)
    ]  # fmt: skip
    assert (recipe.data.dev, recipe.data.test, recipe.name) == (0, 0, "hotel")


def test_pairs_of_sentences(init, tmp_path):
    rows = [
        (row[0], other[0], i % 2)
        for i, (row, other) in enumerate(zip(reviews(40), reviews(80)[40:], strict=True))
    ]
    write_csv(tmp_path / "pairs.csv", ("sentence1", "sentence2", "label"), rows)
    recipe, _ = init("pairs.csv")
    task = recipe.resolved_task()
    assert (task.style, task.labels) == ("sentence_pair", ("0", "1"))
    assert recipe.num_accepted == 40


def test_marked_text_and_label_studio_need_no_columns(init, tmp_path):
    lines = [f"{text[:start]}[{term}|{label}]{text[end:]}" for text, term, start, end, label in reviews(60)]
    (tmp_path / "marked.txt").write_text("\n".join(lines), "utf-8")
    recipe, out = init("marked.txt")
    assert recipe.task == "cosmetics"
    assert recipe.num_accepted == 60
    assert "marked.txt: markup" in out
    Path("recipe.toml").unlink()
    tasks = [
        {
            "id": i,
            "data": {"text": text, "channel": "京东"},
            "annotations": [{
                "id": i, "completed_by": 1,
                "result": [{
                    "from_name": "label", "to_name": "text", "type": "labels",
                    "value": {"start": start, "end": end, "text": term, "labels": [label]},
                }],
            }],
        }
        for i, (text, term, start, end, label) in enumerate(reviews(40, ("正面", "负面")))
    ]  # fmt: skip
    (tmp_path / "project.json").write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")
    recipe, _ = init("project.json")
    assert recipe.resolved_task().labels == ("消极", "积极")
    assert recipe.num_accepted == 40


def test_a_folder_of_files_named_after_their_label_and_one_that_is_none(init, tmp_path):
    (tmp_path / "shop").mkdir()
    for label, name in (("积极", "pos"), ("消极", "neg")):
        lines = [row[0] for row in reviews(80) if row[4] == label]
        (tmp_path / "shop" / f"{name}.txt").write_text("\n".join(lines), "utf-8")
    (tmp_path / "shop" / "LICENSE.txt").write_text("Do with it what you like.\nNo warranty.", "utf-8")
    recipe, out = init("shop")
    assert [(source.format, source.constants) for source in recipe.data.sources] == [
        ("lines", {"label": "neg"}), ("lines", {"label": "pos"})
    ]  # fmt: skip
    assert recipe.resolved_task().labels == ("消极", "积极")
    assert "not read:  shop/LICENSE.txt: its start looks like no known format" in out
    assert "# Not read: shop/LICENSE.txt" in Path("recipe.toml").read_text("utf-8")


def test_of_two_tables_with_the_same_ids_the_right_one_is_joined(init, tmp_path):
    rows = reviews(60)
    write_csv(
        tmp_path / "labels.csv", ("id", "aspect", "polarity"), [(i, r[1], r[4]) for i, r in enumerate(rows)]
    )
    write_csv(tmp_path / "texts.csv", ("id", "content"), [(i, r[0]) for i, r in enumerate(rows)])
    write_csv(
        tmp_path / "other_labels.csv",
        ("id", "content"),
        [(i, f"{chr(0x5000 + i)}只是别的文字") for i in range(60)],
    )
    recipe, out = init(".")
    (source,) = recipe.data.sources
    assert Path(source.join.path).name == "texts.csv"
    assert recipe.num_accepted == 60
    assert "not read:  other_labels.csv: no label" in out


def test_pairs_without_a_header(init, tmp_path):
    lines = [
        f"{one[0]}\t{other[0]}\t{i % 2}"
        for i, (one, other) in enumerate(zip(reviews(60), reviews(300)[240:], strict=True))
    ]
    (tmp_path / "dev.txt").write_text("\n".join(lines), "utf-8")
    recipe, _ = init("dev.txt")
    assert recipe.data.sources[0].names == ("text", "term", "label")
    assert recipe.resolved_task().style == "sentence_pair"


def test_names_that_would_break_out_of_a_comment_do_not(init, tmp_path):
    (tmp_path / "shop").mkdir()
    write_csv(
        tmp_path / "shop" / "rows.csv", ("text", "la\nbel = 1", "x"), [(r[0], r[4], "y") for r in reviews(40)]
    )
    (tmp_path / "shop" / "no\nseed = 3.txt").write_text("nothing that is known\n", "utf-8")
    recipe, _ = init("shop")
    assert recipe.seed == 20
    assert columns_of(recipe) == [{"label": "la\nbel = 1"}]


def test_a_collection_is_a_source_and_its_address_stays_as_it_was_given(init, tmp_path, monkeypatch):
    pytest.importorskip("pymongo")
    from mongo_server import running_server, test_database

    with running_server(tmp_path / "server") as server, test_database(server) as (address, database):
        rows = [
            {"text": text, "keyword": term, "start": start, "end": end, "label": label}
            for text, term, start, end, label in reviews(40, ("好评", "差评"))
        ]
        database["labels"].insert_many(rows)
        monkeypatch.setenv("ATTAR_TEST_PLACE", address("labels").removeprefix("mongodb://"))
        place = "mongodb://$ATTAR_TEST_PLACE"
        _, out = init(place, is_remote=True)
    tree = tomllib.loads(Path("recipe.toml").read_text("utf-8"))
    assert tree["data"]["sources"] == [place]
    assert tree["task"]["labels"] == ["消极", "积极"]
    assert f"{place}: mongodb" in out and "40 accepted" in out


BIG5_HEADS = (
    "這個瓶蓋很好用",
    "包裝破了，瓶蓋也掉了",
    "媽媽說瓶蓋打不開",
    "價格便宜，瓶蓋太緊",
    "顏色好看，瓶蓋很輕",
)
SHIFT_JIS_HEADS = ("このボトルはとても使いやすい", "ボトルのふたが壊れました", "母はボトルが開けにくいと言う")


def texts_of(heads, count):
    return [f"{heads[i % len(heads)]}{i}" for i in range(count)]


def recipe_source():
    """The only source of the recipe, as it is written."""
    (source,) = tomllib.loads(Path("recipe.toml").read_text("utf-8"))["data"]["sources"]
    return source


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels.txt"])
def test_a_table_whose_encoding_the_user_names(init, tmp_path, name):
    rows = [
        (text, "瓶蓋", ("positive", "negative")[i % 2]) for i, text in enumerate(texts_of(BIG5_HEADS, 40))
    ]
    if name.endswith(".jsonl"):
        keys = ("text", "term", "label")
        lines = [json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) for row in rows]
        path = tmp_path / name
        path.write_text("\n".join(lines), "utf-8")
    else:
        path = write_csv(tmp_path / name, ("評論", "詞", "標籤"), rows, "\t" if name == "labels.txt" else ",")
    path.write_bytes(path.read_text("utf-8").encode("big5"))
    _, said = init(name, problem=f"{name}: looks like big5")
    assert "--in-encoding big5" in said
    recipe, out = init(name, "--in-encoding", "CP950")
    assert recipe_source()["encoding"] == "big5"
    assert recipe.num_accepted == recipe.num_read == 40
    assert recipe.resolved_task().labels == ("消极", "积极")
    assert BIG5_HEADS[0] in out and "encoding big5" in out
    (line,) = [line for line in Path("recipe.toml").read_text("utf-8").splitlines() if "encoding" in line]
    assert line.split("#")[1] == " given at the prompt"


def test_marks_and_files_named_after_their_label_in_another_encoding(init, tmp_path):
    lines = [
        text.replace("ボトル", f"[ボトル|{('positive', 'negative')[i % 2]}]", 1)
        for i, text in enumerate(texts_of(SHIFT_JIS_HEADS, 40))
    ]
    (tmp_path / "marked.txt").write_bytes("\n".join(lines).encode("shift_jis"))
    init("marked.txt", problem="--in-encoding shift_jis at the prompt")
    recipe, _ = init("marked.txt", "--in-encoding", "shift_jis")
    assert (recipe_source()["encoding"], recipe.num_accepted) == ("shift_jis", 40)
    Path("recipe.toml").unlink()
    (tmp_path / "shop").mkdir()
    for name in ("pos", "neg"):
        whole = "\n".join(f"{text}{name}" for text in texts_of(SHIFT_JIS_HEADS, 40))
        (tmp_path / "shop" / f"{name}.txt").write_bytes(whole.encode("shift_jis"))
    init("shop", problem="--in-encoding shift_jis at the prompt")
    recipe, _ = init("shop", "--in-encoding", "shift_jis")
    assert [source.encoding for source in recipe.data.sources] == ["shift_jis"] * 2
    assert recipe.num_accepted == recipe.num_read == 80


@pytest.mark.parametrize("texts_codec", ["big5", "utf-8"])
def test_an_encoding_is_for_what_is_not_utf8_in_joined_tables_too(init, tmp_path, texts_codec):
    texts = texts_of(BIG5_HEADS, 40)
    rows = [(i, "瓶蓋", ("positive", "negative")[i % 2]) for i in range(40)]
    labels = write_csv(tmp_path / "labels.csv", ("id", "aspect", "polarity"), rows)
    labels.write_bytes(labels.read_text("utf-8").encode("big5"))
    other = write_csv(tmp_path / "texts.csv", ("id", "content"), list(enumerate(texts)))
    other.write_bytes(other.read_text("utf-8").encode(texts_codec))
    recipe, _ = init("labels.csv", "texts.csv", "--in-encoding", "big5")
    assert recipe_source()["encoding"] == "big5"
    assert recipe.num_accepted == recipe.num_read == 40
    Path("recipe.toml").unlink()
    write_csv(tmp_path / "own.csv", ("text", "label"), [(row[0], row[4]) for row in reviews(40)])
    recipe, _ = init("own.csv", "--in-encoding", "big5")
    assert recipe.data.sources[0].encoding is None
    Path("recipe.toml").unlink()
    init("own.csv", "--in-encoding", "gbbk", problem="did you mean 'gbk'")


def test_spans_in_a_cell_as_doccano_writes_them(init, tmp_path):
    lines = [
        json.dumps({"id": i, "text": text, "label": [[start, end, label]]}, ensure_ascii=False)
        for i, (text, _, start, end, label) in enumerate(reviews(60))
    ]
    (tmp_path / "doccano.jsonl").write_text("\n".join(lines), "utf-8")
    recipe, _ = init("doccano.jsonl")
    assert recipe.task == "cosmetics"
    assert recipe.num_accepted == 60


def test_what_the_user_says_is_taken(init, tmp_path):
    rows = [(text, term, f"注{i}", ("荐", "弃")[i % 2]) for i, (text, term, *_) in enumerate(reviews(40))]
    write_csv(tmp_path / "said.csv", ("text", "comment", "title", "verdict"), rows)
    recipe, _ = init("said.csv", "--column", "term=comment", "--alias", "荐=好评", "--alias", "弃=消极")
    assert columns_of(recipe) == [{"term": "comment", "label": "verdict"}]
    assert recipe.resolved_task().label_of("荐") == "积极"
    text = Path("recipe.toml").read_text("utf-8")
    assert '"荐" = "积极"    # given at the prompt; seen 20 times' in text or '"荐" = "积极"  # given' in text
    assert recipe.num_accepted == 40


def test_a_spelling_may_stand_for_a_label_that_only_the_user_knows(init, tmp_path):
    rows = [(text, ("荐", "推荐", "不推荐")[i % 3]) for i, (text, *_) in enumerate(reviews(60))]
    write_csv(tmp_path / "own.csv", ("text", "label"), rows)
    recipe, _ = init("own.csv", "--alias", "荐=推荐")
    task = recipe.resolved_task()
    assert (set(task.labels), task.label_of("荐")) == ({"推荐", "不推荐"}, "推荐")
    assert recipe.num_accepted == 60


def test_a_file_with_one_label_and_one_with_too_many(init, tmp_path):
    write_csv(tmp_path / "one.csv", ("text", "label"), [(row[0], "物流") for row in reviews(40)])
    init("one.csv", problem="all 40 rows have one label")
    write_csv(
        tmp_path / "many.csv",
        ("text", "label"),
        [(row[0], f"类{i % 150}") for i, row in enumerate(reviews(300))],
    )
    _, said = init("many.csv", "--column", "label=label", problem="the labels are 150 different ones")
    assert "--column label=NAME" in said


def test_a_column_that_is_not_there_is_no_reason_to_guess(init, tmp_path):
    write_csv(tmp_path / "labels.csv", ("text", "label"), [(row[0], row[4]) for row in reviews(40)])
    init("labels.csv", "--column", "label=lable", problem="no column 'lable' is there; did you mean 'label'?")
    init("labels.csv", "--column", "term=thema", problem="no term: no column 'thema' is there")


def test_what_cannot_be_told_is_an_error_with_facts_and_without_any_review(init, tmp_path):
    rows = [(text, f"{i}号") for i, (text, *_) in enumerate(reviews(40))]
    write_csv(tmp_path / "bare.csv", ("正文", "号"), rows)
    _, said = init("bare.csv", problem="no label: no column has between 2 and 20 different values")
    assert "正文 (text, 40 filled" in said and "--column label=NAME" in said
    assert not any(text in said for text, _ in rows)
    rows = [(text, "甲乙"[i % 2], "丙丁"[i % 2]) for i, (text, *_) in enumerate(reviews(40))]
    write_csv(tmp_path / "two.csv", ("正文", "一", "二"), rows)
    init("two.csv", problem="several columns could be it ('一', '二')")


def test_mistakes_before_anything_is_read(init, tmp_path):
    write_csv(tmp_path / "labels.csv", ("text", "label"), [(row[0], row[4]) for row in reviews(40)])
    init("nowhere.csv", problem="nowhere.csv: no such file or folder")
    init("labels.csv", "--out", "recipe", problem="a recipe ends in .toml")
    init("labels.csv", "--out", "no/recipe.toml", problem="there is no folder")
    init("labels.csv", "--column", "lable=x", problem="ours are text")
    _, said = init("mongodb://u:SECRET@h/a/b", problem="a password has no place in a recipe")
    assert "SECRET" not in said


def test_a_recipe_that_is_there_stays(init, tmp_path):
    write_csv(tmp_path / "labels.csv", ("text", "label"), [(row[0], row[4]) for row in reviews(40)])
    Path("mine.toml").write_text("mine", "utf-8")
    init("labels.csv", "--out", "mine.toml", problem="mine.toml is there already and is left as it is")
    assert Path("mine.toml").read_text("utf-8") == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "mine.toml"]


def test_paths_are_those_of_the_recipes_folder(tmp_path, attar_main, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "recipes").mkdir()
    write_csv(tmp_path / "data" / 'a "b".csv', ("text", "label"), [(row[0], row[4]) for row in reviews(40)])
    code, _, err = attar_main("init", 'data/a "b".csv', "--out", "recipes/mine.toml")
    assert code == 0, err
    recipe = load_recipe(Path("recipes/mine.toml"))
    assert tomllib.loads(Path("recipes/mine.toml").read_text("utf-8"))["data"]["sources"] == [
        '../data/a "b".csv'
    ]
    assert Path(recipe.data.sources[0].path).exists()


def test_prepare_takes_the_recipe_and_every_row(init, tmp_path, attar_main):
    rows = [(text, term, label) for text, term, *_, label in reviews(80)]
    write_csv(tmp_path / "labels.csv", ("评论", "词", "倾向"), rows)
    init("labels.csv")
    code, _, err = attar_main("prepare", "--recipe", "recipe.toml", "--out", "data")
    assert code == 0, err
    said = ("--column", "text=评论", "--column", "term=词", "--column", "label=倾向")
    assert attar_main("prepare", "labels.csv", *said, "--out", "same")[0] == 0
    for name in ("train.json", "dev.json", "test.json"):
        assert Path("data", name).read_bytes() == Path("same", name).read_bytes()


TINY = (
    "student.layers=1", "student.hidden=24", "student.heads=4", "student.intermediate=48",
    "student.start=layers",
    "train.freeze=0", "train.epochs=1", "train.learning_rate=5e-3", "train.precision=fp32",
    "distill.epochs=1", "distill.learning_rate=5e-3", "distill.precision=fp32",
    "distill.allow_collapsed=true", "export.max_flips=1", "export.max_f1_loss=1", "export.qat_epochs=0",
    "evaluate.bootstrap=20", "evaluate.speed_examples=8", "evaluate.speed_repeats=2",
    "gate.max_loss_to_teacher=1",  # so little training earns no verdict
    "gate.min_gain_over_linear=-1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("moments", "narrow_search")
def test_the_recipe_runs_to_its_report(init, tmp_path, attar_main, make_rows, encoder_folder):
    make_rows(tmp_path / "rows.jsonl", 120)
    init("rows.jsonl")
    tiny = [part for one in (*TINY, f"train.encoder={encoder_folder}") for part in ("--set", one)]
    code, out, err = attar_main("run", "recipe.toml", *tiny)
    assert code == 0, err
    assert "score with: attar score runs/rows/artifact" in out
    assert Path("runs/rows/report/report.json").exists()

"""The tools of classic/utils: data folders, Excel files, encoders, old checkpoints."""

import argparse
import http.server
import json
import os
import pickle
import runpy
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import torch

from attar.classic.checkpoint import build_classic, load_classic, start_encoder
from attar.classic.files import ClassicFiles
from attar.models.checkpoint import load_checkpoint, predict_logits
from attar.records.split.near_duplicates import group_reviews
from attar.task import task_by_name

CLASSIC = Path(__file__).parents[2] / "classic"
LABELS = ("消极", "中性", "积极")
COLUMNS = ["text", "keyword", "label", "predict", "probability", "start", "end", "channel", "wordtype"]


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    """``tool(name, *flags)``: exit code, stdout and stderr of a tool, run in an empty folder."""
    monkeypatch.syspath_prepend(str(CLASSIC))
    monkeypatch.chdir(tmp_path)
    for name in ("ATTAR_DEBUG", "MONGODB_URI"):
        monkeypatch.delenv(name, raising=False)

    def run(name, *flags):
        from original.tool import run_tool

        main = runpy.run_path(str(CLASSIC / "utils" / f"{name}.py"), run_name="tool")["main"]
        capsys.readouterr()
        code = run_tool(main, [str(flag) for flag in flags])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def reviews(count, seed=0, keyword="口红", channel="京东"):
    """(text, start, end, label, channel) of reviews that have little in common."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        before = "".join(chr(c) for c in rng.integers(0x4E00, 0x9FA0, 12))
        after = "".join(chr(c) for c in rng.integers(0x4E00, 0x9FA0, 9))
        made.append((f"{before}{keyword}{after}", 12, 12 + len(keyword), LABELS[number % 3], channel))
    return made


def ls_task(review, number, key="annotations", keyword="口红", answers=None, **work):
    text, start, end, label, channel = review
    works = [
        {
            "id": 1000 * number + place,
            "completed_by": place,
            "result": [
                {"id": "r1", "from_name": "label", "to_name": "text", "type": "labels",
                 "value": {"start": start, "end": end, "text": keyword, "labels": [said]}},
            ],
            **work,
        }
        for place, said in enumerate(answers or [label])
    ]  # fmt: skip
    data = {"text": text, "keyword": keyword, "channel": channel, "wordtype": "产品"}
    return {"id": number, "data": data, key: works}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def sides(folder):
    return {p.stem: json.loads(p.read_text("utf-8")) for p in folder.glob("*.json") if p.stem in (
        "train", "dev", "test")}  # fmt: skip


def rejected(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text("utf-8").splitlines()]


def table(path):
    book = openpyxl.load_workbook(path)
    header, *rows = book.active.iter_rows(values_only=True)
    return list(header), [list(row) for row in rows]


@pytest.fixture
def exports(tmp_path):
    """A folder with an old and a new export: 100 reviews, 20 of them from Weibo, one of them skipped."""
    old = [ls_task(review, number, "completions") for number, review in enumerate(reviews(40, 1), 1)]
    old.append(ls_task(reviews(1, 9)[0], 41, "completions", was_cancelled=True))
    plus = reviews(40, 2, keyword="C++(水")  # no regular expression
    new = [ls_task(review, 100 + n, keyword="C++(水") for n, review in enumerate(plus)]
    new += [ls_task(review, 200 + n) for n, review in enumerate(reviews(20, 3, channel="微博"))]
    write(tmp_path / "exports" / "old.json", old)
    write(tmp_path / "exports" / "new.json", new)
    return tmp_path / "exports"


def test_exports_become_train_and_dev(tool, exports, tmp_path):
    out = tmp_path / "newcos"
    code, said, _ = tool("convert_label_studio_data", exports, "--out", out, "--task_name", "cosmetics")
    found = sides(out)
    assert code == 0
    assert set(found) == {"train", "dev"}
    assert len(found["train"]) + len(found["dev"]) == 100
    assert 17 <= len(found["dev"]) <= 23
    assert "保存成功，训练集" in said
    assert f"开发集{len(found['dev'])}" in said
    assert "测试集" not in said
    for text, keyword, start, end, label, channel, wordtype in found["train"] + found["dev"]:
        assert text[start:end] == keyword
        assert (label in LABELS, channel in ("京东", "微博"), wordtype) == (True, True, "产品")
    assert not [row for row in found["dev"] if row[5] == "微博"]
    assert sum(row[5] == "微博" for row in found["train"]) == 20
    assert [row["reason"] for row in rejected(out)] == ["cancelled"]
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert set(manifest["labels"]) == {"train", "dev"}
    assert sum(manifest["labels"]["dev"].values()) == len(found["dev"])
    assert manifest["labels"]["dev"] == dict(Counter(row[4] for row in found["dev"]))


def test_newcos_has_three_columns_cut_at_25_characters(tool, tmp_path):
    texts = [
        (f"{text}{chr(0x4E00 + n) * 30}口红{chr(0x5E00 + n) * 30}", n) for n, (text, *_) in
        enumerate(reviews(40, 1))
    ]  # fmt: skip
    made = [(text, len(text) - 32, len(text) - 30, LABELS[n % 3], "京东") for text, n in texts]
    write(tmp_path / "e.json", [ls_task(review, n) for n, review in enumerate(made)])
    assert tool("convert_label_studio_data", tmp_path / "e.json", "--out", tmp_path / "o")[0] == 0
    found = sides(tmp_path / "o")
    rows = [row for side in found.values() for row in side]
    wanted = sorted([text[start - 25 : end + 25], "口红", label] for text, start, end, label, _ in made)
    assert sorted(rows) == wanted
    assert not (tmp_path / "o" / "manifest.json").exists()  # attar's own verbs want seven columns
    from original.data import source_of
    from original.marks import shape_of
    from original.tasks import TASKS

    assert shape_of(source_of(tmp_path / "o", TASKS["newcos"], "train", "train")) == "three columns"


def test_the_split_depends_on_the_seed_alone(tool, exports, tmp_path):
    for name, *more in (("a",), ("b",), ("c", "--seed", 31)):
        assert tool("convert_label_studio_data", exports, "--out", tmp_path / name, *more)[0] == 0
    text = [(tmp_path / name / "dev.json").read_bytes() for name in "abc"]
    assert text[0] == text[1] != text[2]


def test_three_splits_and_weibo_for_training_alone(tool, exports, tmp_path):
    weibo = [
        {"content": list(text), "aspect": [{"aspectTerm": "口红", "start": s, "end": e, "sScore": 2}]}
        for text, s, e, *_ in reviews(15, 5)
    ]
    path = tmp_path / "all.txt"
    path.write_text("".join(json.dumps(row) + "\n" for row in weibo), "utf-8")
    code, said, _ = tool(
        "convert_label_studio_data", exports, "--weibo", path, "--shares", "90/5/5", "--out", tmp_path / "o"
    )
    found = sides(tmp_path / "o")
    assert code == 0
    assert set(found) == {"train", "dev", "test"}
    assert f"测试集{len(found['test'])}" in said
    extra = {"".join(row["content"]) for row in weibo}  # shorter than 25 characters on either side
    assert extra <= {row[0] for row in found["train"]}
    assert not extra & {row[0] for row in found["dev"] + found["test"]}


def test_near_duplicates_stay_together(tool, tmp_path):
    base = reviews(40, 4)
    twins = [(f"{text}！！", start, end, label, channel) for text, start, end, label, channel in base]
    export = [ls_task(review, n) for n, review in enumerate(base + twins)]
    write(tmp_path / "e.json", export)
    assert tool("convert_label_studio_data", tmp_path / "e.json", "--out", tmp_path / "o")[0] == 0
    found = sides(tmp_path / "o")
    groups = group_reviews([row[0] for side in found.values() for row in side], 0.5)
    train, dev = ({groups[row[0]] for row in found[side]} for side in ("train", "dev"))
    assert len(train | dev) == 40
    assert train & dev == set()


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("drop", {}), ("majority", {"积极": 1.0}), ("weights", {"积极": 0.667, "消极": 0.333})],
)
def test_annotators_who_disagree(tool, tmp_path, policy, kept):
    # The rest of the reviews give dev and test something to hold.
    export = [ls_task(review, n) for n, review in enumerate(reviews(60, 6), 1)]
    disputed = reviews(1, 7, channel="微博")[0]
    export.append(ls_task(disputed, 99, answers=["积极", "消极", "积极"]))
    write(tmp_path / "e.json", export)
    code, *_ = tool(
        "convert_label_studio_data", tmp_path / "e.json", "--disagreement", policy, "--out", tmp_path / "o",
        "--task_name", "cosmetics",
    )  # fmt: skip
    assert code == 0
    found = sides(tmp_path / "o")
    rows = {row[4]: (row[7:] or [1.0])[0] for row in found["train"] if row[0] == disputed[0]}
    assert {label: round(weight, 3) for label, weight in rows.items()} == kept
    assert disputed[0] not in {row[0] for row in found["dev"]}


def test_a_wrong_export_is_one_line(tool, tmp_path):
    code, out, err = tool("convert_label_studio_data", tmp_path / "none.json", "--out", tmp_path / "o")
    assert (code, out) == (2, "")
    assert "none.json: no such file" in err
    assert len(err.strip().splitlines()) == 1


# --- MongoDB


def address(monkeypatch, *, environment="", **given):
    if environment:
        monkeypatch.setenv("MONGODB_URI", environment)
    found = runpy.run_path(str(CLASSIC / "utils" / "get_data_from_mongo.py"), run_name="tool")
    usual = {"uri": None, "host": None, "port": 27017, "database": "ai-corpus", "collection": None}
    return found["collection_uri"](argparse.Namespace(**(usual | {"task_name": "cosmetics"} | given)))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"host": "h"}, "mongodb://h:27017/ai-corpus/as_corpus"),
        ({"host": "h", "port": 1, "task_name": "components"}, "mongodb://h:1/ai-corpus/label_corpus"),
        ({"uri": "mongodb://u:p@h/d/c?tls=true"}, "mongodb://u:p@h/d/c?tls=true"),
        ({"environment": "mongodb://u:p@h"}, "mongodb://u:p@h/ai-corpus/as_corpus"),
        ({"environment": "mongodb://h/admin"}, "mongodb://h/ai-corpus/as_corpus?authSource=admin"),
        ({"uri": "mongodb://h/x?authSource=y"}, "mongodb://h/ai-corpus/as_corpus?authSource=y"),
        ({"host": "h", "database": "a/b", "collection": "c d"}, "mongodb://h:27017/a%2Fb/c%20d"),
        ({"environment": "mongodb://h/?tls=true"}, "mongodb://h/ai-corpus/as_corpus?tls=true"),
    ],
)
@pytest.mark.usefixtures("tool")
def test_which_collection_is_meant(monkeypatch, given, wanted):
    assert address(monkeypatch, **given) == wanted


def test_without_a_server_it_says_what_to_give(tool):
    code, _, err = tool("get_data_from_mongo")
    assert code == 2
    assert "--host" in err
    assert "MONGODB_URI" in err


def test_a_password_is_never_shown(tool, monkeypatch, tmp_path):
    monkeypatch.setenv("MONGODB_URI", "mongodb://anna:s3cr3t/@h:1/ai-corpus/as_corpus")
    code, out, err = tool("get_data_from_mongo", "--out", tmp_path / "o")
    assert code == 2
    assert "s3cr3t" not in out + err


@pytest.fixture(scope="module")
def mongo(tmp_path_factory):
    pytest.importorskip("pymongo")
    from mongo_server import running_server

    with running_server(tmp_path_factory.mktemp("mongo")) as server:
        yield server


def test_both_collections_from_a_real_server(tool, mongo, tmp_path):
    from mongo_server import test_database

    sentiment = [
        {
            "content": list(text) if number % 2 else text, "source": "微博" if number < 10 else "天猫",
            "aspect": [{"aspectTerm": "口红", "start": s, "end": e, "sScore": number % 3}],
        }
        for number, (text, s, e, *_) in enumerate(reviews(80, 8))
    ]  # fmt: skip
    sentiment.append({"content": "没有标注", "aspect": [], "source": "天猫"})
    parts = [
        {"content": text, "aspect": [
            {"aspectTerm": "口红", "start": s, "end": e, "bratLabel": "TF"[n % 2],
             "aspectCategory": "其他" if n % 4 == 0 else "成分"}]}
        for n, (text, s, e, *_) in enumerate(reviews(80, 11))
    ]  # fmt: skip
    with test_database(mongo) as (uri, database):
        database["as_corpus"].insert_many(sentiment)
        database["label_corpus"].insert_many(parts)
        done = tool("get_data_from_mongo", "--uri", uri("as_corpus"), "--out", tmp_path / "a")
        more = tool("get_data_from_mongo", "--uri", uri("label_corpus"), "--task_name", "components")
        none = tool("get_data_from_mongo", "--uri", uri("as_corpus"), "--query", '{"brand": "x"}')
    assert (done[0], more[0], none[0]) == (0, 0, 2)
    found = sides(tmp_path / "a")
    everything = [row for side in found.values() for row in side]
    assert (set(found), len(everything)) == ({"train", "dev", "test"}, 80)
    wanted = {text: LABELS[number % 3] for number, (text, *_) in enumerate(reviews(80, 8))}
    assert {row[0]: row[4] for row in everything} == wanted
    assert not [row for row in found["dev"] + found["test"] if row[5] == "微博"]
    assert [row["reason"] for row in rejected(tmp_path / "a")] == ["empty_term"]
    parts_found = sides(tmp_path / "data_root_dir" / "components")
    labels = {row[0]: row[4] for side in parts_found.values() for row in side}
    yes = {text: "是" if n % 2 == 0 and n % 4 else "否" for n, (text, *_) in enumerate(reviews(80, 11))}
    assert labels == yes


def test_an_empty_or_misspelt_collection_or_query_is_named(tool, mongo, tmp_path):
    from mongo_server import test_database

    document = {"content": "口红好", "aspect": [{"aspectTerm": "口红", "start": 0, "end": 2, "sScore": 2}]}
    with test_database(mongo) as (uri, database):
        database["as_corpus"].insert_one(document)
        database["label_corpus"].insert_one(dict(document, _id=1))
        out = ("--out", tmp_path / "o")
        misspelt = tool("get_data_from_mongo", "--uri", uri("as_corpsu"), *out)
        query = tool("get_data_from_mongo", "--uri", uri("as_corpus"), "--query", '{"brand": "香"}', *out)
        elsewhere = uri("as_corpus").replace(f"/{database.name}/", "/ai_corpus/")
        nowhere = tool("get_data_from_mongo", "--uri", elsewhere, *out)
        name = database.name
    assert (misspelt[0], query[0], nowhere[0]) == (2, 2, 2)
    for said in (misspelt, query, nowhere):
        assert len(said[2].strip().splitlines()) == 1
    assert f"database {name!r}, collection 'as_corpsu': no document (query {{}})" in misspelt[2]
    # This server makes a collection of every name that it is asked about; MongoDB does not.
    listed = misspelt[2].replace("as_corpsu, ", "")
    assert "collections of the database: as_corpus, label_corpus; did you mean 'as_corpus'?" in listed
    wanted = f"database {name!r}, collection 'as_corpus': none of its 1 documents matches the query "
    assert f'{wanted}{{"brand": "香"}}' in query[2]
    assert "database 'ai_corpus', collection 'as_corpus': no document (query {})" in nowhere[2]


def test_components_without_a_usable_label_name_the_labels(tool, mongo, tmp_path):
    from mongo_server import test_database

    def parts(labels):
        for number, (text, start, end, *_) in enumerate(reviews(len(labels), 21)):
            aspect = {"aspectTerm": "口红", "start": start, "end": end, "bratLabel": labels[number]}
            yield {"content": text, "aspect": [aspect]}

    flags = ("--task_name", "components", "--out", tmp_path / "o")
    with test_database(mongo) as (uri, database):
        database["label_corpus"].insert_many(parts(["有", "有", "maybe", None, "好" * 30]))
        none = tool("get_data_from_mongo", "--uri", uri("label_corpus"), *flags)
        database["more"].insert_many(parts(["T", "F"] * 30 + ["maybe"]))
        some = tool("get_data_from_mongo", "--uri", uri("more"), *flags)
    assert (none[0], len(none[2].strip().splitlines())) == (2, 1)
    assert "none of 5 rows can be used" in none[2]
    assert "Labels of the rejected rows: 有 2, maybe 1, (none) 1, (something longer) 1" in none[2]
    assert some[0] == 0
    assert "无法识别的标签: maybe 1" in some[1]


def test_newcos_from_a_server_is_as_its_own_format_is(tool, mongo, tmp_path):
    from mongo_server import test_database

    long = "很长的评论" * 10
    documents = [
        {"content": f"{long}{text}{long}", "source": "天猫",
         "aspect": [{"aspectTerm": "口红", "start": s + 50, "end": e + 50, "sScore": number % 3}]}
        for number, (text, s, e, *_) in enumerate(reviews(60, 22))
    ]  # fmt: skip
    with test_database(mongo) as (uri, database):
        database["as_corpus"].insert_many(documents)
        flags = ("--task_name", "newcos", "--out", tmp_path / "o")
        assert tool("get_data_from_mongo", "--uri", uri("as_corpus"), *flags)[0] == 0
    rows = [row for side in sides(tmp_path / "o").values() for row in side]
    whole = {d["content"][37:89]: LABELS[d["aspect"][0]["sScore"]] for d in documents}
    assert {text: label for text, _, label in rows} == whole
    assert {keyword for _, keyword, _ in rows} == {"口红"}


# --- Excel


@pytest.fixture
def evaluated(tmp_path):
    """dev.json of six rows, one of them useless, and what two models said to it."""
    rows = [
        [text, "口红", start, end, label, channel, "产品"]
        for text, start, end, label, channel in reviews(6, 12)
    ]
    rows.append([rows[0][0], "口红", 0, 2, "很好", "京东", ""])  # no label of the task
    write(tmp_path / "dev.json", rows)
    first = [[0, 0.9], [1, 0.8], [0, 0.7], [2, 0.95], [1, 0.6], [2, 0.5]]
    second = [[0, 0.9], [1, 0.8], [2, 0.7], [0, 0.55], [1, 0.6], [1, 0.5]]
    paths = [write(tmp_path / f"{name}.json", said) for name, said in (("a", first), ("b", second))]
    return tmp_path / "dev.json", paths, rows


def test_predictions_of_a_model_and_labels(tool, evaluated, tmp_path):
    data, (first, _), rows = evaluated
    flags = ("--data", data, "--task_name", "cosmetics", "--out", tmp_path / "x")
    code, said, _ = tool("compare_eval_result", *flags, "--predictions", first)
    assert code == 0
    header, result = table(tmp_path / "x" / "result.xlsx")
    assert header == COLUMNS
    # gold is 消极 中性 积极 消极 中性 积极
    assert [row[3] for row in result] == ["消极", "中性", "消极", "积极", "中性", "积极"]
    assert result[0] == [rows[0][0], "口红", "消极", "消极", 0.9, 12, 14, "京东", "产品"]
    wrong, correct = (table(tmp_path / "x" / f"{name}.xlsx")[1] for name in ("wrong", "correct"))
    assert [row[4] for row in wrong] == [0.95, 0.7]  # the surest first
    assert len(correct) == 4
    assert "总样本数是6,预测错误的样本总数是2,预测正确的样本总数是4" in said
    assert f"准确率为{4 / 6}" in said
    assert not (tmp_path / "x" / "different.xlsx").exists()


def test_two_models_are_compared(tool, evaluated, tmp_path):
    data, paths, rows = evaluated
    flags = ("--data", data, "--task_name", "cosmetics", "--out", tmp_path / "x")
    code, said, _ = tool("compare_eval_result", *flags, "--predictions", *paths)
    assert code == 0
    header, different = table(tmp_path / "x" / "different.xlsx")
    assert header[2:5] == ["label", "P1_label", "P2_label"]
    assert [row[:1] + row[2:5] for row in different] == [
        [rows[2][0], "积极", "消极", "积极"],
        [rows[3][0], "消极", "积极", "消极"],
        [rows[5][0], "积极", "积极", "中性"],
    ]
    assert "共同的数据总量是6,不一致的数据总量是3" in said
    assert "P1正确1,P2正确2" in said
    assert len(table(tmp_path / "x" / "wrong_2.xlsx")[1]) == 1


def test_predictions_of_the_original_count_every_row(tool, evaluated, tmp_path):
    data, (first, _), rows = evaluated
    said = [*json.loads(first.read_text("utf-8")), [1, 0.4]]
    flags = ("--data", data, "--task_name", "cosmetics", "--out", tmp_path / "x")
    code, *_ = tool("compare_eval_result", *flags, "--predictions", write(tmp_path / "c.json", said))
    _, result = table(tmp_path / "x" / "result.xlsx")
    assert (code, len(result)) == (0, len(rows))
    assert result[-1][2:4] == [None, "中性"]


def test_ids_are_in_the_order_of_the_original(tool, tmp_path):
    rows = [[text, "口红", s, e, "是", "", ""] for text, s, e, *_ in reviews(3, 13)]
    data = write(tmp_path / "dev.json", rows)
    said = write(tmp_path / "a.json", [[0, 0.9], [1, 0.8], [0, 0.7]])
    flags = ("--data", data, "--predictions", said, "--task_name", "components")
    assert tool("compare_eval_result", *flags)[0] == 0
    assert [row[3] for row in table(tmp_path / "result.xlsx")[1]] == ["是", "否", "是"]
    assert tool("compare_eval_result", *flags, "--labels", "否,是")[0] == 0
    assert [row[3] for row in table(tmp_path / "result.xlsx")[1]] == ["否", "是", "否"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([[0, 0.9]], "has 1 predictions"),
        ([[3, 0.9]] * 6, "pred_id from 0 to 2"),
        ({"a": 1}, "expected a list"),
    ],
)
def test_predictions_on_another_file(tool, evaluated, tmp_path, said, message):
    path = write(tmp_path / "c.json", said)
    code, _, err = tool(
        "compare_eval_result", "--data", evaluated[0], "--predictions", path, "--task_name", "cosmetics"
    )
    assert code == 2
    assert message in err
    assert not (tmp_path / "result.xlsx").exists()


def test_two_people_are_compared(tool, tmp_path):
    found = reviews(6, 14)
    other = [(t, s, e, "积极" if n == 0 else label, c) for n, (t, s, e, label, c) in enumerate(found[:5])]
    paths = [
        write(tmp_path / f"{name}.json", [ls_task(review, n, form) for n, review in enumerate(side)])
        for name, form, side in (("a", "annotations", found), ("b", "completions", other))
    ]
    code, said, _ = tool("compare_components", *paths, "--task_name", "cosmetics", "--no_model")
    assert code == 0
    _, different = table(tmp_path / "different.xlsx")
    assert [row[:1] + row[3:5] for row in different] == [[found[0][0], "消极", "积极"]]
    assert different[0][-2:] == ["京东", "产品"]
    assert "共同的数据总量是5,不一致的数据总量是1" in said
    assert not (tmp_path / "result.xlsx").exists()


def test_one_person_without_a_model_is_nothing_to_compare(tool, exports):
    code, _, err = tool("compare_components", exports / "old.json", "--no_model", "--task_name", "cosmetics")
    assert code == 2
    assert "two files" in err


def test_a_service_that_is_not_running(tool, exports):
    url = "http://127.0.0.1:9/api/predict_macbert"
    code, _, err = tool("compare_components", exports / "old.json", "--task_name", "cosmetics", "--url", url)
    assert code == 2
    assert "is the service running?" in err


# --- encoders and checkpoints


def encoder(folder, make_model, encoder_folder, kind, head, **how):
    make_model(kind, head).save_pretrained(folder, **how)
    (folder / "vocab.txt").write_bytes((encoder_folder / "vocab.txt").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("script", "kind", "head"),
    [
        ("mac_bert", "bert", "ForMaskedLM"), ("bert", "bert", "ForPreTraining"),
        ("electra", "electra", "ForPreTraining"), ("albert", "albert", "ForMaskedLM"),
    ],
)  # fmt: skip
def test_an_encoder_becomes_the_three_files(tool, tmp_path, make_model, encoder_folder, script, kind, head):
    source = encoder(tmp_path / "hub", make_model, encoder_folder, kind, head)
    code, said, err = tool(f"download_{script}", "--model", source, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert str(tmp_path / "out") in said
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"config.json", "vocab.txt", "pytorch_model.bin"}
    assert (tmp_path / "out" / "config.json").read_bytes() == (source / "config.json").read_bytes()
    weights = torch.load(tmp_path / "out" / "pytorch_model.bin", weights_only=True)
    wanted = make_model(kind, head).state_dict()
    assert {name for name in weights if name.startswith(f"{kind}.")} > {f"{kind}.embeddings.LayerNorm.weight"}
    assert all(torch.equal(value, wanted[name]) for name, value in weights.items())


def test_old_names_and_old_pickles_are_read(tool, tmp_path, make_model, encoder_folder):
    source = encoder(tmp_path / "hub", make_model, encoder_folder, "bert", "ForMaskedLM")
    (source / "model.safetensors").unlink()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in make_model("bert", "ForMaskedLM").state_dict().items()
    }
    torch.save(old, source / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert tool("download_bert", "--model", source, "--out", tmp_path / "out")[0] == 0
    files = ClassicFiles(tmp_path / "out" / "config.json", tmp_path / "out" / "vocab.txt")
    made = build_classic(files, task_by_name("cosmetics"), 24)
    start_encoder(made, tmp_path / "out" / "pytorch_model.bin")
    norm = made.model.bert.embeddings.LayerNorm.weight
    assert torch.equal(norm, old["bert.embeddings.LayerNorm.gamma"])


def test_a_folder_may_be_completed_in_place(tool, tmp_path, make_model, encoder_folder):
    source = encoder(tmp_path / "hub", make_model, encoder_folder, "bert", "ForMaskedLM")
    assert tool("download_bert", "--model", source, "--out", source)[0] == 0
    assert (source / "pytorch_model.bin").is_file()


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of a hub as a download needs; ``server.folder`` is its only repository."""

    def do_HEAD(self):
        self.reply()

    def do_GET(self):
        self.wfile.write(self.reply())

    def reply(self):
        folder, name, headers = self.server.folder, self.path.rsplit("/", 1)[1], {}
        self.server.asked.append(name)
        files = [{"type": "file", "path": p.name, "oid": "0", "size": 1} for p in folder.iterdir()]
        if "/tree/" in self.path:
            content = json.dumps(files).encode()
        elif self.path.startswith("/api/models/"):
            siblings = [{"rfilename": file["path"]} for file in files]
            content = json.dumps({"id": "tiny/bert", "sha": "a" * 40, "siblings": siblings}).encode()
        elif (folder / name).is_file():
            content = (folder / name).read_bytes()
            headers = {"etag": f'"{name}"', "x-repo-commit": "a" * 40}
        else:
            content = b"{}"
        self.send_response(200)
        for header in ({"content-length": str(len(content))} | headers).items():
            self.send_header(*header)
        self.end_headers()
        return content

    def log_message(self, *_):
        pass


def test_a_mirror_is_used_if_it_is_set(tool, tmp_path, make_model, encoder_folder):
    source = encoder(tmp_path / "hub", make_model, encoder_folder, "bert", "ForMaskedLM")
    (source / "pytorch_model.bin").write_bytes(b"not needed")
    code = (
        "from original.encoder_folders import fetch_encoder\n"
        "print(fetch_encoder('tiny/bert', 'huggingface', None), end='')"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        server.folder, server.asked = source, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # The hub's package reads these when it is imported.
        mirror = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"}
        paths = os.pathsep.join([str(CLASSIC), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, **mirror, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in server.asked
    assert "pytorch_model.bin" not in server.asked
    assert tool("download_mac_bert", "--model", done.stdout, "--out", tmp_path / "out")[0] == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"config.json", "vocab.txt", "pytorch_model.bin"}


@pytest.mark.parametrize("fault", ["no vocabulary", "another config", "cut short", "offline"])
def test_an_incomplete_encoder_is_refused(tool, tmp_path, make_model, encoder_folder, fault, monkeypatch):
    source = encoder(tmp_path / "hub", make_model, encoder_folder, "bert", "ForMaskedLM")
    match fault:
        case "no vocabulary":
            (source / "vocab.txt").unlink()
        case "another config":
            config = json.loads((source / "config.json").read_text("utf-8"))
            write(source / "config.json", config | {"hidden_size": 64})
        case "cut short":
            weights = (source / "model.safetensors").read_bytes()
            (source / "model.safetensors").write_bytes(weights[: len(weights) // 2])
        case "offline":
            monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
            source = "nobody/has-this-model"
    code, said, err = tool("download_bert", "--model", source, "--out", tmp_path / "out")
    assert (code, said) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "pytorch_model.bin").exists()
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.fixture
def classic_files(tmp_path, make_model, encoder_folder):
    """A pre-zip gs1.pkl with its config and vocabulary."""
    folder = tmp_path / "classic"
    encoder(folder, make_model, encoder_folder, "bert", "ForSequenceClassification")
    (folder / "model.safetensors").unlink()
    torch.save(make_model("bert").state_dict(), folder / "gs1.pkl", _use_new_zipfile_serialization=False)
    assert (folder / "gs1.pkl").read_bytes()[:2] != b"PK"
    return folder


def test_a_checkpoint_in_every_format(tool, tmp_path, classic_files, make_examples):
    old, new, back = classic_files / "gs1.pkl", tmp_path / "new.pkl", tmp_path / "back.pkl"
    assert tool("convert_pkl", old, new)[0] == 0
    assert tool("convert_pkl", new, back, "--old")[0] == 0
    assert (new.read_bytes()[:2], back.read_bytes()[:2] == b"PK") == (b"PK", False)
    before, *after = (torch.load(path, weights_only=True) for path in (old, new, back))
    for weights in after:
        assert weights.keys() == before.keys()
        assert all(torch.equal(weights[name], before[name]) for name in before)
    assert tool("convert_pkl", old, tmp_path / "w.safetensors")[0] == 0
    from safetensors.torch import load_file

    assert set(load_file(tmp_path / "w.safetensors")) == set(before)
    flags = ("--config", classic_files / "config.json", "--vocab", classic_files / "vocab.txt")
    assert tool("convert_pkl", old, tmp_path / "folder", *flags, "--max_seq_length", 24)[0] == 0
    files = ClassicFiles(classic_files / "config.json", classic_files / "vocab.txt", old)
    wanted = predict_logits(load_classic(files, task_by_name("cosmetics"), 24), make_examples(8))
    found = predict_logits(load_checkpoint(tmp_path / "folder"), make_examples(8))
    np.testing.assert_array_equal(found, wanted)


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("ending", ["pkl", "safetensors"])
def test_what_is_pickled_in_a_file_is_not_run(tool, tmp_path, ending):
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"bert.x": _Evil(tmp_path / "owned")}))
    code, _, err = tool("convert_pkl", path, tmp_path / f"out.{ending}")
    assert code == 2
    assert "nothing in it was run" in err
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / f"out.{ending}").exists()


@pytest.mark.parametrize(
    ("out", "flags", "message"),
    [("out.onnx", (), ".safetensors"), ("gs1.pkl", (), "is read"), ("x", (), "--config"),
     ("x.safetensors", ("--old",), "--old")],
)  # fmt: skip
def test_what_cannot_be_written(tool, classic_files, out, flags, message):
    code, _, err = tool("convert_pkl", classic_files / "gs1.pkl", classic_files / out, *flags)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("path", sorted((CLASSIC / "utils").glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.usefixtures("tool")
def test_each_tool_has_help(path, capsys):
    main = runpy.run_path(str(path), run_name="tool")["main"]
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert "default" in capsys.readouterr().out


def test_a_tool_runs_from_anywhere(tmp_path):
    path = CLASSIC / "utils" / "get_data_from_mongo.py"
    environment = {name: value for name, value in os.environ.items() if name != "MONGODB_URI"}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "which MongoDB? give --host (and --port), --uri, or set MONGODB_URI\n"


@pytest.mark.parametrize(
    ("script", "huggingface", "modelscope"),
    [
        ("mac_bert", "hfl/chinese-macbert-base", "dienstag/chinese-macbert-base"),
        (
            "electra",
            "hfl/chinese-electra-180g-base-discriminator",
            "dienstag/chinese-electra-180g-base-discriminator",
        ),
        ("bert", "bert-base-chinese", "AI-ModelScope/bert-base-chinese"),
        ("albert", "voidful/albert_chinese_large", None),
    ],
)
def test_each_hub_has_its_own_names(tool, monkeypatch, tmp_path, script, huggingface, modelscope):
    from original import encoder_folders

    asked = []
    monkeypatch.setattr(encoder_folders, "fetch_encoder", lambda *given: asked.append(given) or tmp_path)
    monkeypatch.setattr(encoder_folders, "write_encoder_folder", lambda *_: None)
    assert tool(f"download_{script}")[0] == 0
    assert asked.pop()[:2] == (huggingface, "huggingface")
    code, _, err = tool(f"download_{script}", "--hub", "modelscope")
    if modelscope is None:
        assert (code, asked) == (2, [])
        assert f"{huggingface}: not known to be on ModelScope" in err
    else:
        assert asked.pop()[:2] == (modelscope, "modelscope")
    assert tool(f"download_{script}", "--hub", "modelscope", "--model", "me/mine")[0] == 0
    assert asked.pop()[:2] == ("me/mine", "modelscope")


@pytest.mark.parametrize("script", ["main.trainer.py", "api_absa.py", "utils/get_data_from_mongo.py"])
def test_what_is_not_installed_is_one_line(script):
    # Without its site packages a Python sees neither this project nor what it needs.
    bare = [sys.executable, "-E", "-S", str(CLASSIC / script)]
    done = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=CLASSIC)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "not installed: attar" in done.stderr
    assert "pip install '.[" in done.stderr

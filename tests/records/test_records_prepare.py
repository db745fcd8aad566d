import json
from pathlib import Path

import pytest

from attar import __version__
from attar.errors import DataError
from attar.io.files import file_hash
from attar.io.sealed import sealed
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare as prepare_sources
from attar.records.prepared_folder import load_manifest, load_split
from attar.task import BUILT_IN_TASKS, Task

TASK = BUILT_IN_TASKS["cosmetics"]
NOUNS = "泵瓶膜水霜粉刷盒管膏"
WORDS = ["好闻得像雨后", "漏得到处都是", "昨天刚刚收到", "比上回薄许多", "配得上这价钱", "让我等了一周"]


def prepare(paths, task, data, seed, out):
    return prepare_sources([SourceRecipe(path=str(path)) for path in paths], task, data, seed, out)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "reviews.txt"
    lines = ["# channel: 京东"]
    for i, noun in enumerate(NOUNS):
        for j, word in enumerate(WORDS):
            label = TASK.labels[(i + j) % 3]
            lines.append(f"{chr(0x5000 + 60 * i + j) * 9}[{noun}|{label}|产品]{word[j:]}")
    lines += ["[泵|还好]坏", "[泵|积极]坏", "[泵|消极]坏", "没有标记"]
    file.write_text("\n".join(lines), "utf-8")
    return file


def test_a_prepared_folder_is_read_back(tmp_path, source):
    out = tmp_path / "out"
    manifest = prepare([source], TASK, DataRecipe(), 20, out)
    names = {"train.json", "dev.json", "test.json", "rejected.jsonl", "repaired.jsonl", "manifest.json"}
    names |= {"audit.json", "audit.html", "audit.zh.html"}
    assert {p.name for p in out.iterdir()} == names
    assert load_manifest(out) == manifest
    splits = {name: load_split(out, name) for name in ("train", "dev", "test")}
    examples = [example for part in splits.values() for example in part]
    assert len(examples) == manifest["num_examples"] == 60
    assert {example.term for example in examples} == set(NOUNS)
    assert all(example.meta == {"channel": "京东", "wordtype": "产品"} for example in examples)
    for name, part in splits.items():
        assert sum(manifest["labels"][name].values()) == manifest["channels"][name]["京东"] == len(part)


def test_the_manifest_says_what_it_was_made_of(tmp_path, source):
    out = tmp_path / "out"
    manifest = prepare([source], TASK, DataRecipe(dev=0.15, sources=(Path("else"),)), 7, out)
    assert (manifest["attar"], manifest["seed"]) == (__version__, 7)
    assert Task.from_json(manifest["task"]) == TASK
    assert manifest["settings"] == {
        "dev": 0.15,
        "test": 0.2,
        "near_duplicate": 0.5,
        "train_only": [],
        "columns": {},
        "repair": True,
        "disagreement": "drop",
        "max_chars": 5000,
    }
    assert manifest["sources"] == [{"path": str(source), "sha256": file_hash(source)}]
    assert manifest["files"]["train.json"] == file_hash(out / "train.json")
    assert manifest["reasons"] == {"contradiction": 2, "unknown_label": 1, "no_mark": 1}


def test_every_rejected_row_is_one_line_with_its_reason(tmp_path, source):
    prepare([source], TASK, DataRecipe(), 20, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text("utf-8").splitlines()]
    assert [line["reason"] for line in lines] == [
        "unknown_label",
        "contradiction",
        "contradiction",
        "no_mark",
    ]
    assert lines[0]["where"] == f"{source}:62"
    assert lines[0]["row"] == ["泵坏", "泵", 0, 1, "还好", "京东", ""]
    assert set(lines[0]) == {"reason", "message", "where", "row"}


def test_the_same_sources_give_the_same_bytes(tmp_path, source):
    first = prepare([source], TASK, DataRecipe(), 20, tmp_path / "a")
    assert prepare([source], TASK, DataRecipe(), 20, tmp_path / "b") == first


def test_a_prepared_split_is_itself_a_source(tmp_path, source):
    first = prepare([source], TASK, DataRecipe(), 20, tmp_path / "a")
    files = [tmp_path / "a" / f"{name}.json" for name in ("test", "train", "dev")]
    second = prepare(files, TASK, DataRecipe(), 20, tmp_path / "b")
    for name in ("train.json", "dev.json", "test.json"):
        assert second["files"][name] == first["files"][name]
    assert second["num_rejected"] == 0


def test_nothing_usable_is_one_clear_error_and_only_the_rejections(tmp_path):
    source, out = tmp_path / "a.jsonl", tmp_path / "out"
    labels = ["postive"] * 3 + [None] * 2
    rows = [{"text": f"泵坏{i}", "term": "泵", "label": label} for i, label in enumerate(labels)]
    source.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    with pytest.raises(DataError) as caught:
        prepare([source], TASK, DataRecipe(), 20, out)
    message = str(caught.value)
    assert "none of 5 rows can be used: unknown_label (3), missing_label (2)" in message
    assert f"{source}:1: label 'postive'" in message
    assert str(out / "rejected.jsonl") in message
    assert "\n" not in message
    assert "泵" not in message
    assert {p.name for p in out.iterdir()} == {"rejected.jsonl", "repaired.jsonl"}


def test_broken_unicode_is_rejected_and_still_written(tmp_path, source):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "泵坏\\ud83d", "term": "泵", "label": "消极"}\n', "utf-8")
    manifest = prepare([source, broken], TASK, DataRecipe(), 20, tmp_path / "out")
    assert manifest["reasons"]["bad_text"] == 1
    last = (tmp_path / "out/rejected.jsonl").read_text("utf-8").splitlines()[-1]
    assert json.loads(last)["row"][0] == "泵坏\ud83d"


def test_too_few_examples_leave_no_manifest(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("[泵|消极]坏\n", "utf-8")
    with pytest.raises(DataError, match="would be empty"):
        prepare([source], TASK, DataRecipe(), 20, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"rejected.jsonl", "repaired.jsonl"}


def test_no_sources_or_a_file_as_folder_are_refused(tmp_path, source):
    with pytest.raises(DataError, match=r"data\.sources is empty"):
        prepare([], TASK, DataRecipe(), 20, tmp_path / "out")
    with pytest.raises(DataError, match="a file stands where"):
        prepare([source], TASK, DataRecipe(), 20, source)


def test_single_sentences_need_no_term(tmp_path):
    rows = [json.dumps([chr(0x6000 + i) * 8, "", TASK.labels[i % 3]], ensure_ascii=False) for i in range(30)]
    single = tmp_path / "single.json"
    single.write_text(f"[{','.join(rows)}]", "utf-8")
    task = Task("single", TASK.labels, style="single")
    prepare([single], task, DataRecipe(), 20, tmp_path / "out")
    assert {(e.start, e.end, e.term) for e in load_split(tmp_path / "out", "train")} == {(0, 0, "")}


def test_a_changed_missing_or_empty_file_is_refused(tmp_path, source):
    out = tmp_path / "out"
    prepare([source], TASK, DataRecipe(), 20, out)
    changed = (out / "dev.json").read_text("utf-8").replace("京东", "微博")
    (out / "dev.json").write_text(changed, "utf-8")
    with pytest.raises(DataError, match=r"dev\.json: not the file that manifest\.json describes"):
        load_split(out, "dev")
    (out / "test.json").unlink()
    with pytest.raises(DataError, match=r"test\.json: missing"):
        load_split(out, "test")
    assert load_split(out, "train")
    (out / "train.json").write_text("[]", "utf-8")
    manifest = load_manifest(out)
    manifest["files"]["train.json"] = file_hash(out / "train.json")
    (out / "manifest.json").write_text(json.dumps(sealed(manifest)), "utf-8")
    with pytest.raises(DataError, match="holds no examples"):
        load_split(out, "train")


def test_what_is_no_prepared_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_manifest(tmp_path / "no")
    with pytest.raises(DataError, match=r"holds no manifest\.json.*attar prepare"):
        load_split(tmp_path, "train")
    (tmp_path / "manifest.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="not valid JSON"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"task": 1}', "utf-8")
    with pytest.raises(DataError, match="not the manifest of a prepared folder"):
        load_manifest(tmp_path)


def rows_of(*rows):
    """Rows with the columns of Label Studio's answers: text, term, label, annotator."""
    return "\n".join(
        json.dumps(dict(zip(("text", "term", "label", "annotator"), row, strict=True))) for row in rows
    )


def test_a_held_out_file_is_the_split_and_its_echo_is_rejected(tmp_path, source):
    test = tmp_path / "test.jsonl"
    test.write_text(
        rows_of(("外壳裂了一道缝", "外壳", "消极", ""), ("颜色正合我意", "颜色", "积极", "")), "utf-8"
    )
    echo = tmp_path / "echo.jsonl"
    echo.write_text(rows_of(("外壳裂了一道缝！", "外壳", "消极", "")), "utf-8")
    sources = [
        SourceRecipe(path=str(source)),
        SourceRecipe(path=str(echo)),
        SourceRecipe(path=str(test), split="test"),
    ]
    manifest = prepare_sources(sources, TASK, DataRecipe(), 20, tmp_path / "out")
    assert {e.text for e in load_split(tmp_path / "out", "test")} == {"外壳裂了一道缝", "颜色正合我意"}
    assert manifest["reasons"]["also_held_out"] == 1
    assert manifest["num_examples"] == 62
    audit = json.loads((tmp_path / "out/audit.json").read_text("utf-8"))
    assert audit["num_accepted"] == 62
    assert audit["num_rejected"] == manifest["num_rejected"]


def test_repairs_are_recorded_one_by_one(tmp_path, source):
    more = tmp_path / "more.jsonl"
    text = "😀外壳裂了"
    row = {"text": text, "term": "外壳", "start": 2, "end": 4, "label": "消极"}
    more.write_text(json.dumps(row), "utf-8")
    manifest = prepare([source, more], TASK, DataRecipe(), 20, tmp_path / "out")
    (line,) = (tmp_path / "out/repaired.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["how"] == "utf16"
    assert manifest["num_repaired"] == 1
    strict = prepare([source, more], TASK, DataRecipe(repair=False), 20, tmp_path / "strict")
    assert (strict["num_repaired"], strict["reasons"]["bad_offsets"]) == (0, 1)


def test_weights_train_and_the_majority_is_held_out(tmp_path, source):
    contested = [
        (f"{chr(0x6000 + 97 * i) * 7}外壳", "外壳", label, str(who))
        for i in range(30)
        for who, label in enumerate(("消极", "消极", "中性"))
    ]
    more = tmp_path / "more.jsonl"
    more.write_text(rows_of(*contested), "utf-8")
    manifest = prepare([source, more], TASK, DataRecipe(disagreement="weights"), 20, tmp_path / "out")
    sides = {name: load_split(tmp_path / "out", name) for name in ("train", "dev", "test")}
    contested_in = {name: [e for e in part if e.term == "外壳"] for name, part in sides.items()}
    weights = {(e.label, round(e.weight, 3)) for e in contested_in["train"]}
    assert weights == {("消极", 0.667), ("中性", 0.333)}
    held_out = contested_in["dev"] + contested_in["test"]
    assert held_out
    assert {(e.label, e.weight) for e in held_out} == {("消极", 1.0)}
    assert manifest["reasons"]["no_majority"] == len(held_out)


def test_sentence_pairs_are_read_back(tmp_path):
    task = Task("same", ("0", "1"), "sentence_pair")
    file = tmp_path / "pairs.jsonl"
    rows = [(f"{chr(0x5000 + 83 * i) * 5}吗", f"第{i}个？", str(i % 2), "") for i in range(40)]
    file.write_text(rows_of(*rows), "utf-8")
    prepare([file], task, DataRecipe(), 20, tmp_path / "out")
    found = {
        (e.text, e.second, e.label)
        for name in ("train", "dev", "test")
        for e in load_split(tmp_path / "out", name)
    }
    assert found == {row[:3] for row in rows}

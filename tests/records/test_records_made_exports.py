"""Workbooks, folders, tagged texts and exports of annotation tools, made by a script, with what is right.

The tables' kinds are in ``test_records_made_files``; what ``made`` yields here is written by hand, for
each of these forms is odd in its own way.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared_folder import load_split
from attar.task import BUILT_IN_TASKS

LABELS = ("消极", "中性", "积极")
NUM_ROWS = 48
HEADER = ["text", "term", "label"]


def row(i: int) -> list[str]:
    """A review that is unlike the others, its term and its label."""
    return [f"{chr(0x5000 + 97 * i) * 5}的瓶盖{chr(0x7000 + 89 * i) * 4}", "瓶盖", LABELS[i % 3]]


def read(folder: Path, source: Path | str, **keys: object) -> tuple[list, Counter]:
    """What ``attar prepare`` makes of a source: its examples, and the reasons of what it rejects."""
    out = folder / "prepared"
    chosen = SourceRecipe.model_validate({"path": str(source), **keys})
    manifest = prepare([chosen], BUILT_IN_TASKS["cosmetics"], DataRecipe(), 1, out)
    examples = [example for name in ("train", "dev", "test") for example in load_split(out, name)]
    rejected = [json.loads(line) for line in (out / "rejected.jsonl").read_text("utf-8").splitlines()]
    assert (len(examples), len(rejected)) == (manifest["num_examples"], manifest["num_rejected"])
    return examples, Counter(line["reason"] for line in rejected)


# --- workbooks -------------------------------------------------------------------------------------------


def workbook(path: Path, **sheets: list[list[object]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for cells in rows:
            sheet.append(cells)
    book.save(path)
    return book


ROWS = [HEADER, *map(row, range(NUM_ROWS))]


def test_a_hidden_sheet_is_not_read(tmp_path):
    book = workbook(tmp_path / "b.xlsx", old=[HEADER, *([*row(i)[:2], "积极"] for i in range(9))], new=ROWS)
    book["old"].sheet_state = "hidden"
    book.save(tmp_path / "b.xlsx")
    assert len(read(tmp_path, tmp_path / "b.xlsx")[0]) == NUM_ROWS


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_read_if_it_is_named(tmp_path, state):
    book = workbook(tmp_path / "b.xlsx", cover=[["read me"]], old=ROWS)
    book["old"].sheet_state = state
    book.save(tmp_path / "b.xlsx")
    assert len(read(tmp_path, f"{tmp_path / 'b.xlsx'}#old")[0]) == NUM_ROWS


def test_the_first_sheet_with_the_columns_is_read(tmp_path):
    workbook(tmp_path / "b.xlsx", cover=[["how to label"], ["see below"]], labels=ROWS)
    assert len(read(tmp_path, tmp_path / "b.xlsx")[0]) == NUM_ROWS


@pytest.mark.parametrize(("which", "count"), [("", 20), ("#Jan", 20), ("#Feb", 28), ("#*", NUM_ROWS)])
def test_a_sheet_a_month(tmp_path, which, count):
    workbook(tmp_path / "b.xlsx", Jan=ROWS[:21], Feb=[HEADER, *ROWS[21:]])
    assert len(read(tmp_path, f"{tmp_path / 'b.xlsx'}{which}")[0]) == count


def test_merged_cells(tmp_path):
    rows = [[f"{row(i)[0]}，瓶身", term, LABELS[i % 3]] for i in range(NUM_ROWS) for term in ("瓶盖", "瓶身")]
    book = workbook(tmp_path / "b.xlsx", labels=[HEADER, *rows])
    for top in range(2, 2 + len(rows), 2):
        book["labels"].merge_cells(f"A{top}:A{top + 1}")
        book["labels"].merge_cells(f"C{top}:C{top + 1}")
    book.save(tmp_path / "b.xlsx")
    examples, rejected = read(tmp_path, tmp_path / "b.xlsx")
    assert (len(examples), rejected) == (2 * NUM_ROWS, {})
    assert {(e.text, e.label) for e in examples} == {(text, label) for text, _, label in rows}


def test_escapes_empty_rows_and_errors_in_cells(tmp_path):
    rows = [[f"{text}_x000D_\n完", term, label] for text, term, label in map(row, range(NUM_ROWS))]
    rows[3:3] = [[None, None, None], ["#N/A", "瓶盖", "积极"]]
    workbook(tmp_path / "b.xlsx", labels=[HEADER, *rows])
    examples, rejected = read(tmp_path, tmp_path / "b.xlsx")
    assert (len(examples), sum(rejected.values())) == (NUM_ROWS, 1)
    assert not [e for e in examples if "_x000D_" in e.text]


# --- folders ---------------------------------------------------------------------------------------------


def test_a_folder_with_what_is_no_data(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    workbook(folder / "labels.xlsx", labels=ROWS)
    for name in ("~$labels.xlsx", ".DS_Store", "README.md", "Thumbs.db"):
        (folder / name).write_bytes(b"\x00\x01")
    assert len(read(tmp_path, folder)[0]) == NUM_ROWS


# --- tagged and marked texts -----------------------------------------------------------------------------

POLARITY = {"消极": "NEG", "中性": "NEU", "积极": "POS"}


def tagged(scheme: str, blank: str, newline: str) -> str:
    reviews = []
    for text, term, label in map(row, range(NUM_ROWS)):
        at, tags = text.index(term), ["O"] * len(text)
        first, last = scheme[0], scheme[-1]
        tags[at], tags[at + 1] = f"{first}-{POLARITY[label]}", f"{last}-{POLARITY[label]}"
        lines = [f"{char}{blank}{tag}" for char, tag in zip(text, tags, strict=True)]
        reviews.append(newline.join(lines))
    return (newline * 2).join(reviews) + newline


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("blank", ["\t", " "])
@pytest.mark.parametrize("scheme", ["BI", "BE"])
def test_tagged_reviews(tmp_path, scheme, blank, newline):
    path = tmp_path / "labels.txt"
    path.write_bytes(tagged(scheme, blank, newline).encode())
    examples, rejected = read(tmp_path, path, format="bio")
    assert (len(examples), rejected, {e.term for e in examples}) == (NUM_ROWS, {}, {"瓶盖"})
    assert Counter(e.label for e in examples) == Counter(dict.fromkeys(LABELS, NUM_ROWS // 3))


# --- annotation tools ------------------------------------------------------------------------------------


def task_of_label_studio(i: int, *, value: dict | None = None, results: list | None = None) -> dict:
    text, term, label = row(i)
    at = text.index(term)
    region = {"start": at, "end": at + 2, "text": term, "labels": [label], **(value or {})}
    one = {"id": "r", "type": "labels", "from_name": "label", "to_name": "text", "value": region}
    found = [one] if results is None else results
    annotation = {"id": i, "completed_by": 1, "was_cancelled": False, "result": found}
    return {"id": i, "data": {"text": text}, "annotations": [annotation]}


def export(path: Path, tasks: list[dict]) -> Path:
    path.write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")
    return path


def test_regions_of_label_studio(tmp_path):
    path = export(tmp_path / "p.json", [task_of_label_studio(i) for i in range(NUM_ROWS)])
    examples, rejected = read(tmp_path, path)
    assert (len(examples), rejected) == (NUM_ROWS, {})


@pytest.mark.parametrize("address", ["/data/upload/1/a.txt", "s3://bucket/a.txt", "https://x.cn/a/b.txt"])
def test_a_text_that_is_not_in_the_export(tmp_path, address):
    tasks = [task_of_label_studio(i) for i in range(NUM_ROWS)]
    for task in tasks[:3]:
        task["data"]["text"] = address
        del task["annotations"][0]["result"][0]["value"]["text"]
    examples, rejected = read(tmp_path, export(tmp_path / "p.json", tasks))
    assert (len(examples), sum(rejected.values())) == (NUM_ROWS - 3, 3)


def test_a_region_that_is_narrower_than_its_word(tmp_path):
    tasks = [task_of_label_studio(i, value={"text": "盖"}) for i in range(NUM_ROWS)]
    examples, rejected = read(tmp_path, export(tmp_path / "p.json", tasks))
    assert (len(examples), rejected, {e.term for e in examples}) == (NUM_ROWS, {}, {"瓶盖"})


def test_two_questions_about_a_region(tmp_path):
    tasks = []
    for i in range(NUM_ROWS):
        text, term, label = row(i)
        place = {"start": text.index(term), "end": text.index(term) + 2, "text": term}
        answers = (("kind", "labels", "产品"), ("sentiment", "choices", label), ("strength", "choices", "强"))
        results = [
            {"id": "r", "from_name": name, "to_name": "text", "type": form, "value": place | {form: [said]}}
            for name, form, said in answers
        ]
        tasks.append(task_of_label_studio(i, results=results))
    path = export(tmp_path / "p.json", tasks)
    assert len(read(tmp_path, path)[0]) == NUM_ROWS
    assert len(read(tmp_path, path, columns={"label": "sentiment"})[0]) == NUM_ROWS


@pytest.mark.parametrize("name", ["label", "labels"])
def test_spans_of_doccano(tmp_path, name):
    lines = []
    for text, term, label in map(row, range(NUM_ROWS)):
        at = text.index(term)
        lines.append(json.dumps({"text": text, name: [[at, at + 2, label]]}))
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    examples, rejected = read(tmp_path, path)
    assert (len(examples), rejected, {e.term for e in examples}) == (NUM_ROWS, {}, {"瓶盖"})


def test_spans_of_doccano_with_relations(tmp_path):
    lines = []
    for i, (text, term, label) in enumerate(map(row, range(NUM_ROWS))):
        at = text.index(term)
        entity = {"id": i, "label": label, "start_offset": at, "end_offset": at + 2}
        lines.append(json.dumps({"id": i, "text": text, "entities": [entity], "relations": []}))
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    examples, rejected = read(tmp_path, path)
    assert (len(examples), rejected) == (NUM_ROWS, {})


# --- several terms in one cell ---------------------------------------------------------------------------


@pytest.mark.parametrize("labels", ["积极", "积极、消极"])
def test_several_terms_in_a_cell(tmp_path, labels):
    lines = [f"{row(i)[0]}持妆，遮瑕,持妆、遮瑕,{labels}" for i in range(NUM_ROWS)]
    path = tmp_path / "labels.csv"
    # The comma of the reviews is a full-width one.
    path.write_text("text,term,label\n" + "\n".join(lines), "utf-8")
    examples, rejected = read(tmp_path, path, explode="、")
    assert (len(examples), rejected) == (2 * NUM_ROWS, {})
    assert Counter(e.term for e in examples) == {"持妆": NUM_ROWS, "遮瑕": NUM_ROWS}


# --- encodings -------------------------------------------------------------------------------------------

_HEADS = (
    "我觉得很好用，这个瓶盖不错", "包装破了，瓶盖也掉了", "味道一般，瓶盖太紧", "妈妈说瓶盖打不开",
    "价格便宜，就是瓶盖松", "客服态度差，瓶盖坏了不管", "夏天用着清爽，瓶盖好看", "送货快，瓶盖没有问题",
    "第二次买了，瓶盖比以前轻", "瓶盖的质量和图片上一样",
)  # fmt: skip
_TAILS = ("下次还会再来这家店里买", "朋友看了也说想要一个", "收到以后等了三天才打开")
COMMON = [f"{head}。{tail}" for head in _HEADS for tail in _TAILS]


def in_form(form: str) -> str:
    """Reviews in common words as a file of some form."""
    reviews = [(text, text.index("瓶盖"), LABELS[i % 3]) for i, text in enumerate(COMMON)]
    tags = [POLARITY[label] for *_, label in reviews]
    if form == "markup":
        lines = [f"{t[:at]}[瓶盖|{label}]{t[at + 2 :]}" for t, at, label in reviews]
    elif form == "target":
        lines = [f"{t[:at]}$T${t[at + 2 :]}\n瓶盖\n{label}" for t, at, label in reviews]
    elif form == "triplets":
        found = [f"[({[at, at + 1]}, [0], '{tag}')]" for (_, at, _), tag in zip(reviews, tags, strict=True)]
        lines = [f"{' '.join(t)}####{each}" for t, each in zip(COMMON, found, strict=True)]
    elif form == "bio":
        own = [{at: f"B-{tag}", at + 1: f"I-{tag}"} for (_, at, _), tag in zip(reviews, tags, strict=True)]
        lines = [
            "".join(f"{char}\t{each.get(i, 'O')}\n" for i, char in enumerate(text))
            for text, each in zip(COMMON, own, strict=True)
        ]
    elif form == "lines":
        lines = COMMON
    else:
        rows = [[text, "瓶盖", label] for text, _, label in reviews]
        values = [{"start": at, "end": at + 2, "labels": [label]} for _, at, label in reviews]
        region = {"id": "r", "type": "labels", "from_name": "label", "to_name": "text"}
        tasks = [
            {
                "id": i,
                "data": {"text": text},
                "annotations": [{"id": i, "result": [region | {"value": value}]}],
            }
            for i, (text, value) in enumerate(zip(COMMON, values, strict=True))
        ]
        return json.dumps(rows if form == "rows" else tasks, ensure_ascii=False, indent=0)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16"])
@pytest.mark.parametrize("form", ["markup", "target", "triplets", "bio", "rows", "label_studio", "lines"])
def test_every_format_in_the_encodings_of_excel(tmp_path, form, encoding):
    path = tmp_path / ("labels.json" if form in ("rows", "label_studio") else "labels.txt")
    path.write_bytes(in_form(form).encode(encoding))
    keys = {"format": "lines", "constants": {"term": "瓶盖", "label": "积极"}} if form == "lines" else {}
    examples, rejected = read(tmp_path, path, **keys)
    assert ({e.text for e in examples}, rejected) == (set(COMMON), {})
    assert {e.term for e in examples} == {"瓶盖"}
    (file,) = json.loads((tmp_path / "prepared" / "manifest.json").read_text("utf-8"))["understood"]
    assert (file["format"], file["details"]) == (form, {"encoding": encoding})

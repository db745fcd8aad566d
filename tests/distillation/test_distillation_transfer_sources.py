"""More text for the teacher to answer: read without its labels, never from the held-out side."""

import json
from pathlib import Path

import pytest

from attar.distillation.data.unlabelled import transfer_examples
from attar.distillation.settings import StudentSettings
from attar.distillation.stage import distill
from attar.errors import DataError
from attar.models.checkpoint import load_checkpoint, save_checkpoint
from attar.pipeline import prepare
from attar.recipe.load import DataRecipe, Recipe, SourceRecipe
from attar.records.prepared_folder import load_split
from attar.task import task_by_name

TASK = task_by_name("cosmetics")


def rows_of(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read(*sources, known=()):
    named = [SourceRecipe(path=str(source)) for source in sources]
    return transfer_examples(named, TASK, known, DataRecipe(), Path("never-fetched"))


def test_labels_are_not_read(tmp_path):
    rows = [
        {"text": "口红真的很滋润", "term": "口红", "label": "积极"},
        {"text": "面膜完全不补水", "term": "面膜", "label": "没见过的标签"},
        {"text": "这支眉笔颜色自然", "term": "眉笔"},
        {"text": "没有那个词", "term": "眉笔"},
    ]
    found = read(rows_of(tmp_path / "more.jsonl", rows))
    assert sorted((e.text, e.term, e.label) for e in found) == sorted(
        (row["text"], row["term"], None) for row in rows[:3]
    )


def test_what_is_prepared_or_nearly_so_does_not_come_back(tmp_path, make_examples):
    known = make_examples(10)
    near = known[3].text[:-1] + "！"
    rows = [{"text": e.text, "term": e.term} for e in known]
    rows += [{"text": near, "term": "口红"}, {"text": "一句完全不同的眼影评论", "term": "眼影"}]
    found = read(rows_of(tmp_path / "more.jsonl", rows), known=known)
    assert [e.text for e in found] == ["一句完全不同的眼影评论"]


def test_nothing_left_is_said(tmp_path, make_examples):
    known = make_examples(5)
    source = rows_of(tmp_path / "more.jsonl", [{"text": e.text, "term": e.term} for e in known])
    with pytest.raises(DataError, match=r"distill.transfer .*more.jsonl"):
        read(source, known=known)


def test_the_student_learns_from_it(tmp_path, encoder_folder, make_rows, make_checkpoint):
    fit = {"precision": "fp32", "dropout": 0.0, "epochs": 1}
    more = {"text": "遮瑕味道喜欢买推荐，膏妆持色。", "term": "膏妆"}
    source = rows_of(tmp_path / "more.jsonl", [more])
    recipe = Recipe(
        name="tiny",
        encode={"max_tokens": 24},
        train=fit | {"encoder": str(encoder_folder)},
        student={"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocab_margin": 0},
        distill=fit | {"transfer": (source,)},
    )
    data = prepare(
        recipe, [SourceRecipe(path=str(make_rows(tmp_path / "rows.jsonl", 40)))], tmp_path / "data"
    )
    save_checkpoint(make_checkpoint(), tmp_path / "teacher")
    distill(StudentSettings.taught(recipe), data, [tmp_path / "teacher"], tmp_path / "student")
    student = load_checkpoint(tmp_path / "student")
    assert student.notes["num_train"] == len(load_split(data, "train")) + 1
    assert {"推", "荐", "喜", "欢"} <= set(student.encoder.tokenizer.get_vocab())

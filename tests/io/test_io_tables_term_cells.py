"""Several terms in one cell: parted where the user says so, named where not."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attar.errors import DataError
from attar.io.tables.term_cells import cell_parts, likely_separator
from attar.recipe.load import DataRecipe, SourceRecipe
from attar.records.prepare import prepare
from attar.records.prepared_folder import load_split
from attar.records.readers.sources import read_source
from attar.records.remote.fetch import source_inputs
from attar.scoring.stage import ScoreOptions, score_file
from attar.task import BUILT_IN_TASKS


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("持妆、遮瑕", ["持妆", "遮瑕"]),
        (" 持妆 、、遮瑕、", ["持妆", "遮瑕"]),
        ('["持妆", "遮瑕"]', ["持妆", "遮瑕"]),
        ("['持妆', '遮瑕']", ["持妆", "遮瑕"]),
        (["持妆", 618], ["持妆", "618"]),
        ("[持妆", ["[持妆"]),
        ("", []),
        (None, []),
    ],
)
def test_parts_of_a_cell(cell, parts):
    assert cell_parts(cell, "、") == parts


def test_what_seems_to_part_terms():
    several = ("持妆、遮瑕", "a/b", "持妆，遮瑕", ["a", "b"], '["a","b"]')
    assert [likely_separator(cell) for cell in several] == ["、", "/", "，", "、", "、"]
    assert [likely_separator(cell) for cell in ("持妆", "、持妆", None, 618, ["a"], "")] == [""] * 6


def rows(path, *lines):
    path.write_text("\n".join(["text,term,label", *lines]), "utf-8")
    return SourceRecipe(path=str(path), explode="、")


def test_each_term_is_a_row_with_the_label_of_all_or_its_own(tmp_path):
    source = rows(
        tmp_path / "a.csv",
        "持妆和遮瑕,持妆、遮瑕,积极",
        "持妆和遮瑕好,持妆、遮瑕,积极、消极",
        "持妆,持妆,中性",
        "持妆和遮瑕差,持妆、遮瑕、气味,积极、消极",
        "持妆和遮瑕坏,持妆、遮瑕,",
    )
    found = list(read_source(source))
    assert [(r.term, r.label) for r in found if hasattr(r, "term")] == [
        ("持妆", "积极"), ("遮瑕", "积极"), ("持妆", "积极"), ("遮瑕", "消极"), ("持妆", "中性"),
        ("持妆", None), ("遮瑕", None),
    ]  # fmt: skip
    (refused,) = (r for r in found if not hasattr(r, "term"))
    assert refused.reason == "bad_row"
    assert "3 terms and 2 labels" in refused.message


def test_offsets_are_those_of_a_row_with_one_term(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        {"text": "香，香", "term": ["香"], "start": 2, "end": 3, "label": "积极"},
        {"text": "香和盖", "term": ["香", "盖"], "start": 0, "end": 1, "label": ["积极", "消极"]},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found = list(read_source(SourceRecipe(path=str(path), explode="、")))
    assert [(r.term, r.start, r.label) for r in found] == [
        ("香", 2, "积极"), ("香", None, "积极"), ("盖", None, "消极"),
    ]  # fmt: skip


def test_prepare_names_the_option_where_many_cells_hold_several(tmp_path, caplog):
    lines = [f"{chr(0x5000 + 61 * i) * 6}持妆又遮瑕,持妆、遮瑕,{('积极', '消极')[i % 2]}" for i in range(40)]
    source = rows(tmp_path / "a.csv", *lines)
    task = BUILT_IN_TASKS["cosmetics"]
    with pytest.raises(DataError, match="term_not_found"):
        prepare([source.model_copy(update={"explode": None})], task, DataRecipe(), 1, tmp_path / "one")
    assert "40 of 40 rows seem to name several terms in one cell; explode = '、'" in caplog.text
    manifest = prepare([source], task, DataRecipe(), 1, tmp_path / "each")
    assert manifest["num_examples"] == 80
    terms = {e.term for name in ("train", "dev", "test") for e in load_split(tmp_path / "each", name)}
    assert terms == {"持妆", "遮瑕"}


def test_a_source_without_it_is_stamped_as_before(tmp_path):
    source = rows(tmp_path / "a.csv", "持妆,持妆,积极")
    assert source_inputs(source)["explode"] == "、"
    assert "explode" not in source_inputs(source.model_copy(update={"explode": None}))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_score_splits_terms_or_names_the_option(predictor, tmp_path, ending):
    source = tmp_path / f"in.{ending}"
    cells = [["香味", "口红"], ["香味"], ["口红", "泵"]]
    made = [{"id": i, "text": "香味很好口红不好", "term": terms} for i, terms in enumerate(cells)]
    match ending:
        case "csv":
            lines = [f"{row['id']},{row['text']},{'、'.join(row['term'])}" for row in made]
            source.write_text("\n".join(["id,text,term", *lines]), "utf-8")
        case "jsonl":
            source.write_text("\n".join(map(json.dumps, made)), "utf-8")
        case _:
            pq.write_table(pa.Table.from_pylist(made), source)
    out = tmp_path / "out.jsonl"
    counts = score_file(predictor, source, out, ScoreOptions(split_terms="、"))
    scored = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(int(row["id"]), row["term"]) for row in scored] == [
        (0, "香味"), (0, "口红"), (1, "香味"), (2, "口红"),
    ]  # fmt: skip
    assert (counts.rows, counts.predictions, dict(counts.rejected)) == (3, 4, {"term_not_found": 1})
    (refused,) = counts.rejected_path.read_text("utf-8").splitlines()
    assert json.loads(refused)["row"]["term"] == "泵"
    if ending == "csv":
        counts = score_file(predictor, source, tmp_path / "again.jsonl")
        assert [note for note in counts.notes if "--split-terms 、" in note] == counts.notes[-1:]
        assert counts.rejected["term_not_found"] == 2

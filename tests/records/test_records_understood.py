"""What was understood of a file: shown by a dry run, and in the first lines of every run."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from attar import cli, pipeline
from attar.errors import AttarError
from attar.recipe.load import SourceRecipe, make_recipe
from attar.records.dry_run import dry_run
from attar.records.prepared_folder import load_manifest
from attar.records.understood import FileFacts, Understood, long_lines, short_lines
from attar.task import task_by_name

LABELS = ("好评", "差评", "荐", "Positive")
REVIEW = "这一款我用了三个月瓶盖松了"


def lines(number=40, term="瓶盖"):
    for i in range(number):
        yield f"{i},{chr(0x5000 + 61 * i) * 6}瓶盖松,{term if i else '瓶身'},{LABELS[i % 4]}"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["编号,评论,对象,情感", *lines()]), "utf-8")
    return path


COLUMNS = {"text": "评论", "term": "对象", "label": "情感"}
SAID = [part for name, theirs in COLUMNS.items() for part in ("--column", f"{name}={theirs}")]


def test_a_dry_run_says_what_was_understood_and_writes_nothing(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    result = CliRunner().invoke(cli.app, ["prepare", "labels.csv", "--dry-run", *SAID])
    assert result.exit_code == 0, result.output
    for part in (
        "labels.csv: csv",
        "text = 评论, term = 对象, label = 情感; kept as metadata: '编号'",
        "40 rows, 29 accepted, 11 rejected (unknown_label 10, term_not_found 1)",
        "好评 -> 积极 10, 差评 -> 消极 10, 荐 -> ? 10, Positive -> 积极 10",
        "row 1:    好评 -> term_not_found: 瓶身 in 倀倀倀倀倀倀瓶盖松",
        "row 2:    差评 -> 消极: 瓶盖 [6:8] in",
        "no example has the label 中性",
    ):
        assert part in result.stdout
    assert sorted(path.name for path in file.parent.iterdir()) == ["labels.csv"]


def test_a_dry_run_ends_as_prepare_would_but_shows_the_counts_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(
        "text,term,label\n" + "\n".join(f"{chr(0x5000 + i)}瓶盖,瓶盖,{i % 2}" for i in range(20)), "utf-8"
    )
    Path("b.csv").write_text("a,b\n1,2\n", "utf-8")
    for names, shown, message in (
        (["a.csv"], "0 -> 中性 10, 1 -> 积极 10", r"not the scale"),
        (
            ["a.csv", "b.csv"],
            "text = text, term = term, label = label",
            r"no column 'text'.*--column text=NAME",
        ),
    ):
        result = CliRunner().invoke(cli.app, ["prepare", *names, "--dry-run"])
        assert shown in result.stdout
        with pytest.raises(AttarError, match=message):
            raise result.exception
    result = CliRunner().invoke(cli.app, ["prepare", "a.csv"])
    with pytest.raises(AttarError, match="--out, or try it with --dry-run"):
        raise result.exception


def test_the_first_lines_of_prepare_say_it_too_without_any_review(file, tmp_path, caplog):
    recipe, out = make_recipe({"name": "x"}).with_words(COLUMNS, {}), tmp_path / "data"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"\n99,积极,瓶盖,{REVIEW}")
    for _ in range(2):  # the second time the folder is up to date
        caplog.clear()
        with caplog.at_level(logging.INFO, "attar"):
            pipeline.prepare(recipe, [file], out)
        (line,) = (record.getMessage() for record in caplog.records if str(file) in record.getMessage())
        assert "csv; text = 评论, term = 对象, label = 情感; 41 rows, 29 accepted, 12 rejected" in line
        assert "好评 -> 积极 10" in line
        assert "others 1" in line
        assert REVIEW[:5] not in line
    assert load_manifest(out)["understood"][0]["num_read"] == 41
    assert "csv; text = 评论, term = 对象" in (out / "audit.html").read_text("utf-8")


def test_each_file_of_each_source_has_its_own_counts(file, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    for name, label in (("a.txt", "好评"), ("b.txt", "neg")):
        (folder / name).write_text(f"遮瑕{label}很[持妆|{label}|属性]好\n", "utf-8")
    data = make_recipe({"name": "x", "data": {"columns": COLUMNS}}).data
    sources = [SourceRecipe(path=str(path)) for path in (file, folder)]
    found = dry_run(sources, task_by_name("cosmetics"), data)
    assert [
        (each["format"], each["num_read"], each["num_accepted"]) for each in found.understood.to_json()
    ] == [
        ("csv", 40, 29),
        ("markup", 1, 1),
        ("markup", 1, 1),
    ]
    assert found.understood.to_json()[2]["labels"] == [{"spelling": "neg", "label": "消极", "num": 1}]


def test_what_a_reader_adds_is_shown():
    understood = Understood(task_by_name("cosmetics"))
    facts = FileFacts("a.xlsx", "excel")
    columns = SimpleNamespace(flat={"text": "评论"}, nested={"label": ["said", "0"]}, taken={"评论", "said"})
    for sheet in ("三月", "四月"):
        table = SimpleNamespace(columns=("评论", "said", "id"), sheet=sheet, encoding="gb18030")
        facts.of_table(table, columns)
    understood.opened(facts)
    (file,) = understood.to_json()
    assert json.loads(json.dumps(file)) == file
    assert long_lines(file, [])[:2] == [
        "a.xlsx: excel, sheet 三月, 四月, encoding gb18030",
        "  columns:  text = 评论, label = said.0; kept as metadata: 'id'",
    ]
    assert short_lines([file] * 12)[-1] == "and 2 more files"

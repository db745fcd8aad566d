"""The documentation says what the code does: keys, options, commands, reasons, codes, files."""

import ast
import dataclasses
import importlib.util
import re
import runpy
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import typer

from attar.artifact import ARTIFACT_FILES, Artifact
from attar.bench.timing import Speed
from attar.cli.app import app
from attar.distillation.matches import MatchLoss
from attar.evaluation.report import Candidate, evaluate
from attar.export.parity import compare_int8
from attar.models.checkpoint import CHECKPOINT_FILES
from attar.pipeline import RunFolders
from attar.recipe.load import EvaluateRecipe, SourceFormat, load_recipe
from attar.records.audit.summary import Summary
from attar.records.record import Reason
from attar.scoring.row_limit import TOO_MANY
from attar.serving.rows import _REASONS
from attar.serving.service import _CODES
from attar.task import Example, task_by_name
from attar.text.repair import How

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CLASSIC = ROOT / "classic"
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
PAGES = [
    CLASSIC / "README.md",
    ROOT / "corpus" / "README.md",
    *sorted(DOCS.glob("*.md")),
    *HOW_TO,
    *(ROOT / f"{name}.md" for name in ("README", "README.zh", "CONTRIBUTING", "CHANGELOG")),
]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def lines_of(page):
    """The lines of a page's bash and console blocks, joined where they go on."""
    found = [*blocks(page, "bash"), *blocks(page, "console")]
    return "\n".join(found).replace("\\\n", " ").splitlines()


def commands(page):
    """Those that call attar."""
    lines = lines_of(page)
    calls = (re.search(r"(?:^|\s)attar (?P<rest>.*)", line) for line in lines if not line.startswith("#"))
    return [shlex.split(call["rest"], comments=True) for call in calls if call]


def anchors(page, level="#+"):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(rf"^{level} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def codes_of_table(heading):
    text = (DOCS / "reference.md").read_text("utf-8")
    table = text.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}


@pytest.fixture(scope="module")
def make_reference():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_code_says(make_reference):
    text = (DOCS / "reference.md").read_text("utf-8")
    assert make_reference.rewritten(text) == text, "run .venv/bin/python docs/make_reference.py"


def test_a_lost_marker_is_said(make_reference):
    with pytest.raises(SystemExit, match="markers of 'presets'"):
        make_reference.rewritten("# Reference\n")


@pytest.mark.parametrize(
    ("heading", "codes"), [("reason in prepare", Reason), ("repair", How), ("format", SourceFormat)]
)
def test_codes_of_the_records_are_all_there(heading, codes):
    assert codes_of_table(heading) == set(get_args(codes))


def test_score_reasons_are_all_there():
    src = ROOT / "src" / "attar"
    found = set()
    for path in (src / "io" / "tables").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    for node in ast.walk(ast.parse((src / "scoring" / "spans.py").read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns).endswith("| str"):
            returns = (each for each in ast.walk(node) if isinstance(each, ast.Return))
            constants = (
                leaf for each in returns for leaf in ast.walk(each) if isinstance(leaf, ast.Constant)
            )
            found |= {leaf.value for leaf in constants if isinstance(leaf.value, str)}
    assert codes_of_table("reason in score") == found | {TOO_MANY}


def test_folders_and_files_are_named():
    text = (DOCS / "reference.md").read_text("utf-8")
    prepared = ("rejected.jsonl", "repaired.jsonl", "audit.json", "audit.html", "manifest.json")
    folders = (f"{folder}/" for folder in RunFolders._fields)
    for name in (*ARTIFACT_FILES, *CHECKPOINT_FILES, *prepared, *folders):
        assert f"`{name}`" in text, name


def test_what_prepare_counts_is_explained():
    text = (DOCS / "reference.md").read_text("utf-8")
    table = text.split("`audit.json`:", 1)[1].split("\n## ", 1)[0]
    for key in Summary(task_by_name("cosmetics")).to_json():
        assert f"`{key}`" in table, key


def section(heading):
    """The reference from a heading to the next one of its level."""
    text = (DOCS / "reference.md").read_text("utf-8")
    assert f"\n### {heading}\n" in text
    return text.split(f"\n### {heading}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]


def missing_keys(table, value):
    """Keys of a nested mapping that no row of a table names, whatever the level."""
    keys = {key for key in value if f"`{key}`" not in table}
    return keys.union(*(missing_keys(table, one) for one in value.values() if isinstance(one, dict)))


def test_what_an_artifact_says_is_explained():
    task, gold = task_by_name("cosmetics"), np.eye(3, dtype=np.float32)
    examples = [Example("好", 0, 1, label) for label in task.labels]
    reference = SimpleNamespace(task=task, examples=examples, logits=gold, num_dev=2)
    parity = compare_int8(reference, gold)
    assert not missing_keys(section("The artifact"), parity)
    card = Artifact(ROOT, task, {"max_tokens": 8}, "int8").to_json()
    assert not missing_keys(section("The artifact"), dict.fromkeys(card))


@pytest.mark.usefixtures("moments")
def test_what_a_report_says_is_explained(tmp_path):
    task = task_by_name("cosmetics")
    examples = [Example(f"{i}好", 1, 2, label, {"channel": "x"}) for i, label in enumerate(task.labels)]
    candidate = Candidate("teacher", lambda some: np.eye(3, dtype=np.float32)[: len(some)])
    settings = EvaluateRecipe(bootstrap=10, speed_examples=1, speed_repeats=1)
    report = evaluate([candidate], examples, task, settings, title="x", out=tmp_path)
    model = report.pop("models")["teacher"]
    ratios = {f"ratios.{key}": None for key in report.pop("ratios")}
    table = section("report.json")
    assert not missing_keys(table, dict.fromkeys([*report, *ratios, "models", *model]))
    assert not missing_keys(table, dict.fromkeys(field.name for field in dataclasses.fields(Speed)))


@every_page
def test_every_command_is_one_that_attar_takes(page):
    root = typer.main.get_command(app)
    for words in commands(page):
        verb = next(word for word in words if not word.startswith("-"))
        assert verb in root.commands, words
        # Raises for an option or an argument that the verb does not know; runs nothing.
        root.commands[verb].make_context(verb, words[words.index(verb) + 1 :])


@pytest.fixture
def classic_help(monkeypatch, capsys):
    """``classic_help(script)``: what a command of classic/ says to --help."""
    monkeypatch.setattr(sys, "path", [str(CLASSIC), *sys.path])

    def say(script):
        monkeypatch.setattr(sys, "argv", [script, "--help"])
        with pytest.raises(SystemExit):
            runpy.run_path(str(CLASSIC / script), run_name="__main__")
        return capsys.readouterr().out

    return say


def test_every_classic_command_is_one_that_is_there(classic_help):
    calls = [
        shlex.split(call[1])
        for page in (CLASSIC / "README.md", *HOW_TO)
        for line in lines_of(page)
        if (call := re.search(r"(?:^|\s)python (.*)", line))
    ]
    known = {script: flags_of(classic_help(script)) for script in {call[0] for call in calls}}
    assert {"main.trainer.py", "main.distill.py", "main.multiteacher.py", "api_absa.py"} <= set(known)
    for script, *words in calls:
        assert {word for word in words if word.startswith("--")} <= known[script], script


def test_every_tool_has_a_command():
    text = (CLASSIC / "README.md").read_text("utf-8")
    for path in (*(CLASSIC / "utils").glob("*.py"), *CLASSIC.glob("*.py")):
        assert f"python {path.relative_to(CLASSIC)}" in text, path.name
    for path in CLASSIC.glob("*.sh"):
        assert f"`{path.name}`" in text, path.name


def test_every_classic_flag_is_in_its_table(classic_help):
    text = (CLASSIC / "README.md").read_text("utf-8")
    table = text.split("| flag |", 1)[1].split("\n\n", 1)[0]
    named = {flag for row in table.splitlines() for flag in flags_of(row.split("|")[1])}
    assert named == flags_of(classic_help("main.distill.py")) - {"--help"}


def flags_of(text):
    return set(re.findall(r"(?<!\S)[`\[]*(--\w[\w-]*)", text))


def test_codes_of_the_service_are_all_there():
    found = set()
    package = ROOT / "src" / "attar"
    for path in [*(package / "serving").glob("*.py"), *(package / "classic").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
                found |= {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
    found |= {*_REASONS, *_CODES.values(), "text_too_long", "head_too_long"}
    # Of rows that have an error of their own; a request is never refused with them.
    found -= {"term_not_found", "bad_text"}
    assert codes_of_table("code") == found


def test_losses_of_matches_are_all_there():
    assert codes_of_table("loss") == set(get_args(MatchLoss))


def test_every_recipe_of_the_how_to_loads(tmp_path, monkeypatch):
    recipes = [text for page in HOW_TO for text in blocks(page, "toml")]
    assert recipes
    for number, text in enumerate(recipes):
        path = tmp_path / f"recipe_{number}.toml"
        path.write_text(text, "utf-8")
        for name in re.findall(r"\$(\w+)", text):
            monkeypatch.setenv(name, "x")
        load_recipe(path)


@every_page
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@every_page
def test_links_to_headings_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]*)#([^)]+)\)", page.read_text("utf-8"))
    pages = ((page.parent / name if name else page, anchor) for name, anchor in links)
    missing = [(target.name, anchor) for target, anchor in pages if anchor not in anchors(target)]
    assert not missing


@every_page
def test_paths_that_are_named_exist(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("a changelog also names what is gone")
    text = page.read_text("utf-8")
    inside = re.findall(r"(?<![\w/.-])(?:src/)?attar/[\w/]+\.\w+", text)
    outside = re.findall(r"(?<![\w/.-])(?:src|tests|benchmarks|recipes|docs|corpus)/[\w./-]*\w", text)
    named = {*(f"src/{path.removeprefix('src/')}" for path in inside), *outside} - {"recipes/NAME.toml"}
    assert not [path for path in sorted(named) if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.name)
def test_a_how_to_page_is_of_readable_length_and_in_the_contents(page):
    contents = DOCS / "how-to" / "README.md"
    if page != contents:
        assert 100 <= len(page.read_text("utf-8").splitlines()) <= 250
        listed = re.findall(rf"\]\({page.name}#([^)]+)\)", contents.read_text("utf-8"))
        assert set(listed) == anchors(page, "##")


def test_the_tree_of_the_readme_has_every_package():
    for name in ("README.md", "README.zh.md"):
        tree = (ROOT / name).read_text("utf-8").split("src/attar/", 1)[1]
        entries = {path.name for path in (ROOT / "src" / "attar").iterdir() if path.suffix in {"", ".py"}}
        for entry in entries - {"__init__.py", "__pycache__"}:
            assert re.search(rf"(?<![\w/]){re.escape(entry)}(?!\w)", tree), (name, entry)


def test_the_chinese_readme_is_as_complete_as_the_english_one():
    counts = []
    for name in ("README.md", "README.zh.md"):
        text = (ROOT / name).read_text("utf-8")
        pages = set(re.findall(r"\]\(((?:docs|classic|corpus|CONTRIBUTING)[^)#]*)", text))
        counts.append((len(re.findall(r"^## ", text, re.MULTILINE)), text.count("```"), pages))
    assert counts[0] == counts[1]

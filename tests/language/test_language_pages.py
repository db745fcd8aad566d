"""Nothing that people read stands outside of the catalogs: templates, the insight page, workbooks."""

import json
import re
from pathlib import Path

import jinja2
import openpyxl
import pytest

from attar.insight.messages import MESSAGES, Plural, message, messages_of
from attar.language.translator import translator
from attar.workbook.sheets import Column, open_workbook
from attar.workbook.tally import ResultSheets, write_tally

SOURCES = Path(__file__).resolve().parents[2] / "src" / "attar"
TEMPLATES = sorted(SOURCES.rglob("*.j2"))
NAMES = {"attar", "nbsp", "macro"}  # the program's own, and an entity


def untranslated(source):
    """The words of a template outside of its tags, its strings and its marked blocks."""
    found, is_marked, opened = [], False, False
    for _, kind, value in jinja2.Environment(autoescape=True).lex(source):
        if kind == "block_begin":
            opened = True
        elif kind == "name" and opened:
            is_marked = value == "trans" or (is_marked and value != "endtrans")
            opened = False
        elif kind == "data" and not is_marked:
            found.append(value)
    text = re.sub(r"(?s)<(style|script)>.*?</\1>", " ", "".join(found))
    shown = re.findall(r'(?:title|aria-label|placeholder|alt)="([^"]+)"', text)
    text = re.sub(r"<[^>]*>", " ", text) + " ".join(shown)
    return set(re.findall(r"[A-Za-z]{3,}", text)) - NAMES


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_marks_all_its_words(path):
    assert untranslated(path.read_text("utf-8")) == set()


def test_an_unmarked_word_is_found():
    source = (
        "<p title=\"{{ _('Yes') }}\">{% trans %}marked{% endtrans %} bare {{ _('fine') }}</p>"
        '<b aria-label="hidden">{% if a %}deep{% endif %}</b>{# remark #}<style>p {}</style>'
    )
    assert untranslated(source) == {"bare", "hidden", "deep"}


def test_the_insight_page_names_strings_that_there_are():
    script = (SOURCES / "insight" / "page.js").read_text("utf-8")
    named = set(re.findall(r"\bM\.(\w+)", script)) | set(re.findall(r'\bsay\("(\w+)"', script))
    assert named
    assert named <= set(MESSAGES)
    # A word that a person would read begins with a capital; the rest are names of tags, classes and styles.
    assert re.findall(r'"[A-Z][a-z]+(?: [a-z]+)*"', re.sub(r"//.*", "", script)) == []


def test_every_string_of_the_insight_page_is_in_the_catalog():
    english, chinese = messages_of("en"), messages_of("zh")
    same = {key for key in english if english[key][-1] == chinese[key][-1]}
    assert same == set(), "written so that the catalog does not find them"


def test_every_string_of_the_insight_page_is_used():
    texts = "".join(
        path.read_text("utf-8") for path in (SOURCES / "insight").iterdir() if path.suffix in (".py", ".js")
    )
    built = {f"say_{kind}" for kind in ("difference", "change", "trend")}
    built |= {f"{of}_{kind}" for of in ("corrected", "method") for kind in ("labels", "report")}
    unused = {key for key in MESSAGES if not re.search(rf'(\bM\.|"){key}\b(?!":)', texts)} - built
    assert unused == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_strings_of_the_insight_page_have_their_forms(language):
    found = messages_of(language)
    assert found.keys() == MESSAGES.keys()
    for key, text in MESSAGES.items():
        has_two = isinstance(text, Plural) and language == "en"
        assert len(found[key]) == (2 if has_two else 1), key
    json.dumps(found)


def test_a_message_counts():
    assert message("en", "num_mentions", num=1) == "1 mention"
    assert message("en", "num_mentions", num=1234) == "1,234 mentions"
    assert message("zh", "num_mentions", num=1) == "1 处提及"


def test_a_scored_workbook_is_in_chinese(tmp_path):
    tr, path = translator("zh"), tmp_path / "made.xlsx"
    with open_workbook(path) as book:
        page = book.sheet(tr("summary"))
        sheets = ResultSheets(book, [Column("text")], ["消极", "积极"], tr)
        sheets.add(["甲"], "消极", "消极", prob=0.9, groups={"channel": "京东", "wordtype": "属性"})
        sheets.add(["乙"], "消极", "积极", prob=0.8, groups={"channel": "京东", "wordtype": "属性"})
        write_tally(page, sheets.tally, tr=tr)
    made = openpyxl.load_workbook(path)
    assert made.sheetnames == ["汇总", "结果", "错误", "正确"]
    cells = [
        str(cell) for row in made["汇总"].iter_rows(values_only=True) for cell in row if cell is not None
    ]
    assert [cell for cell in cells if re.search("[A-Za-z]{3,}", cell)] == []
    assert {"准确率", "宏平均 F1", "混淆矩阵", "按渠道", "按词类"} <= set(cells)

"""The catalogs: no string of the code is missing in them, and the compiled ones are those of the text."""

import ast
import importlib.util
import re
import string
from pathlib import Path

import pytest

from attar.language.translator import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]
CHINESE = re.compile("[\u4e00-\u9fff]")
# A translation without a Chinese character: punctuation and values.
SAME = re.compile(r"[\W\d_]*(({\w+}|%\(\w+\)s)[\W\d_]*)*")


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker():
    pytest.importorskip("babel")
    return load("make_catalogs")


@pytest.fixture(scope="module", params=[language for language in LANGUAGES if language != "en"])
def language(request):
    return request.param


def forms(message):
    """The English strings of a message and its translations."""
    ids = message.id if isinstance(message.id, tuple | list) else (message.id,)
    said = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return ids, said


def names(text):
    """The values in a string, as both ways of writing them have it."""
    braces = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return braces | {f"%{name}" for name in re.findall(r"(?<!%)%\((\w+)\)s", text)}


def test_a_catalog_has_the_strings_of_today(maker, language):
    path = maker.LOCALES / language / "LC_MESSAGES" / "attar.po"
    assert maker.written(maker.updated(language)) == path.read_bytes(), "run docs/make_catalogs.py"


def test_the_compiled_catalog_is_that_of_the_text(maker, language):
    path = maker.LOCALES / language / "LC_MESSAGES" / "attar.mo"
    assert maker.compiled(maker.catalog_of(language)) == path.read_bytes(), "run docs/make_catalogs.py"


def test_no_string_lacks_its_translation(maker, language):
    catalog = maker.updated(language)
    assert len(catalog) > 100
    assert list(maker.missing(catalog)) == []
    assert [message.id for message in catalog if message.fuzzy and message.id] == []


def test_a_translation_is_in_its_language_and_has_the_values_of_its_string(maker, language):
    for message in maker.catalog_of(language):
        if not message.id:
            continue
        ids, said = forms(message)
        wanted = set().union(*map(names, ids))
        for text in said:
            assert CHINESE.search(text) or SAME.fullmatch(text), f"not translated: {ids[0]}"
            assert names(text) <= wanted, f"other values: {text}"
            # A form of one may leave its number out, and so may a language that has one form alone.
            assert wanted - names(text) <= {"num"} if len(ids) > 1 else wanted == names(text), text


def marked(path):
    """The strings that a file marks, as Python itself reads them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            places = {"tr": (0,), "N_": (0,), "phrase": (0,), "plural": (0, 1), "context": (1,)}.get(name, ())
            for argument in (node.args[place] for place in places if place < len(node.args)):
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def test_no_marked_string_is_missed(maker):
    found = {text for message in maker.collected() for text in forms(message)[0]}
    everywhere = {text for path in maker.SOURCES.rglob("*.py") for text in marked(path)}
    assert everywhere - found == set()
    assert len(everywhere) > 300


def test_a_string_without_a_translation_is_found(maker):
    catalog = maker.catalog_of("zh")
    catalog.add("nobody has translated this")
    catalog.add(("{num} thing", "{num} things"), ("",))
    assert list(maker.missing(catalog)) == ["nobody has translated this", "('{num} thing', '{num} things')"]


def test_marked_strings_are_collected_from_code_and_templates(maker):
    found = maker.collected()
    places = {place for message in found for place, _ in message.locations}
    assert {"insight/messages.py", "records/audit/audit.html.j2", "records/audit/page.py"} <= places

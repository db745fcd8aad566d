"""Strings in a language, and which language it is."""

import pytest

from attar.errors import RecipeError
from attar.language.translator import (
    ENGLISH,
    asked_language,
    language_of_locale,
    page_environment,
    page_language,
    translator,
)

CHINESE = translator("zh")


@pytest.fixture
def locale(monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


def test_the_string_itself_is_english():
    assert ENGLISH("{used} of {read} rows can be used.", used=1200, read=1500) == (
        "1,200 of 1,500 rows can be used."
    )
    assert CHINESE("{used} of {read} rows can be used.", used=1200, read=1500) == (
        "1,500 行中有 1,200 行可以使用。"
    )


def test_plurals():
    said = ("{num} mention", "{num} mentions")
    assert [ENGLISH.plural(*said, num) for num in (0, 1, 2, 1000)] == [
        "0 mentions", "1 mention", "2 mentions", "1,000 mentions",
    ]  # fmt: skip
    assert [CHINESE.plural(*said, num) for num in (1, 1000)] == ["1 处提及", "1,000 处提及"]


def test_a_string_that_no_catalog_has_stays_as_it_is():
    assert CHINESE("of nobody's making") == "of nobody's making"
    assert CHINESE("") == ""  # in a catalog this is its head
    assert CHINESE("100 % {}") == "100 % {}"


def test_values_are_not_read_as_strings_with_values():
    assert ENGLISH("{name}", name="{other}") == "{other}"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh"}, "zh"),
        ({"LANG": "de_DE"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
    ],
)
def test_the_locale_names_the_language(locale, variables, language):
    for name, value in variables.items():
        locale(name, value)
    assert language_of_locale() == page_language(None) == language
    assert asked_language(None) == "en"
    assert page_language("zh") == asked_language("zh") == "zh"
    assert page_language("en") == "en"


@pytest.mark.parametrize("asked", ["", "ZH", "zh_CN", "de"])
def test_an_unknown_language_is_refused(asked):
    with pytest.raises(RecipeError, match="expected en or zh"):
        page_language(asked)
    with pytest.raises(RecipeError, match="expected en or zh"):
        asked_language(asked)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "rejected, 3 % of the rows"), ("zh", "行未采用，占 3%")]
)
def test_templates_speak_it_and_escape_values(language, said):
    template = page_environment("attar.evaluation", language).from_string(
        "{{ language_tag }} {% trans share=share %}rejected, {{ share }} % of the rows{% endtrans %}"
    )
    tag = {"en": "en", "zh": "zh-CN"}[language]
    assert template.render(share="3") == f"{tag} {said}"
    assert "<" not in template.render(share="<b>")

"""--lang: which verbs have it, what it changes, and what stays English."""

from __future__ import annotations

import inspect
import re

import pytest

from attar.cli.app import app
from attar.cli.options import lines_in
from attar.errors import RecipeError

CHINESE = re.compile("[\u4e00-\u9fff]")
NO_LINES = {"serve"}  # its page asks the browser


def test_every_verb_that_ends_with_lines_takes_a_language():
    verbs = {
        command.callback.__name__: inspect.signature(inspect.unwrap(command.callback)).parameters
        for command in app.registered_commands
    }
    assert {name for name, parameters in verbs.items() if "lang" not in parameters} == NO_LINES


def test_lines_are_english_unless_another_language_is_asked_for(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert lines_in(None).language == "en"
    assert lines_in("zh").language == "zh"
    with pytest.raises(RecipeError, match="--lang fr: expected en or zh"):
        lines_in("fr")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "nothing is left of killed commands"),
        (("--lang", "zh"), "没有中断的命令留下的文件"),
        (("--lang", "en"), "nothing is left of killed commands"),
    ],
)
def test_the_last_line_of_a_verb(attar_main, monkeypatch, tmp_path, options, line):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    code, out, err = attar_main("clean", tmp_path, *options)
    assert (code, out.strip()) == (0, line)
    assert not CHINESE.search(err)


def test_an_unknown_language_is_refused_before_anything_is_written(attar_main, tmp_path):
    (tmp_path / "reviews.csv").write_text("text\n粉底液很好\n", "utf-8")
    options = ("--out", tmp_path / "terms.csv", "--lang", "de")
    code, _, err = attar_main("terms", tmp_path / "reviews.csv", *options)
    assert code == 2
    assert "--lang de: expected en or zh" in err
    assert not (tmp_path / "terms.csv").exists()

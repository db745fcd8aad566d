"""The page as it is carried: whole, without a network, strict, and in two languages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import attar.serving.page
from attar.scoring.spans import ExampleReader
from attar.serving.app import AppOptions, create_app

FOLDER = Path(attar.serving.page.__file__).with_name("page_files")
SCRIPTS = sorted(FOLDER.glob("*.js"))
HTML = (FOLDER / "page.html").read_text("utf-8")
CATALOGS = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}
PREFIXES = ("label ", "reason ")  # made of a word of the service's


def strings():
    """All that the page may show, as it is named in its files."""
    found = set(re.findall(r'data-msg(?:-label|-placeholder)?="([^"]+)"', HTML))
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        found |= set(re.findall(r'\bt\(\s*"([^"]+)"', text))
        for one, many in re.findall(r'\btn\(\s*"([^"]+)",\s*"([^"]+)"', text):
            found |= {one, many}
    words = re.search(r"const WORDS = \{(.*?)\n\};", (FOLDER / "service.js").read_text("utf-8"), re.DOTALL)[1]
    return {one for one in found | set(re.findall(r': "([^"]+)"', words)) if one not in PREFIXES}


def placeholders(text):
    return set(re.findall(r"\{\w+\}", text))


def test_every_string_has_its_chinese_and_no_other_is_kept():
    ours = {one for one in CATALOGS["zh"] if not one.startswith(PREFIXES)}
    assert strings() == ours
    assert {one for one in CATALOGS["en"] if not one.startswith(PREFIXES)} == set()
    for english, chinese in CATALOGS["zh"].items():
        assert chinese.strip()
        assert english.startswith(PREFIXES) or placeholders(english) == placeholders(chinese), english


@pytest.mark.parametrize("name", sorted(CATALOGS))
def test_every_reason_has_its_words(name):
    reference = Path(__file__).parents[2] / "docs/reference.md"
    table = reference.read_text("utf-8").split("| reason in score |", 1)[1].split("\n\n", 1)[0]
    reasons = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}
    assert {f"reason {one}" for one in reasons} == {
        one for one in CATALOGS[name] if one.startswith("reason ")
    }
    assert ExampleReader.__module__ == "attar.scoring.spans"  # where most of them come from


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.files, self.ids, self.inline = [], [], []

    def handle_starttag(self, tag, attributes):
        held = dict(attributes)
        self.files += [held[name] for name in ("src", "href") if name in held]
        self.ids += [held["id"]] if "id" in held else []
        self.inline += [name for name in held if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in held) else []


def test_the_page_comes_whole_from_the_service_and_holds_nothing_inline(predictor):
    places = Tags()
    places.feed(HTML)
    assert places.inline == []
    assert len(set(places.ids)) == len(places.ids)
    with TestClient(create_app(predictor, api_key="abc")) as client:
        page = client.get("/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.text == HTML
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        for one in places.files:
            if not one.startswith(("#", "?")):
                assert client.get(f"/{one}").status_code == 200, one
        for path in FOLDER.iterdir():
            if path.suffix != ".html":
                assert client.get(f"/page/{path.name}").content == path.read_bytes()
        assert client.head("/").status_code == 200
        assert client.get("/page/page.html").status_code == client.get("/page/../app.py").status_code == 404


def test_no_file_of_the_page_names_another_place():
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"https?://|//\w+\.\w+", text), path
        assert "innerHTML" not in text
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        for other in re.findall(r'from "\./([^"]+)"', text):
            assert (FOLDER / other).is_file()
        ids = set(re.findall(r'\$\("([^"]+)"\)', text)) | set(
            re.findall(r'getElementById\("([^"]+)"\)', text)
        )
        assert ids <= set(re.findall(r'id="([^"]+)"', HTML)), path


def test_the_page_and_uploads_can_be_off(predictor):
    with TestClient(create_app(predictor, options=AppOptions(page=False))) as client:
        for path in ("/", "/page/page.js", "/v1/files"):
            assert client.get(path).json()["code"] == "not_found"
        assert "/v1/files" not in client.get("/openapi.json").json()["paths"]
        assert client.get("/docs").status_code == 200


def test_the_window_is_what_the_model_reads(predictor):
    text = "香味很好但是持妆太差了，" * 6 + "口红好"
    rows = [{"text": text, "term": "口红"}, {"text": "口红好", "term": "口红"}]
    with TestClient(create_app(predictor)) as client:
        reply = client.post("/v1/score", json={"rows": rows, "window": True}).json()
        long, short = (row["mentions"][0] for row in reply["rows"])
        assert short["window"] == [0, 3]
        start, end = long["window"]
        assert 0 < start <= long["start"] < long["end"] <= end == len(text)
        plain = client.post("/v1/score", json={"rows": rows}).json()["rows"][0]["mentions"][0]
        assert "window" not in plain
        assert plain["prob"] == long["prob"]
        # Nothing beyond the window changes the answer.
        cut = client.post("/v1/score", json={"rows": [{"text": text[start:], "term": "口红"}]}).json()
        assert cut["rows"][0]["mentions"][0]["probs"] == long["probs"]
        bad = client.post("/v1/score", json={"rows": rows, "window": 1})
        assert (bad.status_code, bad.json()["code"]) == (422, "invalid_request")

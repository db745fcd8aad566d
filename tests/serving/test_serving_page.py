"""The page as it is carried: whole, without a network, strict, and in two languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from fastapi.testclient import TestClient

import attar.serving.page
from attar.scoring.spans import ExampleReader
from attar.serving.app import AppOptions, create_app

FOLDER = Path(attar.serving.page.__file__).with_name("page_files")
SCRIPTS = sorted(FOLDER.glob("*.js"))
HTML = (FOLDER / "page.html").read_text("utf-8")


def test_every_string_of_the_page_is_marked_and_has_its_chinese(predictor):
    with TestClient(create_app(predictor)) as client:
        words = client.get("/page/zh.json").json()
        assert client.get("/page/en.json").status_code == 404
    marked = set(re.findall(r'data-msg[a-z-]*="([^"]+)"', HTML))
    for path in SCRIPTS:
        text = re.sub(r"//.*|/\*.*\*/", "", path.read_text("utf-8"))
        marked.update(said for _, said in re.findall(r"\b(?:t|tn|N_)\(\s*([\"'`])(.+?)\1", text))
        marked.update(re.findall(r'"([A-Z][^"]* [^"]+)"', text))  # what looks like a sentence
    assert marked <= set(words)
    assert len(marked) > 90
    for english, chinese in words.items():
        assert chinese != english
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
    assert words["Ask"] == "分析"


def test_every_reason_has_its_words():
    reference = Path(__file__).parents[2] / "docs/reference.md"
    table = reference.read_text("utf-8").split("| reason in score |", 1)[1].split("\n\n", 1)[0]
    reasons = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}
    listed = re.search(r"const REASONS = \{(.*?)\n\};", (FOLDER / "files.js").read_text("utf-8"), re.DOTALL)[
        1
    ]
    assert set(re.findall(r"(\w+): N_", listed)) == reasons
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

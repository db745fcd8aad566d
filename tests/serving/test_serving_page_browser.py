"""The page in a real browser: Debian's Chromium, driven by playwright's client; skipped without one."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import uvicorn

from attar.serving.app import AppOptions, create_app
from attar.serving.keys import Keys
from attar.serving.models import Models
from attar.serving.rows import KnownTerms
from attar.serving.server import listen, serve
from attar.terms.term_list import read_term_list

HANG_S = 600
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEXT = "口红好，香味差😀持妆好"
HELD = f"#text={quote(TEXT)}"


class Browser:
    """Chromium, and the one thread that may speak to it.

    Playwright's client runs its calls in greenlets, in which Python 3.11 cannot parse: pytest could not show a
    failure.
    """

    def __init__(self, sync_api):
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self.playwright, self.chromium = self.run(self.start, sync_api)

    def start(self, sync_api):
        playwright = sync_api.sync_playwright().start()
        # A container's root cannot make the sandbox's namespaces; nothing but our own page is opened.
        return playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

    def run(self, work, *args, **kwargs):
        return self.thread.submit(work, *args, **kwargs).result(HANG_S)

    def stop(self):
        self.run(self.chromium.close)
        self.run(self.playwright.stop)
        self.thread.shutdown()


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    made = Browser(sync_api)
    yield made
    made.stop()


def in_browser(test):
    """Run a test in the browser's thread."""

    @functools.wraps(test)
    def run(**fixtures):
        fixtures["opened"].browser.run(test, **fixtures)

    return run


@contextlib.contextmanager
def served(models, **options):
    servers = []
    listener = listen("127.0.0.1", 0)
    app = create_app(models, options=AppOptions(**options))
    with pytest.MonkeyPatch.context() as patch:
        real = uvicorn.Server
        patch.setattr(uvicorn, "Server", lambda config: servers.append(real(config)) or servers[0])
        thread = threading.Thread(target=serve, args=(app, listener), kwargs={"grace_s": 1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            while not servers:
                pass
            servers[0].should_exit = True
            thread.join(HANG_S)


@pytest.fixture(scope="module")
def other(export_tiny):
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor
    from attar.task import Task

    made = Predictor(load_artifact(export_tiny(Task("tiny", ("坏", "中", "好")))), workers=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(predictor, other, tmp_path_factory):
    path = tmp_path_factory.mktemp("terms") / "terms.csv"
    path.write_text("term,synonyms,category\n口红,唇膏,彩妆\n气味,香味,感官\n", "utf-8")
    terms = KnownTerms.of(read_term_list(path))
    with served(Models({"first": predictor, "second": other}), terms=terms) as place:
        yield place


class Opener:
    """``opened(address, **of_the_context)``: a page, and what the browser complained about."""

    def __init__(self, browser):
        self.browser, self.contexts, self.complaints, self.elsewhere = browser, [], [], []

    def __call__(self, address, **settings):
        settings = {"locale": "en-US", "viewport": {"width": 1200, "height": 900}} | settings
        context = self.browser.chromium.new_context(**settings)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: self.complain(said.text, said.type in ("error", "warning")))
        page.on("pageerror", lambda error: self.complain(str(error)))
        home = re.match(r"http://[^/]+/", address)[0]
        page.on("request", lambda asked: self.look(asked.url, (home, "blob:")))
        page.goto(address)
        page.wait_for_selector("main:not([hidden])")
        return page

    def complain(self, text, is_bad=True):
        # The browser reports every 401; the page asks for the key then.
        if is_bad and "401" not in text:
            self.complaints.append(text)

    def look(self, url, allowed):
        if not url.startswith(allowed):
            self.elsewhere.append(url)

    def close(self):
        for context in self.contexts:
            context.close()


@pytest.fixture
def opened(browser):
    made = Opener(browser)
    yield made
    browser.run(made.close)
    assert made.elsewhere == []
    assert made.complaints == []


def marks(page, panel=0, count=None):
    """The marked terms of a panel, when there are so many."""
    place = page.locator(".panel").nth(panel).locator("mark")
    if count is not None:
        place.nth(count - 1).wait_for()
        assert place.count() == count
    return [text.split()[0] for text in place.evaluate_all("all => all.map((one) => one.innerText)")]


def check_accessible(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response
    wrong = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert wrong == []
    assert len(found["passes"]) > 10


@in_browser
def test_known_terms_are_marked_and_another_is_chosen_with_the_mouse(opened, address):
    page = opened(address)
    page.fill("#review", TEXT)
    found = marks(page, count=2)
    assert [one[:2] for one in found] == ["口红", "香味"]
    assert re.fullmatch(r"(坏|中|好) \(.*\) \d.*", page.locator(".summary").inner_text())
    row = page.locator("tbody tr").nth(1).inner_text()
    assert "气味 · 感官" in row
    assert "all of it" in row
    # From behind the emoji, which is two units of the browser's strings and one character of the model's.
    page.evaluate(
        """() => {
          const node = [...document.querySelector(".text").childNodes].at(-1);
          const start = node.data.indexOf("持妆");
          getSelection().setBaseAndExtent(node, start, node, start + 2);
        }"""
    )
    page.locator(".text").dispatch_event("mouseup")
    assert [one[:2] for one in marks(page, count=3)] == ["口红", "香味", "持妆"]
    page.click("text=Take 持妆 out") if page.locator("text=Take 持妆 out").count() else page.click("#terms button")
    page.wait_for_function("document.querySelectorAll('mark').length === 2")


@in_browser
def test_everything_by_keyboard_alone(opened, address):
    page = opened(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.insert_text(TEXT)
    marks(page, count=2)
    page.keyboard.press("Control+Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("document.getElementById('term').value === '香味'")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Control+Enter")
    marks(page, count=3)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "mention":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert page.locator("tr.chosen").count() == page.locator("mark.chosen").count() == 1
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "file":
            break
    else:
        pytest.fail("the file cannot be reached by keyboard")


@in_browser
def test_the_part_that_was_not_read_is_hatched(opened, address):
    text = "香味很好但是持妆太差了肤色粉底液不推荐，口红好"
    page = opened(f"{address}#text={quote(text)}")
    marks(page, count=2)
    page.click("button.mention:has-text('口红')")
    unread = page.locator(".text .unread").evaluate_all("all => all.map((one) => one.textContent).join('')")
    assert unread
    assert text.startswith(unread[:2])
    assert "hatched" in page.locator(".legend").inner_text()
    check_accessible(page)


@in_browser
def test_two_models_side_by_side_and_the_link_that_holds_it_all(opened, address):
    page = opened(f"{address}?model=first{HELD}")
    marks(page, count=2)
    page.click("#compare")
    marks(page, 1, count=2)
    assert [one.strip() for one in page.locator(".panel select").evaluate_all("all => all.map((one) => one.value)")] == ["first", "second"]
    assert "model" in page.locator(".panel").nth(0).locator(".summary").inner_text()
    left, right = (page.locator(".panel").nth(i).locator(".label").all_inner_texts() for i in (0, 1))
    assert page.locator(".panel").nth(0).locator(".differs").count() == sum(a != b for a, b in zip(left, right, strict=True))
    page.fill("#term", "持妆")
    page.press("#term", "Enter")
    marks(page, count=3)
    link = page.url
    before = page.locator(".panels").inner_text()
    again = opened(link)
    marks(again, 1, count=3)
    assert again.locator(".panels").inner_text() == before
    assert quote("持妆") in link.split("#")[1]
    assert "model=first&model=second" in link.split("#")[0]
    check_accessible(again)
    again.locator(".panel select").first.select_option("second")
    again.wait_for_function("document.querySelectorAll('.panel').length === 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@in_browser
def test_both_languages_and_a_phone(opened, address, scheme):
    page = opened(address + HELD, locale="zh-CN", color_scheme=scheme, viewport={"width": 390, "height": 800})
    marks(page, count=2)
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.locator("#ask").inner_text() == "分析"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    check_accessible(page)
    page.click("text=English")
    page.wait_for_selector("#ask:has-text('Ask')")
    assert marks(page, count=2)
    assert "lang=en" in page.url
    page.reload()
    page.wait_for_selector("#ask:has-text('Ask')")
    check_accessible(page)


@in_browser
def test_a_file_goes_up_and_comes_back_scored(opened, address, tmp_path):
    path = tmp_path / "评论.csv"
    path.write_text("id,评论内容,关键词\n1,口红好，口红香,口红\n2,,口红\n", "utf-8")
    page = opened(address)
    page.set_input_files("#file", path)
    page.wait_for_selector("#file-form:not([hidden])")
    assert page.input_value("#file-text") == "评论内容"
    assert page.input_value("#file-term") == "关键词"
    check_accessible(page)
    page.click("#file-start")
    page.wait_for_selector("#file-done:not([hidden])")
    assert page.locator("#file-result").inner_text() == "评论.csv: 2 mentions of 2 rows scored by first."
    assert page.locator("#file-notes").inner_text() == "1 row rejected: no text"
    check_accessible(page)
    with page.expect_download() as waited:
        page.click("#file-save")
    assert waited.value.suggested_filename == "评论.scored.csv"
    text = waited.value.path().read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["id"], row["label"] in "坏中好") for row in rows] == [("1", True), ("1", True)]
    with page.expect_download() as waited:
        page.click("#file-save-rejected")
    assert "empty_text" in waited.value.path().read_text("utf-8")
    page.click("text=中文")
    page.wait_for_selector("#file-result:has-text('2 行共 2 处提及')")
    page.click("#file-forget")
    page.wait_for_function("async () => (await (await fetch('v1/files')).json()).held === 0")
    # By the list instead of a column, and a file that is none.
    path.write_text("text\n唇膏好\n一般\n", "utf-8")
    page.set_input_files("#file", path)
    page.wait_for_selector("#file-form:not([hidden])")
    assert page.input_value("#file-term") == ""
    page.click("#file-start")
    page.wait_for_selector("#file-notes:has-text('1 行不含词表中的词')")
    path.write_text("", "utf-8")
    page.set_input_files("#file", path)
    page.wait_for_selector("#file-problem:has-text('empty')")


@in_browser
def test_a_service_with_a_key_and_one_without_a_list(opened, predictor):
    with served(Models({"m": predictor}), keys=Keys.of("abc")) as place:
        page = opened(place + HELD)
        page.wait_for_selector("#key-form:not([hidden])")
        check_accessible(page)
        page.fill("#key", "wrong")
        page.press("#key", "Enter")
        page.wait_for_selector("#key-problem:has-text('wrong')")
        page.fill("#key", "abc")
        page.press("#key", "Enter")
        page.wait_for_selector(".summary:has-text('Select a term')")
        assert page.locator("#key-form").is_hidden()
        assert page.locator("#compare").is_hidden()
        page.dblclick("#review")  # a word of it, as the browser takes it
        page.evaluate("document.getElementById('review').setSelectionRange(0, 2)")
        page.wait_for_function("document.getElementById('term').value === '口红'")
        page.click("#ask")
        assert [one[:2] for one in marks(page, count=1)] == ["口红"]


@in_browser
def test_a_task_without_terms(opened, single_folder):
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    single = Predictor(load_artifact(single_folder), workers=1)
    with served(Models({"whole": single})) as place:
        page = opened(place)
        page.fill("#review", "口红好" * 20)
        page.wait_for_selector("button.mention:has-text('the whole text')")
        assert page.locator("#term-form").is_hidden()
        assert "of 60" in page.locator("td.read").inner_text()
        page.click("button.mention")
        page.wait_for_selector(".text .unread")
        check_accessible(page)
    single.close()

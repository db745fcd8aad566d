"""The page in a real browser: Debian's Chromium, driven by playwright's client; skipped without one."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import functools
import gc
import io
import re
import shutil
import threading
import time
import traceback
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
WAIT_MS = 120_000  # for what comes at once on a machine that is not busy
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEXT = "口红好，香味差😀持妆好"
HELD = f"#text={quote(TEXT)}"


@pytest.fixture(scope="module")
def runner():
    """The event loop of all tests."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def chromium(runner):
    async_api = pytest.importorskip("playwright.async_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")

    async def start():
        playwright = await async_api.async_playwright().start()
        # A container's root cannot make the sandbox's namespaces; nothing but our own page is opened.
        return playwright, await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

    playwright, made = runner.run(start())
    yield made
    runner.run(made.close())
    runner.run(playwright.stop())


def in_browser(test):
    """Run a test in the event loop.

    What a failed wait of playwright leaves is logged when it is collected; where that happens while pytest
    parses this file to show the failure, Python 3.11's parser fails (gh-106905). So it is shown as text.
    """

    @functools.wraps(test)
    def run(**fixtures):
        try:
            fixtures["opened"].runner.run(test(**fixtures))
        except Exception:  # noqa: BLE001 - shown below
            shown = traceback.format_exc()
        else:
            return
        gc.collect()
        pytest.fail(shown, pytrace=False)

    return run


async def until(page, expression):
    """Wait for what JavaScript says of the page.

    playwright's own wait_for_function evaluates text within the page when it does not hold at once, which the
    page's Content-Security-Policy forbids.
    """
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await page.evaluate(expression):
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def served(models, **options):
    servers = []
    listener = listen("127.0.0.1", 0)
    app = create_app(models, options=AppOptions(**options))
    with pytest.MonkeyPatch.context() as patch:
        real = uvicorn.Server
        patch.setattr(uvicorn, "Server", lambda config: servers.append(real(config)) or servers[0])
        thread = threading.Thread(target=serve, args=(app, listener), kwargs={"grace_s": 1}, daemon=True)
        thread.start()
        while not servers:  # another one may be started before this one ends
            time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
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
    """``await opened(address, **of_the_context)``: a page, and what the browser complained about."""

    def __init__(self, runner, chromium):
        self.runner, self.chromium = runner, chromium
        self.contexts, self.complaints, self.elsewhere = [], [], []

    async def __call__(self, address, **settings):
        settings = {"locale": "en-US", "viewport": {"width": 1200, "height": 900}} | settings
        context = await self.chromium.new_context(**settings)
        self.contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: self.complain(said.text, said.type in ("error", "warning")))
        page.on("pageerror", lambda error: self.complain(str(error)))
        home = re.match(r"http://[^/]+/", address)[0]
        page.on("request", lambda asked: self.check_address(asked.url, (home, "blob:")))
        await page.goto(address)
        await page.wait_for_selector("main:not([hidden])")
        return page

    def complain(self, text, is_bad=True):
        # The browser reports every refusal; the page asks for the key then, or says what is wrong.
        if is_bad and not re.search(r"status of (401|422)", text):
            self.complaints.append(text)

    def check_address(self, url, allowed):
        if not url.startswith(allowed):
            self.elsewhere.append(url)

    async def close(self):
        for context in self.contexts:
            await context.close()


@pytest.fixture
def opened(runner, chromium):
    made = Opener(runner, chromium)
    yield made
    runner.run(made.close())
    if made.elsewhere or made.complaints:
        pytest.fail(f"asked elsewhere: {made.elsewhere}; complained: {made.complaints}", pytrace=False)


async def marks(page, panel=0, count=None):
    """The marked terms of a panel, when there are so many."""
    place = page.locator(".panel").nth(panel).locator("mark")
    if count is not None:
        await place.nth(count - 1).wait_for()
        assert await place.count() == count
    return [text.split()[0] for text in await place.evaluate_all("all => all.map((one) => one.innerText)")]


async def check_accessible(page):
    axe = pytest.importorskip("axe_playwright_python.async_playwright")
    found = (await axe.Axe().run(page)).response
    wrong = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert wrong == []
    assert len(found["passes"]) > 10


@in_browser
async def test_known_terms_are_marked_and_another_is_chosen_with_the_mouse(opened, address):
    page = await opened(address)
    await page.fill("#review", TEXT)
    found = await marks(page, count=2)
    assert [one[:2] for one in found] == ["口红", "香味"]
    assert re.fullmatch(r"(坏|中|好) \(.*\) \d.*", await page.locator(".summary").inner_text())
    row = await page.locator("tbody tr").nth(1).inner_text()
    assert "气味 · 感官" in row
    assert "all of it" in row
    # From behind the emoji, which is two units of the browser's strings and one character of the model's.
    await page.evaluate(
        """() => {
          const node = [...document.querySelector(".text").childNodes].at(-1);
          const start = node.data.indexOf("持妆");
          getSelection().setBaseAndExtent(node, start, node, start + 2);
        }"""
    )
    await page.locator(".text").dispatch_event("mouseup")
    assert [one[:2] for one in await marks(page, count=3)] == ["口红", "香味", "持妆"]
    await page.click("#terms button")
    await until(page, "document.querySelectorAll('mark').length === 2")


@in_browser
async def test_everything_by_keyboard_alone(opened, address):
    page = await opened(address)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    await page.keyboard.insert_text(TEXT)
    await marks(page, count=2)
    await page.keyboard.press("Control+Home")
    for _ in range(4):
        await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    await until(page, "document.getElementById('term').value === '香味'")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    await page.keyboard.press("Control+Enter")
    await marks(page, count=3)
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.className") == "mention":
            break
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert await page.locator("tr.chosen").count() == await page.locator("mark.chosen").count() == 1
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == "file":
            break
    else:
        pytest.fail("the file cannot be reached by keyboard")


@in_browser
async def test_the_part_that_was_not_read_is_hatched(opened, address):
    text = "香味很好但是持妆太差了，" * 6 + "口红好"
    page = await opened(f"{address}#text={quote(text)}")
    await marks(page, count=7)
    await page.click("button.mention:has-text('口红')")
    unread = await page.locator(".text .unread").evaluate_all(
        "all => all.map((one) => one.textContent).join('')"
    )
    assert unread
    assert text.startswith(unread[:2])
    assert "hatched" in await page.locator(".legend").inner_text()
    await check_accessible(page)


@in_browser
async def test_two_models_side_by_side_and_the_link_that_holds_it_all(opened, address):
    page = await opened(f"{address}?model=first{HELD}")
    await marks(page, count=2)
    await page.click("#compare")
    await marks(page, 1, count=2)
    chosen = await page.locator(".panel select").evaluate_all("all => all.map((one) => one.value)")
    assert chosen == ["first", "second"]
    assert "model" in await page.locator(".panel").nth(0).locator(".summary").inner_text()
    left, right = [await page.locator(".panel").nth(i).locator(".label").all_inner_texts() for i in (0, 1)]
    assert await page.locator(".panel").nth(0).locator(".differs").count() == sum(
        a != b for a, b in zip(left, right, strict=True)
    )
    await page.fill("#term", "持妆")
    await page.press("#term", "Enter")
    await marks(page, count=3)
    link = page.url
    before = await page.locator(".panels").inner_text()
    again = await opened(link)
    await marks(again, 1, count=3)
    assert await again.locator(".panels").inner_text() == before
    assert quote("持妆") in link.split("#")[1]
    assert "model=first&model=second" in link.split("#")[0]
    await check_accessible(again)
    await again.locator(".panel select").first.select_option("second")
    await until(again, "document.querySelectorAll('.panel').length === 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@in_browser
async def test_both_languages_and_a_phone(opened, address, scheme):
    page = await opened(
        address + HELD, locale="zh-CN", color_scheme=scheme, viewport={"width": 390, "height": 800}
    )
    await marks(page, count=2)
    assert await page.locator("html").get_attribute("lang") == "zh-CN"
    assert await page.locator("#ask").inner_text() == "分析"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await check_accessible(page)
    await page.click("text=English")
    await page.wait_for_selector("#ask:has-text('Ask')")
    assert await marks(page, count=2)
    assert "lang=en" in page.url
    await page.reload()
    await page.wait_for_selector("#ask:has-text('Ask')")
    await check_accessible(page)


@in_browser
async def test_a_file_goes_up_and_comes_back_scored(opened, address, tmp_path):
    path = tmp_path / "评论.csv"
    path.write_text("id,评论内容,关键词\n1,口红好，口红香,口红\n2,,口红\n", "utf-8")
    page = await opened(address)
    await page.set_input_files("#file", path)
    await page.wait_for_selector("#file-form:not([hidden])")
    assert await page.input_value("#file-text") == "评论内容"
    assert await page.input_value("#file-term") == "关键词"
    await check_accessible(page)
    await page.click("#file-start")
    await page.wait_for_selector("#file-done:not([hidden])")
    assert (
        await page.locator("#file-result").inner_text() == "评论.csv: 2 mentions of 2 rows scored by first."
    )
    assert await page.locator("#file-notes").inner_text() == "1 row rejected: no text"
    await check_accessible(page)
    async with page.expect_download() as waited:
        await page.click("#file-save")
    assert (await waited.value).suggested_filename == "评论.scored.csv"
    text = (await (await waited.value).path()).read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["id"], row["label"] in "坏中好") for row in rows] == [("1", True), ("1", True)]
    async with page.expect_download() as waited:
        await page.click("#file-save-rejected")
    assert "empty_text" in (await (await waited.value).path()).read_text("utf-8")
    await page.click("text=中文")
    await page.wait_for_selector("#file-result:has-text('2 行共 2 处提及')")
    await page.click("#file-forget")
    await until(page, "async () => (await (await fetch('v1/files')).json()).held === 0")
    # By the list instead of a column, and a file that is none.
    path.write_text("text\n唇膏好\n一般\n", "utf-8")
    await page.set_input_files("#file", path)
    await page.wait_for_selector("#file-form:not([hidden])")
    assert await page.input_value("#file-term") == ""
    await page.click("#file-start")
    await page.wait_for_selector("#file-notes:has-text('1 行不含词表中的词')")
    path.write_text("", "utf-8")
    await page.set_input_files("#file", path)
    await page.wait_for_selector("#file-problem:has-text('empty')")


@in_browser
async def test_a_service_with_a_key_and_one_without_a_list(opened, predictor):
    with served(Models({"m": predictor}), keys=Keys.of("abc")) as place:
        page = await opened(place + HELD)
        await page.wait_for_selector("#key-form:not([hidden])")
        assert await page.locator("main > section:visible").count() == 0
        await check_accessible(page)
        await page.fill("#key", "wrong")
        await page.press("#key", "Enter")
        await page.wait_for_selector("#key-problem:has-text('wrong')")
        await page.fill("#key", "abc")
        await page.press("#key", "Enter")
        await page.wait_for_selector(".summary:has-text('Select a term')")
        assert await page.locator("#key-form").is_hidden()
        assert await page.locator("#compare").is_hidden()
        await page.dblclick("#review")  # a word of it, as the browser takes it
        await page.evaluate("document.getElementById('review').setSelectionRange(0, 2)")
        await until(page, "document.getElementById('term').value === '口红'")
        await page.click("#ask")
        assert [one[:2] for one in await marks(page, count=1)] == ["口红"]


@in_browser
async def test_a_task_without_terms(opened, single_folder):
    from attar.artifact import load_artifact
    from attar.scoring.predictor import Predictor

    single = Predictor(load_artifact(single_folder), workers=1)
    with served(Models({"whole": single})) as place:
        page = await opened(place)
        await page.fill("#review", "口红好" * 20)
        await page.wait_for_selector("button.mention:has-text('the whole text')")
        assert await page.locator("#term-form").is_hidden()
        assert "of 60" in await page.locator("td.read").inner_text()
        await page.click("button.mention")
        await page.wait_for_selector(".text .unread")
        await check_accessible(page)
    single.close()

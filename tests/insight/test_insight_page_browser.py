"""The insight page in a real browser: figures, reviews, search, inert brands, pictures for slides."""

from __future__ import annotations

import asyncio
import csv
import shutil
import struct
import zlib

import numpy as np
import pytest

from attar.insight.stage import InsightOptions, make_insight

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_MS = 120_000
BRANDS = ("花屿", "青澜", '=HYPERLINK("http://x")', "</script><img src=x onerror=alert(1)>", "长" * 300, "")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("page"), np.random.default_rng(3)
    with (folder / "scored.csv").open("w", encoding="utf-8", newline="") as stream:
        write = csv.writer(stream).writerow
        write(["text", "term", "brand", "date", "label", "prob"])
        for number in range(900):
            term, brand = ("持妆", "香味")[number % 2], BRANDS[int(rng.integers(0, 12)) % 7 % 6]
            label = ("消极", "中性", "积极")[rng.choice(3, p=[0.2, 0.1, 0.7])]
            day = f"2025-{number % 6 + 1:02d}-03"
            write([f"第{number}单，{term}怎么样<b>粗</b>", term, brand, day, label, 0.9])
    make_insight(folder / "scored.csv", ["brand", "term", "date:month"], folder / "out",
                 InsightOptions(language="en"))  # fmt: skip
    return folder / "out" / "insight.html"


async def in_chromium(address, look, **settings):
    async_api = pytest.importorskip("playwright.async_api")
    async with async_api.async_playwright() as playwright:
        # A container's root cannot make the sandbox's namespaces; nothing but our own page is opened.
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await chromium.new_page(**settings)
        page.set_default_timeout(WAIT_MS)
        complaints, asked = [], []
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda shown: complaints.append(shown.message))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(address)
        await look(page)
        await chromium.close()
    assert complaints == []
    assert {url.split(":")[0] for url in asked[1:]} <= {"data", "blob"}


def rows_of_png(content):
    """Width, height and the filtered rows of a picture."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed = 8, b""
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        if kind == b"IHDR":
            width, height = struct.unpack(">II", content[at + 8 : at + 16])
        packed += content[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    pixels = zlib.decompress(packed)
    line = len(pixels) // height
    return width, height, [pixels[row * line : (row + 1) * line] for row in range(height)]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_figures_reviews_search_and_pictures(page_file):
    async def look(page):
        assert "uncorrected" in await page.locator("#head").inner_text()
        sections = await page.locator("section h2").all_inner_texts()
        assert sections[:4] == ["What stands out", "Over time", "Heat map", "All figures"]
        assert await page.locator("img").count() == 0
        # Strange brands are text.
        names = await page.locator(".heat tbody th").all_inner_texts()
        assert any(name.startswith("</script>") for name in names)
        assert any(name.startswith("=HYPERLINK") for name in names)
        # A cell opens its reviews, whose markup is text.
        await page.locator(".heat td button").first.click()
        assert await page.locator("#drill mark").first.inner_text() in ("持妆", "香味")
        assert "<b>粗</b>" in await page.locator("#drill .reviews").first.inner_text()
        await page.keyboard.press("Escape")
        # Search and sorting.
        table = page.locator("section", has=page.get_by_text("All figures"))
        await table.locator("input[type=search]").fill("花屿")
        assert await table.locator("tbody tr").count() == 1
        await table.locator("input[type=search]").fill("")
        await table.get_by_role("button", name="Mentions").click()
        shown = await table.locator("tbody td:nth-child(2)").all_inner_texts()
        assert [int(each) for each in shown] == sorted(map(int, shown), reverse=True)
        # Each picture as PNG.
        assert await page.get_by_role("button", name="Save as PNG").count() == 2
        for place, word in enumerate(("Over time", "brand × term")):
            async with page.expect_download() as waited:
                await page.get_by_role("button", name="Save as PNG").nth(place).click()
            saved = await waited.value
            assert word in saved.suggested_filename
            width, height, rows = rows_of_png((await saved.path()).read_bytes())
            picture = await page.evaluate("document.querySelector('figure svg').viewBox.baseVal.width")
            assert width == 2 * picture if place == 0 else width > 400
            assert height > 200
            assert len(set(rows)) > 100, "not a blank sheet"

    asyncio.run(in_chromium(page_file.as_uri(), look))


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_a_phone_does_not_scroll_sideways_and_print_says_what_is_measured(page_file):
    async def look(page):
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.emulate_media(media="print")
        assert await page.locator(".save").first.is_hidden()
        assert await page.locator(".heat").is_visible()
        assert await page.locator("section select").first.is_visible()
        assert await page.locator("input[type=search]").first.is_hidden()

    asyncio.run(in_chromium(page_file.as_uri(), look, viewport={"width": 390, "height": 800}))

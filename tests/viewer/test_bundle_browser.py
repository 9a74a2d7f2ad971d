"""A bundle in a real browser, opened from the disk: everything works, and nobody is asked for anything."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from starfish_storage import Record, open_storage
from starfish_storage.publishing import bundle, shards

from .browsing import ONE_LOOK_OR_ALL, BrowserPage, OneBrowser, in_a_browser, needs_axe, playwright
from .viewing import PLAIN, RUN, make

pytestmark = in_a_browser

MANY = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose records are in many shards."""
    import asyncio

    place = tmp_path_factory.mktemp("bundle")

    async def write() -> None:
        store = (place / "store").as_uri()
        await make(store, 4)
        async with open_storage(store, durability="process") as storage:
            (job, *_) = await storage.list_execution_jobs(RUN)
            pairs: list[tuple[Record, dict[str, Any]]] = []
            for n in range(10, 10 + MANY):
                status = "filtered" if n % 40 == 0 else "completed"
                one = Record(record_uid=f"more-{n}", job_id=job.job_id, master_job_id=RUN, status=status)
                pairs.append(
                    (one, {"n": n, "text": f'The "{n}th" line\nof Zürich, 北京市 {"needle" if n == 99 else ""}'})
                )
            await storage.save_records(pairs)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(shards, "MOST_BYTES", 3000)
                await bundle(storage, RUN, place / "out")

    asyncio.run(write())
    return place / "out"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(folder: Path, browser: OneBrowser) -> AsyncGenerator[BrowserPage]:
    async with (
        httpx.AsyncClient(verify=PLAIN) as client,
        browser.browsing(client, f"{folder.as_uri()}/") as page,
    ):
        yield page


async def _rows(page: Any, count: int) -> list[str]:
    await playwright.expect(page.locator("#rows tr")).to_have_count(count)
    return await page.locator("#rows tr th").all_inner_texts()


async def test_a_bundle_is_read_from_the_disk(opened: BrowserPage):
    page = opened.page
    await page.goto("index.html")
    told = page.locator("#told")
    seen = await _rows(page, 50)
    for count, words in ((50, "Records 51 to 100 of 124."), (24, "Records 101 to 124 of 124.")):
        await page.keyboard.press("n")
        await playwright.expect(told).to_have_text(words)
        seen += await _rows(page, count)
    assert len(set(seen)) == MANY + 4
    await page.keyboard.press("p")
    await playwright.expect(told).to_have_text("Records 51 to 100 of 124.")
    assert await _rows(page, 50) == seen[50:100]

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    await page.keyboard.press("/")
    await page.keyboard.type('"99TH" zürich')
    await page.keyboard.press("Enter")
    await playwright.expect(told).to_have_text("1 found in records 1 to 124 of 124.")
    assert await page.locator("mark").inner_text() == "99th"
    assert 0 < len([one for one in asked if one.startswith("data-")]) <= 3, asked  # of those that may have it
    for words, count in (("市 needle", 1), ("look_up", 3), ('the "line\nof"', 0), ("nowhere", 0), ("more-100", 1)):
        await page.get_by_label("Search").fill(words)
        await page.get_by_role("button", name="Show").click()
        await playwright.expect(told).to_have_text(f"{count} found in records 1 to 124 of 124.")

    await page.get_by_role("link", name="Reset").click()
    await page.get_by_label("filtered").check()
    await page.get_by_role("button", name="Show").click()
    await playwright.expect(told).to_have_text("3 of 3 that fit.")
    assert await _rows(page, 3) == ["more-40", "more-80", "more-120"]
    await page.locator("#rows a").first.click()
    for key, uid in (("n", "more-80"), ("n", "more-120"), ("p", "more-80")):
        await page.get_by_role("link", name="Next record" if key == "n" else "Previous record").wait_for()
        await page.keyboard.press(key)
        await playwright.expect(page.locator("h1:visible")).to_have_text(uid)
    await page.get_by_text("Raw JSON").click()
    assert '"n": 80' in await page.locator("#raw-text").inner_text()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert '"n":80' in Path(await (await download.value).path()).read_text("utf-8")
    await page.keyboard.press("u")
    assert len(await _rows(page, 3)) == 3

    await page.goto("index.html#record=2")
    await page.get_by_text("Calls look_up").click()
    assert await page.get_by_text("<script>alert(1)</script>").first.is_visible()
    assert opened.wrong == []


@needs_axe
@ONE_LOOK_OR_ALL
async def test_no_page_of_a_bundle_has_a_serious_fault(opened: BrowserPage, looks: int):
    wrong = await opened.faults(["index.html#q=needle", "index.html#record=2"], looks)
    assert not wrong, wrong


async def test_a_file_that_is_missing_is_said(folder: Path, opened: BrowserPage):
    last = max((folder / "data").glob("pages-*.js"))
    content = last.read_bytes()
    last.unlink()
    try:
        await opened.page.goto("about:blank")
        await opened.page.goto(f"index.html#record={MANY + 3}")
        await playwright.expect(opened.page.get_by_role("alert")).to_contain_text(f"data/{last.name} cannot be read")
        opened.wrong.clear()  # the browser says so too
    finally:
        last.write_bytes(content)

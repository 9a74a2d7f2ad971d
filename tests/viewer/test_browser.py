"""The viewer in a real browser: no error, no request to elsewhere, and a page that lives while a run goes on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from starfish_storage import Record, open_storage

from .viewing import RUN, make, viewer

playwright: Any = pytest.importorskip("playwright.async_api", reason="playwright is not installed: make .venv/browser")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")


@asynccontextmanager
async def browsing(client: httpx.AsyncClient) -> AsyncGenerator[Any]:
    """Give a page of a browser; afterwards, nothing may have gone wrong in it."""
    wrong: list[str] = []
    home = str(client.base_url)
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(base_url=home)
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith((home, "data:")) else wrong.append(one.url))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        try:
            yield page
        finally:
            await browser.close()
    assert wrong == []


async def test_every_page_is_quiet_and_leads_on(client: httpx.AsyncClient):
    async with browsing(client) as page:
        await page.goto("/")
        await page.get_by_role("link", name=RUN, exact=True).click()
        await page.get_by_role("link", name="Records of this run").click()
        await page.get_by_placeholder("field", exact=True).fill("n")
        await page.get_by_label("Comparison").select_option("is")
        await page.get_by_placeholder("value", exact=True).fill("2")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**field=n&compare=is&value=2**")
        await page.locator("tbody a").click()
        await page.get_by_text("Calls look_up").click()
        assert await page.get_by_text("<script>alert(1)</script>").first.is_visible()
        await page.get_by_role("button", name="Copy").first.click()
        await page.get_by_role("link", name="Next record").click()
        assert await page.locator("h1").count() == 1


async def test_keys_lead_through_the_pages(client: httpx.AsyncClient):
    async with browsing(client) as page:
        await page.goto(f"/records?run={RUN}")
        await page.keyboard.press("?")
        assert await page.get_by_role("dialog").is_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("n")  # typed, and not the key that leads on
        assert await page.get_by_label("Error contains").input_value() == "n"
        async with page.expect_navigation():  # until it has loaded: before that, no key is known
            await page.locator("tbody a").first.click()
        first = page.url
        for key, expected in (("n", False), ("p", True)):
            async with page.expect_navigation():
                await page.keyboard.press(key)
            assert (page.url == first) == expected
        for path in ("/records?", "/run?", "/"):
            async with page.expect_navigation():
                await page.keyboard.press("u")
            assert path in page.url


async def test_the_progress_of_a_run_is_live(store: str):
    await make(store, 2)
    async with open_storage(store, durability="process") as storage:
        await storage.update_master_job_status(RUN, "running", datetime.now(UTC))
        async with viewer(storage) as client, browsing(client) as page:
            await page.goto(f"/run?id={RUN}")
            progress = page.locator("#progress")
            assert "completed 2" in await progress.inner_text()
            (job, *_) = await storage.list_execution_jobs(RUN)
            late = Record(record_uid="late", job_id=job.job_id, master_job_id=RUN, status="filtered")
            await storage.save_record(late, {"n": 99})
            await playwright.expect(progress).to_contain_text("filtered 1", timeout=20_000)
            await storage.update_master_job_status(RUN, "completed", datetime.now(UTC))
            await playwright.expect(page.locator("[hx-get]")).to_have_count(0, timeout=20_000)

"""Reviews and comparisons in a real browser: by keyboard alone, by two at a time, and without JavaScript."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from starfish_storage import open_storage
from starfish_storage.viewer.application import ReviewMode

from .browsing import AXE, ONE_LOOK_OR_ALL, OneBrowser, in_a_browser
from .reviewer import reviewing, said
from .test_compare import BOTH, two_runs
from .viewing import RUN, viewer

pytestmark = in_a_browser

QUEUE = f"/review?run={RUN}"


async def _press(page: Any, *keys: str) -> None:
    """Press keys, the last of which leads to another page."""
    for key in keys[:-1]:
        await page.keyboard.press(key)
    async with page.expect_navigation():
        await page.keyboard.press(keys[-1])


async def _click(page: Any, button: str) -> None:
    """Click a button that leads to another page."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=button).click()


async def _type(page: Any, key: str, text: str, end: str) -> None:
    await page.keyboard.press(key)
    await page.keyboard.type(text)
    await _press(page, end)


async def test_a_review_by_keyboard_alone(store: str, browser: OneBrowser):
    async with reviewing(store, author=None, inputs=5) as (storage, client), browser.browsing(client) as shown:
        page = shown.page
        await page.goto(f"/run?id={RUN}")
        await page.get_by_role("link", name="Review", exact=True).focus()
        await _press(page, "Enter")
        await page.keyboard.type("Ada")  # the field has the focus
        await _press(page, "Enter")
        first = page.url
        await _type(page, "l", "a odd r", "Enter")  # letters that are keys elsewhere
        await _type(page, "c", "so\nso", "Control+Enter")
        await _press(page, "4")
        assert page.url.split("&undo")[0] == first
        await _press(page, "e")
        await page.keyboard.press("Control+a")
        await page.keyboard.type('{"n": "edited"}')
        await _press(page, "Control+Enter")
        await _press(page, "e")
        await _press(page, "Escape")  # out of the field, and away
        await _press(page, "a")
        assert "at=" in page.url
        await _press(page, "r")
        await _press(page, "z")
        await _press(page, "n")
        third = page.url
        await _press(page, "a")
        for _ in range(2):  # the next has been judged; so only the one that was undone is left
            if "at=" not in page.url:
                await _press(page, "n")
        held = [one[:3] for one in await said(storage) if one[3]]
        assert held[:6] == [
            ("label", "a odd r", "Ada"), ("comment", "so\nso", "Ada"), ("rating", 4, "Ada"),
            ("edit", {"version": 1}, "Ada"), ("verdict", "accepted", "Ada"), ("verdict", "accepted", "Ada"),
        ]  # fmt: skip
        assert [one for one in await said(storage) if not one[3]] == [("verdict", "rejected", "Ada", False)]
        await page.go_back()
        await page.goto(third)  # loaded again: nothing is said again
        assert len(await said(storage)) == 7


async def test_two_reviewers_at_one_queue(store: str, browser: OneBrowser):
    async with (
        reviewing(store, author=None, inputs=2) as (storage, client),
        browser.browsing(client, java_script_enabled=False) as one,
        browser.browsing(client) as other,
    ):
        for name, page in (("Ada", one.page), ("Bob", other.page)):
            await page.goto(QUEUE)
            await page.get_by_label("Name").fill(name)
            await _click(page, "Begin")
        while "at=" in one.page.url:
            assert one.page.url.split("at=")[1][:8] == other.page.url.split("at=")[1][:8]
            await asyncio.gather(_click(one.page, "Accept"), _press(other.page, "r"))
        found = sorted(await said(storage))
        assert found == [("verdict", "accepted", "Ada", True)] * 2 + [("verdict", "rejected", "Bob", True)] * 2
        await one.page.goto(f"/run?id={RUN}")
        assert "2 in dispute" in await one.page.locator("main").inner_text()


@ONE_LOOK_OR_ALL
async def test_runs_are_compared_and_no_page_that_judges_has_a_serious_fault(
    store: str, browser: OneBrowser, looks: int
):
    await two_runs(store, [{"n": n} for n in range(6)], [{"n": n} for n in range(2, 7)])
    async with (
        open_storage(store, durability="process") as storage,
        viewer(storage, review=ReviewMode("Ada")) as client,
        browser.browsing(client) as shown,
    ):
        await _words_that_differ_are_marked(shown.page)
        if not AXE.exists():
            pytest.skip("axe-core is missing: make .venv/axe.min.js")
        (record, *_) = await storage.get_records_for_master_job("one")
        await storage.annotations.add(record.record_uid, "verdict", "rejected", author="Bob")
        await storage.annotations.add(record.record_uid, "label", "odd", author="Ada")
        at = f"run=one&at={record.record_uid}"
        faults = await shown.faults([f"/review?{at}", BOTH, f"/review/edit?{at}"], looks)
        assert not faults, faults


async def _words_that_differ_are_marked(page: Any) -> None:
    await page.goto("/run?id=one")
    await page.get_by_role("link", name="Compare").click()
    await page.get_by_role("checkbox", name="two").check()
    await page.get_by_role("button", name="Compare").click()
    await page.get_by_label("Show").select_option("different")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**only=different**")
    assert await page.locator("section.pair").count() == 3
    assert await page.locator("section.pair").first.locator("mark").all_inner_texts() == ["the", "a"]
    await page.get_by_role("link", name="Record").first.click()
    assert "/record?" in page.url

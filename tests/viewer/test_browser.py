"""The viewer in a real browser: no error, no request to elsewhere, and nothing that keeps people out."""

from __future__ import annotations

from datetime import UTC, datetime

from starfish_storage import Record, open_storage

from .browsing import PHONE, WIDE, BrowserPage, OneBrowser, in_a_browser, needs_axe, playwright
from .viewing import RUN, make, viewer

pytestmark = in_a_browser

# Every page, in the states in which it looks different; each is looked at in both themes and at both widths.
# {uid} is the record of input 2, whose data is hostile; {failed} one without data; {replaced} one with a version.
ADDRESSES = [
    "/",
    "/?q=nothing",
    f"/run?id={RUN}",
    f"/records?run={RUN}",
    f"/records?run={RUN}&field=n&compare=is&value=77",
    "/record?uid={uid}",
    "/record?uid={failed}",
    "/record?uid={replaced}&version=1",
    "/run?id=missing",
    "/keys",
]


async def _addresses(seen: BrowserPage) -> list[str]:
    uids = {
        "uid": "field=n&compare=is&value=2",
        "failed": "status=failed",
        "replaced": "field=topic&compare=is&value=other",
    }
    found: dict[str, str] = {}
    for name, query in uids.items():
        await seen.page.goto(f"/records?run={RUN}&{query}")
        found[name] = await seen.page.locator("tbody a").first.inner_text()
    return [address.format(**found) for address in ADDRESSES]


@needs_axe
async def test_no_page_has_a_serious_fault(seen: BrowserPage):
    faults: dict[str, list[str]] = {}
    for address in await _addresses(seen):
        await seen.look("light", WIDE)
        faults[address] = await seen.check(address)
        await seen.look("dark", PHONE)
        faults[address] += await seen.check(address, rules=("color-contrast", "scrollable-region-focusable"))
    wrong = {address: found for address, found in faults.items() if found}
    assert not wrong, wrong


async def test_every_page_is_quiet_and_leads_on(seen: BrowserPage):
    page = seen.page
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


async def test_keys_lead_through_the_pages(seen: BrowserPage):
    page = seen.page
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


async def test_the_progress_of_a_run_is_live(store: str, browser: OneBrowser):
    await make(store, 2)
    async with open_storage(store, durability="process") as storage:
        await storage.update_master_job_status(RUN, "running", datetime.now(UTC))
        async with viewer(storage) as client, browser.browsing(client) as seen:
            await seen.page.goto(f"/run?id={RUN}")
            progress = seen.page.locator("#progress")
            assert "completed 2" in await progress.inner_text()
            (job, *_) = await storage.list_execution_jobs(RUN)
            late = Record(record_uid="late", job_id=job.job_id, master_job_id=RUN, status="filtered")
            await storage.save_record(late, {"n": 99})
            await playwright.expect(progress).to_contain_text("filtered 1", timeout=20_000)
            await storage.update_master_job_status(RUN, "completed", datetime.now(UTC))
            await playwright.expect(seen.page.get_by_text(f"watch {RUN}")).to_have_count(0, timeout=20_000)

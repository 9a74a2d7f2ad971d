"""The viewer in a real browser: no error, no request to elsewhere, and nothing that keeps people out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from starfish_storage import Record, open_storage
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.interface import Storage
from starfish_storage.viewer import changes, record_pages
from starfish_storage.viewer.pages import records

from .browsing import PHONE, WIDE, BrowserPage, OneBrowser, in_a_browser, needs_axe, playwright
from .viewing import RUN, make, viewer

pytestmark = in_a_browser

# Every page, in the states in which it looks different; each is looked at in both themes and at both widths. That takes
# a second of processor time for each, so `make test` looks at a few, each in one of the two.
# {uid} is the record of input 2, whose data is hostile; {failed} one without data; {replaced} one with a version.
ADDRESSES = [
    "/",
    "/?q=nothing",
    f"/run?id={RUN}",
    f"/records?run={RUN}",
    f"/records?run={RUN}&field=n&compare=is&value=77",
    f"/compare?run={RUN}",
    f"/records?run={RUN}&order=random&seed=3&where=@cost>0&where=n>=1",
    "/record?uid={uid}",
    "/record?uid={failed}",
    "/record?uid={replaced}&version=1",
    "/run?id=missing",
    "/search",
    "/search?q=number",
    "/search?q=-",
    "/keys",
]


async def _filled(seen: BrowserPage, addresses: list[str]) -> list[str]:
    uids = {
        "uid": "field=n&compare=is&value=2",
        "failed": "status=failed",
        "replaced": "field=topic&compare=is&value=other",
    }
    found: dict[str, str] = {}
    for name, query in uids.items():
        if not any(f"{{{name}}}" in address for address in addresses):
            continue
        await seen.page.goto(f"/records?run={RUN}&{query}")
        found[name] = await seen.page.locator("tbody a").first.inner_text()
    return [address.format_map(found) for address in addresses]


FEW = [f"/run?id={RUN}", f"/records?run={RUN}", "/record?uid={uid}"]


@needs_axe
@pytest.mark.parametrize(
    ("addresses", "looks"),
    [pytest.param(FEW, 1, id="few"), pytest.param(ADDRESSES, 2, id="all", marks=pytest.mark.slow)],
)
async def test_no_page_has_a_serious_fault(seen: BrowserPage, addresses: list[str], looks: int):
    wrong = await seen.faults(await _filled(seen, addresses), looks)
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
    copied = page.locator("button.copy").first
    await copied.click()
    await playwright.expect(copied).not_to_have_text("Copy")
    assert await page.get_by_role("link", name="Next record").count() == 0  # the table has no other
    await page.get_by_role("link", name="In the table").click()
    await page.wait_for_url("**field=n&compare=is&value=2**")
    await page.get_by_role("link", name="Reset").click()
    await page.locator("tbody a").first.click()
    await page.get_by_role("link", name="Next record").click()
    assert await page.locator("h1").count() == 1


async def test_a_look_goes_on_by_itself(seen: BrowserPage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(record_pages, "LONGEST_LOOK", -1.0)
    monkeypatch.setattr(record_pages, "_BATCH", 1)
    monkeypatch.setattr(records, "PAGE", 4)
    page = seen.page
    await page.goto(f"/records?run={RUN}&field=n&compare=min&value=1")
    await playwright.expect(page.locator("#look")).to_have_text("5 of 6 records were compared, and 4 fit.")
    assert await page.get_by_role("link", name="Next").count() == 1  # it is full
    cells = page.locator("tbody td.field:nth-of-type(2)")
    assert await cells.all_inner_texts() == ["1", "2", "4", "5"]
    await page.goto(f"/records?run={RUN}&field=n&compare=is&value=77")
    await playwright.expect(page.locator("p.empty")).to_contain_text("No record fits")
    (uid,) = await _filled(seen, ["{replaced}"])
    await page.goto(f"/records?run={RUN}&field=n&compare=min&value=1&before={uid}")
    await playwright.expect(page.locator("#look")).to_have_text("5 of 6 records were compared, and 4 fit.")
    assert await cells.all_inner_texts() == ["1", "2", "4", "5"]


async def test_keys_lead_through_the_pages(seen: BrowserPage):
    page = seen.page
    await page.goto("/")
    for keys in (["j", "Enter"], ["g", "h"], ["k", "Enter"]):  # the first run, all runs, the last run
        async with page.expect_navigation():
            for key in keys:
                await page.keyboard.press(key)
    assert "/run?" in page.url
    await page.goto(f"/records?run={RUN}")
    await page.keyboard.press("?")
    assert await page.get_by_role("dialog").is_visible()
    await page.keyboard.press("j")  # the dialog has the keys now
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("n")  # typed, and not the key that leads on
    assert await page.evaluate("document.activeElement.value") == "n"
    await page.keyboard.press("Escape")
    await page.keyboard.press("k")  # from the end
    await page.keyboard.press("j")  # which is the end
    row = await page.evaluate("document.activeElement.closest('tr').rowIndex")
    assert row == await page.locator("main tbody tr").count()
    async with page.expect_navigation():  # until it has loaded: before that, no key is known
        await page.locator("tbody a").first.click()
    first = page.url
    for key, expected in (("n", False), ("p", True)):
        async with page.expect_navigation():
            await page.keyboard.press(key)
        assert (page.url == first) == expected
    async with page.expect_navigation():
        await page.keyboard.press("n")
    second = await page.locator("h1").inner_text()
    async with page.expect_navigation():
        await page.keyboard.press("u")  # to where the record stands in the table
    assert await page.locator("tbody a").first.inner_text() == second
    await page.goto(first)
    for path in ("/records?", "/run?", "/"):
        async with page.expect_navigation():
            await page.keyboard.press("u")
        assert path in page.url


async def test_tab_reaches_all_and_focus_is_seen(seen: BrowserPage):
    page = seen.page
    await page.goto(f"/records?run={RUN}")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    reached: list[str] = []
    while True:
        await page.keyboard.press("Tab")
        element = await page.evaluate(_FOCUSED)
        if element is None:
            break
        assert element["is_seen"], element["html"]
        reached.append(element["html"])
    rows = await page.locator("main tbody tr").count()
    assert sum(one.startswith('<a href="/record?') for one in reached) == rows


_FOCUSED = """() => {
    const one = document.activeElement;
    if (one === document.body) return null;
    const style = getComputedStyle(one);
    const {top, height} = one.getBoundingClientRect();
    const is_inside = top + height > 0 && top < innerHeight;
    const is_marked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    return {html: one.outerHTML, is_seen: is_inside && is_marked};
}"""


async def test_the_theme_is_kept_and_never_flashes(seen: BrowserPage, browser: OneBrowser):
    async with browser.browsing(seen.client) as own:  # which remembers
        await _change_the_theme(own)


async def _change_the_theme(seen: BrowserPage) -> None:
    page, back = seen.page, "getComputedStyle(document.body).backgroundColor"
    await seen.look("dark")
    await page.goto("/")
    dark = await page.evaluate(back)
    await page.get_by_role("button", name="Theme").click()
    light = await page.evaluate(back)
    assert light != dark
    await page.add_init_script(
        "new PerformanceObserver(() => window.painted ??= getComputedStyle(document.body).backgroundColor)"
        ".observe({type: 'paint', buffered: true})"
    )
    await page.goto("/keys")
    await page.wait_for_function("() => window.painted")
    assert await page.evaluate("window.painted") == light  # though the system asks for the dark one
    await page.keyboard.press("t")
    await seen.look("light")
    assert await page.evaluate(back) == dark
    await page.keyboard.press("t")
    await page.reload()
    assert await page.evaluate(back) == light  # as the system again


async def test_without_javascript(seen: BrowserPage, browser: OneBrowser):
    async with browser.browsing(seen.client, java_script_enabled=False) as without:
        page = without.page
        await page.goto(f"/records?run={RUN}&field=n&compare=is&value=2")
        await page.locator("tbody a").click()
        await page.locator("summary").first.click()
        assert not await page.get_by_role("button", name="Copy").is_visible()
        await page.get_by_role("link", name="Keys").click()
        assert page.url.endswith("/keys")
        assert await page.locator("h1").inner_text() == "Keys"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "INTERVAL", 0.05)


async def save(storage: Storage, uid: str) -> None:
    (job, *_) = await storage.list_execution_jobs(RUN, limit=1)
    record = Record(record_uid=uid, job_id=job.job_id, master_job_id=RUN, status="filtered")
    await storage.save_record(record, {"n": 99})


@pytest.mark.usefixtures("_quick")
async def test_a_run_is_live_and_nothing_moves(store: str, browser: OneBrowser):
    await make(store, 4)
    expect = playwright.expect
    async with open_storage(store, durability="process") as storage:
        await storage.update_master_job_status(RUN, "running", datetime.now(UTC))
        async with viewer(storage) as client, browser.browsing(client) as seen:
            page = seen.page
            await page.goto(f"/run?id={RUN}")
            progress = page.locator("#progress")
            assert "completed 3" in await progress.inner_text()
            await seen.look("light", (800, 300))
            await page.get_by_text("Configuration").evaluate("(one) => one.scrollIntoView()")
            await page.locator("details.node > summary").last.click()
            await page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
            before = await page.evaluate(_KEPT)
            await save(storage, "late")
            await expect(progress).to_contain_text("filtered 1")
            assert await page.evaluate(_KEPT) == before
            await storage.update_master_job_status(RUN, "completed", datetime.now(UTC))
            # The whole page is that of a run that has ended.
            await expect(page.get_by_text(f"watch {RUN}")).to_have_count(0)
            assert await page.evaluate(_KEPT) == before

            await storage.update_master_job_status(RUN, "running", datetime.now(UTC))
            await page.goto(f"/records?run={RUN}")
            await page.keyboard.press("j")
            before, rows = await page.evaluate(_KEPT), await page.locator("tbody").inner_text()
            await save(storage, "later")
            news = page.locator("#news")
            await expect(news).to_have_text("1 new record Show")
            await save(storage, "latest")
            await expect(news).to_have_text("2 new records Show")
            assert await page.evaluate(_KEPT) == before
            assert await page.locator("tbody").inner_text() == rows
            async with page.expect_navigation():
                await page.keyboard.press("s")
            assert await page.locator("tbody tr").count() == 7
            assert await news.inner_text() == ""


_KEPT = """() => [
    getSelection().toString(), document.activeElement.outerHTML.slice(0, 200),
    [...document.querySelectorAll("main details")].map((one) => one.open),
    [...document.querySelectorAll("h2, thead")].map((one) => Math.round(one.getBoundingClientRect().top))
        .find((top) => top >= 0),
]"""


@pytest.mark.usefixtures("_quick")
async def test_a_store_that_cannot_be_read_is_said_and_comes_back(
    browser: OneBrowser, made: str, monkeypatch: pytest.MonkeyPatch
):
    expect = playwright.expect

    async def fails(_: str) -> None:
        raise StorageUnavailableError("the server", 0, "it does not answer")

    async with (
        open_storage(made, read_only=True) as storage,
        viewer(storage) as client,
        browser.browsing(client) as seen,
    ):
        page, problem = seen.page, seen.page.locator("#problem")
        monkeypatch.setattr(changes, "INTERVAL_OVER", 0.05)
        await page.goto(f"/run?id={RUN}")
        shown = await page.locator("main").inner_text()
        with monkeypatch.context() as patched:
            patched.setattr(storage, "get_master_job", fails)
            await expect(problem).to_contain_text("it does not answer")
            assert await page.locator("main").inner_text() == shown  # what was read stays
            await page.goto(f"/records?run={RUN}")
            await expect(page.get_by_role("alert")).to_contain_text("it does not answer")
        await expect(page.locator("h1")).to_have_text("Records")  # it comes by itself
        # Parts of the page that were asked for meanwhile had the same answer, which a browser logs.
        seen.wrong[:] = [one for one in seen.wrong if "503" not in one]


async def test_filters_are_folded_on_a_phone_and_there_on_a_wide_screen(seen: BrowserPage):
    page = seen.page
    show, fold = page.get_by_role("button", name="Show"), page.get_by_text("Filters, order and columns")
    await seen.look("light", PHONE)
    await page.goto(f"/records?run={RUN}&status=completed&where=n>=1")
    assert await fold.inner_text() == "Filters, order and columns: completed n>=1"
    assert not await show.is_visible()
    head = await page.locator("thead").bounding_box()
    assert head is not None
    assert head["y"] < PHONE[1] / 2
    await fold.click()
    assert await show.is_visible()
    await seen.look("light", WIDE)
    await page.reload()
    assert await show.is_visible()
    assert not await fold.is_visible()

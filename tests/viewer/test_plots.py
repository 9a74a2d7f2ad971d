"""The plots of a run in a real browser: drawn without a shift, kept up to date, in both themes, and without scripts."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from starfish_storage import GenerationJob, open_storage
from starfish_storage.viewer import changes, gathering

from .browsing import BrowserPage, OneBrowser, in_a_browser, playwright
from .test_numbers import BEGIN, LOGGED, log, record
from .viewing import RUN, viewer

pytestmark = in_a_browser

_SHIFT = """() => new Promise((resolve) => {
    let shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((one) => (shift += one.value)))
        .observe({type: "layout-shift", buffered: true});
    setTimeout(() => resolve(shift), 50);
})"""
_INK = """() => {
    const canvas = document.querySelector(".drawing canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.reduce((sum, one) => sum + one, 0);
}"""

# What is written beside the axes, as [text, left, right] in pixels of the canvas, and how many points are drawn.
_NOTES = """
    window.written = [];
    window.points = 0;
    const {fillText} = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
        const width = this.measureText(text).width;
        const left = x - (this.textAlign === "center" ? width / 2 : width);
        written.push([text, left, left + width]);
        fillText.call(this, text, x, ...rest);
    };
    const {arc} = Path2D.prototype;
    Path2D.prototype.arc = function (...given) { points += 1; arc.apply(this, given); };
"""


async def test_labels_are_whole_and_single_values_are_seen(seen: BrowserPage):
    values = [0.0004, 0.0002, None, 0.0003, None, *[0.0001] * 35]  # one of them stands alone
    line = {"name": "on average", "style": "only", "values": values}
    times = [BEGIN.timestamp() + 2.75 * place for place in range(len(values))]
    plot = {"title": "Cost of an attempt", "unit": "$", "times": times, "lines": [line]}
    page = seen.page
    await page.add_init_script(_NOTES)
    timeline = {"plots": [plot], "rows": [], "age": 0, "is_final": True}
    await page.route("**/run/timeline?*", lambda route: route.fulfill(json=timeline))
    await page.goto(f"/run?id={RUN}")
    await playwright.expect(page.locator("#timeline canvas")).to_have_count(1)
    await page.wait_for_function("points > 0")
    assert await page.evaluate("points") == 1
    written = await page.evaluate("written")
    costs = [left for text, left, _ in written if text.startswith("$0.000")]
    assert min(costs) >= 0
    hours = [(left, right) for text, left, right in written if text.startswith("12:0")]
    assert len(hours) > 1
    assert all(left > right + 8 for (_, right), (left, _) in pairwise(hours))
    for length in (1, 2):  # a run of a second, and of two
        line["values"], plot["times"] = values[:length], times[:1] if length == 1 else [times[0], times[0] + 1]
        await page.goto(f"/run?id={RUN}")
        await playwright.expect(page.locator("#timeline canvas")).to_have_count(1)
        await page.wait_for_function("written.length > 0")
        below = [text for text, *_ in await page.evaluate("written") if text and not text.startswith("$")]
        assert below
        assert all(text.startswith(("11:59:", "12:00:")) for text in below)
        assert len(set(below)) == len(below)


async def test_plots_are_drawn_and_kept_up_to_date(store: str, browser: OneBrowser, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(changes, "INTERVAL", 0.05)
    monkeypatch.setattr(gathering, "_REST", 0)
    async with open_storage(store, durability="process") as storage, viewer(storage) as client:
        await log(storage, 4)
        async with browser.browsing(client, color_scheme="light") as shown:
            page = shown.page
            await page.goto(f"/run?id={LOGGED}")
            await playwright.expect(page.locator("#timeline canvas")).to_have_count(2)
            assert await page.evaluate(_SHIFT) < 0.02
            await page.locator(".drawing").first.hover()
            await playwright.expect(page.locator(".at").first).to_contain_text("completed")
            light = await page.evaluate(_INK)
            await page.get_by_role("button", name="Theme").click()  # light, as the system's
            await page.get_by_role("button", name="Theme").click()
            assert await page.evaluate(_INK) != light
            await page.get_by_text("The same as numbers").click()
            numbers = page.locator(".numbers tbody")
            assert (await numbers.inner_text()).split("\t")[-1].split() == ["2"]
            await storage.log_execution_job_start(GenerationJob(job_id="j9", master_job_id=LOGGED, status="running"))
            await storage.save_record(record(9), {})
            await playwright.expect(numbers.locator("tr")).to_have_count(3, timeout=20_000)
            assert await page.locator("#timeline canvas").count() == 2
            await storage.update_master_job_status(LOGGED, "completed", datetime.now(UTC))  # the page is made anew
            await playwright.expect(page.locator("#progress .figures .status")).to_have_text(
                "completed", timeout=20_000
            )
            await playwright.expect(page.locator("#timeline canvas")).to_have_count(2, timeout=20_000)
            await playwright.expect(page.locator(".drawing svg")).to_have_count(0)
        async with browser.browsing(client, java_script_enabled=False) as shown:
            await shown.page.goto(f"/run?id={LOGGED}")
            assert await shown.page.locator(".drawing polyline").count() == 2
            await shown.page.get_by_text("The same as numbers").click()
            assert await shown.page.locator(".numbers tbody tr").count() == 3

"""A real browser for tests of the viewer: one for each worker, and pages in which nothing may go wrong.

`BrowserPage.check` looks at a page as it stands: no error on the console, no request to elsewhere, nothing wider than
the window, and no serious fault that axe-core finds.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

playwright: Any = import_module("playwright.async_api") if find_spec("playwright") else None
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(__file__).parents[2] / ".venv" / "axe.min.js"
WIDE, PHONE = (1280, 800), (390, 844)
Theme = Literal["light", "dark"]
LOOKS: list[tuple[Theme, tuple[int, int]]] = [("light", WIDE), ("dark", PHONE)]

in_a_browser = [
    pytest.mark.skipif(playwright is None, reason="playwright is not installed: make .venv/browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(150),  # a browser that hangs says where, before the time of all tests is over
]
"""The marks of a module whose tests use `seen` or `browser`."""
ONE_LOOK_OR_ALL = pytest.mark.parametrize("looks", [1, pytest.param(2, marks=pytest.mark.slow)])
"""How many of `LOOKS` a page is checked in: each takes half a second of processor time."""
needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is missing: make .venv/axe.min.js")

_SERIOUS = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
    const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
    const examples = (one) => one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ");
    return serious.map((one) => `${one.id}: ${examples(one)}`);
}"""
_TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const all = [...document.querySelectorAll("body *")].reverse();
    const wide = all.filter((one) => one.getBoundingClientRect().right > width + 1);
    return wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 160));
}"""


class BrowserPage:
    """A page of a browser.

    Attributes:
        page: playwright's.
        client: of the viewer.
        wrong: what has gone wrong in it: errors and warnings, dialogs, requests to elsewhere.
    """

    def __init__(self, page: Any, client: httpx.AsyncClient, home: str) -> None:
        self.page = page
        self.client = client
        self._home = home
        self.wrong: list[str] = []
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._requested)
        page.on("dialog", lambda dialog: self.wrong.append(dialog.message))

    def _logged(self, message: Any) -> None:
        is_answer = message.text.startswith("Failed to load resource") and message.location["url"] == self.page.url
        if message.type in ("error", "warning") and not is_answer:  # the answer is the page that says what is wrong
            self.wrong.append(message.text)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self._home, "data:", "blob:")):
            self.wrong.append(f"asked for {request.url}")

    async def check(self, address: str) -> list[str]:
        """Go to a page, relative to the viewer's address, and return what is wrong with it."""
        await self.page.goto(address)
        faults = [f"too wide: {one}" for one in await self.page.evaluate(_TOO_WIDE)]
        if await self.page.locator("h1").count() != 1:
            faults.append("not one h1")
        if AXE.exists():
            if not await self.page.evaluate("typeof axe === 'object'"):
                await self.page.evaluate(AXE.read_text("utf-8"))
            faults += await self.page.evaluate(_SERIOUS)
        faults += self.wrong
        self.wrong.clear()
        return faults

    async def faults(self, addresses: list[str], looks: int) -> dict[str, list[str]]:
        """Check pages, each in so many of `LOOKS`, by turns; return what is wrong by address."""
        wrong: dict[str, list[str]] = {}
        for number, address in enumerate(addresses):
            for theme, width in (LOOKS[number % 2 :] + LOOKS)[:looks]:
                await self.look(theme, width)
                if "#" in address:  # another fragment of the page as it stands would load nothing
                    await self.page.goto("about:blank")
                found = await self.check(address)
                wrong.update({address: wrong.get(address, []) + found} if found else {})
        return wrong

    async def look(self, theme: Theme, width: tuple[int, int] = WIDE) -> None:
        """Change the theme that the system asks for, and the size of the window."""
        await self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await self.page.set_viewport_size({"width": width[0], "height": width[1]})


class OneBrowser:
    """The browser of a worker. It starts when the first test asks for it."""

    def __init__(self) -> None:
        self._driver: Any = None
        self._browser: Any = None

    @asynccontextmanager
    async def browsing(
        self, client: httpx.AsyncClient, home: str | None = None, **options: Any
    ) -> AsyncGenerator[BrowserPage]:
        """Give a page of a context of its own; afterwards, nothing may have gone wrong in it.

        Args:
            client: of the viewer.
            home: where its addresses begin; None: at the viewer.
            options: of playwright's context, as `java_script_enabled`.
        """
        if self._browser is None:
            self._driver = await playwright.async_playwright().start()
            self._browser = await self._driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        home = home or str(client.base_url)
        context = await self._browser.new_context(base_url=home, reduced_motion="reduce", **options)
        try:
            context.set_default_timeout(20_000)
            shown = BrowserPage(await context.new_page(), client, home)
            yield shown
            await asyncio.sleep(0)  # what has been said comes in
            assert shown.wrong == [], shown.wrong
        finally:
            await context.close()

    async def close(self) -> None:
        """End it."""
        if self._browser is not None:
            await self._browser.close()
            await self._driver.stop()

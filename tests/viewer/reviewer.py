"""A reviewer as the server sees one: a browser with cookies, who loads pages and sends their forms."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from starfish_storage import open_storage
from starfish_storage.interface import Storage
from starfish_storage.viewer.application import ReviewMode

from .markup import Page
from .viewing import PLAIN, RUN, make, viewer


@dataclass(slots=True)
class Browser:
    """A browser without JavaScript.

    Attributes:
        client: with its cookies.
        page: what it shows.
        response: how that came.
    """

    client: httpx.AsyncClient
    page: Page
    response: httpx.Response

    @classmethod
    async def on(cls, address: str, client: httpx.AsyncClient) -> Browser:
        """Return one that has loaded a page."""
        response = await client.get(address, follow_redirects=True)
        return cls(client, Page(response.text), response)

    @property
    def origin(self) -> dict[str, str]:
        """What browsers say of a form of this page."""
        return {"Origin": str(self.client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}

    @property
    def uid(self) -> str:
        """The record that it shows."""
        return self.response.url.params["at"]

    async def go(self, address: str) -> None:
        """Load a page."""
        self.response = await self.client.get(address, follow_redirects=True)
        self.page = Page(self.response.text)

    async def press(self, button: str, form: int = 0, **typed: str) -> httpx.Response:
        """Send the form of a button, and show what comes; return the first answer."""
        forms = [one for one in self.page.forms if button in one.buttons]
        sent = forms[form].fields | forms[form].buttons[button] | typed
        answer = await self.client.post(forms[form].action, data=sent, headers=self.origin)
        self.response = answer
        if answer.status_code == 303:
            self.response = await self.client.get(answer.headers["location"], follow_redirects=True)
        self.page = Page(self.response.text)
        return answer


def another(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Return another browser at the same viewer."""
    return httpx.AsyncClient(base_url=client.base_url, timeout=30, verify=PLAIN)


@asynccontextmanager
async def reviewing(store: str, author: str | None = "Ada", inputs: int = 3) -> AsyncGenerator[tuple[Storage, Any]]:
    """Make a run, and serve a viewer that may write over it; give its storage and a client."""
    await make(store, inputs)
    async with (
        open_storage(store, durability="process") as storage,
        viewer(storage, review=ReviewMode(author)) as client,
    ):
        yield storage, client


async def said(storage: Storage, run: str = RUN) -> list[tuple[str, Any, str, bool]]:
    """Return what was said of the records of a run: kind, value, author, and whether it holds."""
    found = await storage.annotations.list_for_run(run)
    return [(one.kind, one.value, one.author, one.withdrawn is None) for one in found]

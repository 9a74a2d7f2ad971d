from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from starfish_storage import open_storage
from starfish_storage.viewer import gathering

from .browsing import WIDE, BrowserPage, OneBrowser
from .viewing import make, make_again, viewer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store that tests only look at."""
    import asyncio

    store = (tmp_path_factory.mktemp("viewer") / "store").as_uri()
    asyncio.run(make(store))
    asyncio.run(make_again(store))
    return store


@pytest.fixture
async def client(made: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with open_storage(made, read_only=True) as storage, viewer(storage) as client:
        yield client


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages wait until everything is counted, however slow the machine is."""
    monkeypatch.setattr(gathering, "PATIENCE", 20.0)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[OneBrowser]:
    """The browser of this worker. Tests with it run in the loop of the session: `viewer.browsing.in_a_browser`."""
    one = OneBrowser()
    yield one
    await one.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def _seen(made: str, browser: OneBrowser) -> AsyncGenerator[BrowserPage]:
    """One page for all tests of a module: a context, and a process that shows it, take half a second."""
    async with (
        open_storage(made, read_only=True) as storage,
        viewer(storage) as client,
        browser.browsing(client) as page,
    ):
        yield page


@pytest_asyncio.fixture(loop_scope="session")
async def seen(_seen: BrowserPage) -> AsyncGenerator[BrowserPage]:
    """A page of the browser, of a viewer over the store that tests only look at; nothing may go wrong in it."""
    await _seen.look("light", WIDE)
    yield _seen
    wrong, _seen.wrong = _seen.wrong, []
    assert wrong == []

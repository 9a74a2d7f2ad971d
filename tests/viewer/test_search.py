"""The page of the text search: hits with snippets, pages in the URL, and hostile text as text."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest
import pytest_asyncio

from starfish_storage import open_storage
from starfish_storage.storage import searching
from starfish_storage.testing.samples import MASTER_JOB, a_record, save_run

from .markup import Page
from .viewing import RUN, make, viewer


@pytest_asyncio.fixture
async def client(store: str) -> AsyncGenerator[httpx.AsyncClient]:
    """The viewer over a run whose record 2 is hostile, and one with many records that have the same word."""
    await make(store)
    async with open_storage(store, durability="process") as storage:
        await save_run(storage)
        await storage.save_records((a_record(f"r{at:02}"), {"note": f"common word {at}"}) for at in range(45))
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        yield client


async def page(client: httpx.AsyncClient, address: str, status: int = 200) -> Page:
    response = await client.get(address)
    assert response.status_code == status, response.text
    return Page(response.text)


async def test_hits_lead_to_records(client: httpx.AsyncClient):
    """From the box that every page has, over the whole store or the run that is looked at."""
    for address, words in (("/", "Search all records"), (f"/records?run={RUN}", "Search this run")):
        assert f'placeholder="{words}"' in (await client.get(address)).text
    found = await page(client, f"/search?q=number&run={RUN}&field=messages.content")
    assert "5 records match" in found.text
    assert sum(place.startswith("/record?uid=") for place in found.links) == 5
    assert "export" not in found.text  # fields are not in it
    found = await page(client, f"/search?q=number&run={RUN}")
    assert f"export {RUN} FILE.jsonl --all-statuses --search number" in found.text
    assert "No record has these words" in (await page(client, f"/search?q=common&run={RUN}")).text
    assert (await page(client, "/search?q=common&project=project-1")).has_link("Next")
    assert "What can be searched for" in (await page(client, "/search")).text
    assert "What can be searched for" in (await page(client, "/search?q=%20")).text


async def test_pages_follow_each_other(client: httpx.AsyncClient):
    seen: list[str] = []
    address = f"/search?q=common+word&run={MASTER_JOB}"
    while True:
        found = await page(client, address)
        seen += [place for place in found.links if place.startswith("/record?uid=")]
        following = [place for place, text in found.links.items() if text == "Next"]
        if not following:
            break
        (address,) = following
    assert len(seen) == len(set(seen)) == 45
    assert "There are no more hits" in (await page(client, f"/search?q=common&run={MASTER_JOB}&rank=-9&after=x")).text


async def test_hostile_text_is_text(client: httpx.AsyncClient):
    response = await client.get("/search?q=alert+OR+desrever")
    assert "&lt;script&gt;<mark>alert</mark>(" in response.text
    assert "<script>alert" not in response.text
    assert "\\u202e" in response.text
    response = await client.get('/search?q="><script>alert(5)</script>&field="><script>')
    assert "<script>alert" not in response.text
    assert "<script>" not in response.text.split("<main")[1]


async def test_what_makes_no_sense_is_said(client: httpx.AsyncClient):
    for query in ("-", "a*", "%22%22", "x" * 1001):
        found = await client.get(f"/search?q={query}")
        assert found.status_code == 400
        assert 'role="alert"' in found.text, query
    assert (await client.get("/search?q=x&run=gone")).status_code == 404
    for place in ("rank=nan&after=x", "rank=1", "after=x", "rank=one&after=x"):
        assert (await client.get(f"/search?q=x&{place}")).status_code == 400
    assert "No record has these words" in (await page(client, "/search?q=x&project=../..&field=%00")).text


async def test_it_says_what_is_not_indexed_yet(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    """A part of the page goes on, and says when it is done."""
    monkeypatch.setattr(searching, "_SEARCH_SECONDS", 0.0)
    monkeypatch.setattr("starfish_storage.metadata.sqlite.change_feed._NEW_AT_ONCE", 20)
    found = await page(client, "/search?q=common")
    assert "20 of 51 records are indexed" in found.text
    assert "All 51 records are indexed now" in (await client.get("/search/index")).text
    assert "indexed" not in (await page(client, "/search?q=common")).text

"""Stores that vanish, stop or break while they are viewed: a page says so, the rest goes on, and it comes back."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from generation.runs import open_store
from servers.postgres import PostgresServer
from servers.s3 import S3Server
from starfish_storage import open_storage
from starfish_storage.data.patience import RETRY_VARIABLE
from starfish_storage.uri import path_of_file_uri

from .markup import Page
from .viewing import RUN, make, viewer

ADDRESSES = ("/", f"/run?id={RUN}", f"/records?run={RUN}")
LONGEST = 8  # seconds for a page, on a machine that is busy; without being told, a store tries for 60


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RETRY_VARIABLE, "1")


async def problems(client: httpx.AsyncClient) -> list[str]:
    """Return what the pages say, which must all say that the store cannot be read."""
    said: list[str] = []
    for address in ADDRESSES:
        began = time.monotonic()
        response = await client.get(address)
        assert time.monotonic() - began < LONGEST
        assert response.status_code == 503, address
        shown = Page(response.text)
        assert "Try again now" in shown.text
        assert address in shown.links
        said.append(shown.text)
    return said


async def assert_read(client: httpx.AsyncClient) -> None:
    for address in ADDRESSES:
        assert (await client.get(address)).status_code == 200, address


async def test_a_directory_that_is_renamed_away_and_its_data(store: str):
    await make(store, 2)
    place = Path(path_of_file_uri(store))
    async with open_storage(store, read_only=True) as storage, viewer(storage) as client:
        (place / "data").rename(place / "away")
        records = Page((await client.get(f"/records?run={RUN}")).text)
        assert records.text.count("does not exist in this store") == 2
        (place / "away").rename(place / "data")
        place.rename(place.with_name("away"))
        assert all("No such file or directory" in one for one in await problems(client))
        assert (await client.get("/keys")).status_code == 200
        place.with_name("away").rename(place)
        await assert_read(client)


@pytest.mark.usefixtures("_impatient")
async def test_a_server_that_stops(postgres_uri: str, postgres_server: PostgresServer, tmp_path: Path):
    store = f"{postgres_uri} {(tmp_path / 'data').as_uri()}"
    await make(store, 2)
    async with open_store(store) as storage, viewer(storage) as client:
        postgres_server.stop()
        for one in await problems(client):
            assert "could not be reached" in one, one
        postgres_server.start()
        await assert_read(client)


@pytest.mark.usefixtures("_impatient")
async def test_objects_that_cannot_be_reached(s3_uri: str, s3_server: S3Server, tmp_path: Path):
    store = f"{(tmp_path / 'store').as_uri()} {s3_uri}"
    await make(store, 2)
    async with open_store(store) as storage, viewer(storage) as client:
        s3_server.stop()
        assert (await client.get("/")).status_code == 200
        for address in ADDRESSES[1:]:  # rows are there, data is not
            began = time.monotonic()
            shown = Page((await client.get(address)).text)
            assert time.monotonic() - began < LONGEST
            assert "could not be reached" in shown.text, shown.text
        s3_server.start()
        await assert_read(client)

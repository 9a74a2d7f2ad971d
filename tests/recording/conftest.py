"""What the tests of recording clients share: a local storage that is sound when they are done with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from generation.runs import open_store, sound
from recording.asking import Client, Clients
from servers.paying import PayingServer
from starfish_storage.interface import Storage


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
async def storage(store: str) -> AsyncIterator[Storage]:
    async with open_store(store) as storage:
        yield storage
    sound(store)


@pytest.fixture
async def clients(paying_server: PayingServer) -> AsyncIterator[Clients]:
    made: list[Client] = []

    def make(*which: Any, **options: Any) -> Client:
        made.append(Client(paying_server, *which, **options))
        return made[-1]

    yield make
    for client in made:
        await client.close()

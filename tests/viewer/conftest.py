from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from starfish_storage import open_storage

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


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()

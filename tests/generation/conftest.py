"""What the tests of runs share: a storage that is sound when they are done with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from starfish_storage import open_storage
from starfish_storage.interface import Storage
from starfish_storage.maintenance import verify


@pytest.fixture
def store(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
async def storage(store: str) -> AsyncIterator[Storage]:
    async with open_storage(store, durability="process") as storage:
        yield storage
    report = verify(store)
    assert report.is_sound, str(report)

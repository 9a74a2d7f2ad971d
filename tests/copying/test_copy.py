"""Copying between two local stores."""

from __future__ import annotations

from pathlib import Path

from copying import stores
from copying.stores import whole
from starfish_storage import LocalStorage
from starfish_storage.copying import copy
from starfish_storage.maintenance import verify


async def test_everything_arrives_as_it_is(tmp_path: Path) -> None:
    source, target = await stores.make(tmp_path / "a"), LocalStorage((tmp_path / "b").as_uri())
    async with source, target:
        await copy(source, target)
        assert await whole(target) == await whole(source)
        again = await copy(source, target)
        assert (again.records, again.execution_jobs, again.master_jobs, again.unchanged) == (0, 0, 0, 69)
    assert verify(target.storage_uri).findings == ()

"""A store with a run to export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from starfish_storage import LocalStorage
from starfish_storage.testing.samples import save_run


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """Yield a store that has a project, a master job and an execution job."""
    async with LocalStorage((tmp_path / "store").as_uri(), durability="process") as storage:
        await save_run(storage)
        yield storage

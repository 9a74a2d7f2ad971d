"""A store to import into, and what other tools have stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from imports.foreign import RealStores, frozen
from imports.reading import assert_sound
from starfish_storage import LocalStorage

collect_ignore = ["curator_writer.py", "distilabel_writer.py"]  # run where those tools are installed


@pytest.fixture(scope="session", autouse=True)
def real_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStores]:
    """What the real tools are writing from the first test on."""
    made = RealStores(tmp_path_factory.mktemp("foreign"))
    yield made
    made.close()


@pytest.fixture
def stores_of(real_stores: RealStores, tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that returns what a tool has stored, ``"frozen"`` or ``"real"``."""
    return lambda tool, made: frozen(tool, tmp_path) if made == "frozen" else real_stores.of(tool)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def storage(root: Path) -> AsyncIterator[LocalStorage]:
    """An empty store, which must be sound in the end, whatever became of the imports."""
    async with LocalStorage(root.as_uri()) as opened:
        yield opened
    await assert_sound(root)

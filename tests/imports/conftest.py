"""A store to import into, and what other tools have stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from imports.foreign import frozen, real
from imports.reading import assert_sound
from starfish_storage import LocalStorage

collect_ignore_glob = ["*_writer.py"]  # run where those tools are installed


@pytest.fixture
def stores_of(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that returns what a tool has stored: ``"frozen"`` once, or ``"real"`` now."""
    return lambda tool, made: (frozen if made == "frozen" else real)(tool, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def storage(root: Path) -> AsyncIterator[LocalStorage]:
    """An empty store, which must be sound in the end, whatever became of the imports."""
    async with LocalStorage(root.as_uri()) as opened:
        yield opened
    await assert_sound(root)

"""A directory to call commands in, with a store in it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from cli import stores


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "store"
    asyncio.run(stores.make(root))
    return root


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without a store."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def here(made: Path, empty: Path) -> Path:
    """The working directory, with a store where commands look for it."""
    shutil.copytree(made, empty / "store")
    return empty

"""What the tests with real faults share: the compiled shim, and a directory in memory where there is one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from durability import shim
from durability.file_systems import Mounted, cannot_mount

IN_MEMORY = Path("/dev/shm")
SPACE = 8 << 20


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = shim.unavailable()
    if reason:
        pytest.skip(reason)
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory of its own in memory, where hundreds of stores are made and removed quickly; else on the disk."""
    if not (IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK)):
        yield tmp_path
        return
    path = Path(tempfile.mkdtemp(prefix="starfish-storage-", dir=IN_MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Mounted]:
    reason = cannot_mount()
    if reason:
        pytest.skip(reason)
    mounted = Mounted("tmpfs", tmp_path / "disk", "tmpfs", f"size={SPACE}")
    try:
        yield mounted
    finally:
        mounted.give_up()

"""LocalStorage with the durability of a process, held to the contract of a storage."""

from pathlib import Path

import pytest

from starfish_storage.testing.store import DirectoryStore
from starfish_storage.testing.suites.storage_tests import StorageTests


class TestLocalStorageWithProcessDurability(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path, durability="process")

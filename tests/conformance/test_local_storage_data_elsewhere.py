"""LocalStorage with its data in another directory, held to the contract of a storage."""

from pathlib import Path

import pytest

from starfish_storage.testing.storage_tests import StorageTests
from starfish_storage.testing.store import DirectoryStore


class TestLocalStorageWithDataElsewhere(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path, data_elsewhere=True)

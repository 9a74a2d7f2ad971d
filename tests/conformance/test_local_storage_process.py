"""LocalStorage with the durability of a process and its data in packs, held to the contract of a storage.

The one that runs every suite in the ordinary run, for all local stores: what the suites of rows ask does not depend on
where data lies, or on when it is synced. `test_local_storage` and `test_local_storage_data_elsewhere` have the others.
"""

from pathlib import Path

import pytest

from conformance.packed_stores import PackedStore
from starfish_storage.testing.suites.storage_tests import StorageTests


class TestLocalStorageWithProcessDurability(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> PackedStore:
        return PackedStore(tmp_path, durability="process", layout="packed")

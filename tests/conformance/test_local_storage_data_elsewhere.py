"""LocalStorage, power-safe, with its data in packs in another directory, held to the contract of a storage.

Its rows are those of `test_local_storage_process`, which runs every suite: in the ordinary run this one has those with
data. Files in another directory are what `TestPowerSafeMachine` has.
"""

from pathlib import Path

import pytest

from conformance.data_suites import DataSuites
from conformance.packed_stores import PackedStore
from starfish_storage.testing.suites.storage_tests import StorageTests


class Store:
    @pytest.fixture
    def store(self, tmp_path: Path) -> PackedStore:
        return PackedStore(tmp_path, data_elsewhere=True, layout="packed")


class TestLocalStorageWithDataElsewhere(Store, DataSuites):
    pass


@pytest.mark.slow
class TestLocalStorageWithDataElsewhereWhole(Store, StorageTests):
    pass

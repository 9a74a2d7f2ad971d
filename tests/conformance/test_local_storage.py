"""LocalStorage as it is by default, with a file for each record, held to the contract of a storage.

Its rows are those of `test_local_storage_process`, which runs every suite: in the ordinary run this one has those with
data.
"""

from pathlib import Path

import pytest

from conformance.data_suites import DataSuites
from starfish_storage.testing.store import DirectoryStore
from starfish_storage.testing.suites.storage_tests import StorageTests


class Store:
    @pytest.fixture
    def store(self, tmp_path: Path) -> DirectoryStore:
        return DirectoryStore(tmp_path)


class TestLocalStorage(Store, DataSuites):
    pass


@pytest.mark.slow
class TestLocalStorageWhole(Store, StorageTests):
    pass

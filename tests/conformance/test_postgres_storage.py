"""PostgresStorage with its data in packs in a shared directory, held to the contract of a storage.

With a file for each record, its rows are the same: in the ordinary run that has the suites in which data is replaced
and removed.
"""

from pathlib import Path

import pytest

from conformance.packed_remote_stores import PackedPostgresDirectoryStore
from conformance.postgres_stores import PostgresDirectoryStore, Schema
from starfish_storage.testing.suites.storage_tests import StorageTests


class TestPostgresStorage(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path, postgres_schema: Schema) -> PackedPostgresDirectoryStore:
        return PackedPostgresDirectoryStore(tmp_path, postgres_schema)


class Files:
    @pytest.fixture
    def store(self, tmp_path: Path, postgres_schema: Schema) -> PostgresDirectoryStore:
        return PostgresDirectoryStore(tmp_path, postgres_schema)


class TestPostgresStorageOfFiles(Files):
    TestAtomicRecords = StorageTests.TestAtomicRecords
    TestDeletion = StorageTests.TestDeletion
    TestMixedCalls = StorageTests.TestMixedCalls
    TestVersions = StorageTests.TestVersions


@pytest.mark.slow
class TestPostgresStorageOfFilesWhole(Files, StorageTests):
    pass

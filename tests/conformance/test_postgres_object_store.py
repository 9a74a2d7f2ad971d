"""PostgresStorage with its data in an object store, held to the contract of a storage.

Its rows are those of `test_postgres_storage`, and its objects those of `test_sqlite_object_store`, which run every
suite: in the ordinary run this one has the suites in which the two meet, with packs; with an object for each record
the one in which data is removed.
"""

import pytest

from conformance.packed_remote_stores import PackedPostgresObjectStore
from conformance.postgres_stores import PostgresObjectStore, Schema
from starfish_storage.testing.suites.storage_tests import StorageTests


class Store:
    @pytest.fixture
    def store(self, s3_uri: str, postgres_schema: Schema) -> PostgresObjectStore:
        return PostgresObjectStore(s3_uri, postgres_schema)


class PackedStore:
    @pytest.fixture
    def store(self, s3_uri: str, postgres_schema: Schema) -> PackedPostgresObjectStore:
        return PackedPostgresObjectStore(s3_uri, postgres_schema)


class TestPostgresObjectStore(Store):
    TestDeletion = StorageTests.TestDeletion


class TestPackedPostgresObjectStore(PackedStore):
    TestManyRecordsData = StorageTests.TestManyRecordsData
    TestAtomicRecords = StorageTests.TestAtomicRecords
    TestDeletion = StorageTests.TestDeletion
    TestRelocation = StorageTests.TestRelocation
    TestConcurrency = StorageTests.TestConcurrency
    TestMixedCalls = StorageTests.TestMixedCalls


@pytest.mark.slow
class TestPostgresObjectStoreWhole(Store, StorageTests):
    pass


@pytest.mark.slow
class TestPackedPostgresObjectStoreWhole(PackedStore, StorageTests):
    pass

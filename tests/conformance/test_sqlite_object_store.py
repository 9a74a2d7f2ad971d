"""Rows in SQLite and data in an object store, held to the contract of a storage.

Its rows are those of a local store, which runs every suite: in the ordinary run this one has those with data, with
packs; with an object for each record those in which data is replaced and removed.
"""

import secrets
from pathlib import Path

import pytest
from hypothesis import settings

from conformance.data_suites import DataSuites
from conformance.object_stores import SQLiteObjectStore
from conformance.packed_remote_stores import PackedSQLiteObjectStore
from servers.fixtures import BUCKET
from starfish_storage.testing.machine.state_machine import StorageMachine
from starfish_storage.testing.suites.storage_tests import StorageTests


class Store:
    @pytest.fixture
    def store(self, tmp_path: Path, s3_uri: str) -> SQLiteObjectStore:
        return SQLiteObjectStore(tmp_path, s3_uri)


class PackedStore:
    @pytest.fixture
    def store(self, tmp_path: Path, s3_uri: str) -> PackedSQLiteObjectStore:
        return PackedSQLiteObjectStore(tmp_path, s3_uri)


class TestSQLiteObjectStore(Store):
    TestAtomicRecords = StorageTests.TestAtomicRecords
    TestDeletion = StorageTests.TestDeletion


class TestPackedSQLiteObjectStore(PackedStore, DataSuites):
    pass


@pytest.mark.slow
class TestSQLiteObjectStoreWhole(Store, StorageTests):
    pass


@pytest.mark.slow
class TestPackedSQLiteObjectStoreWhole(PackedStore, StorageTests):
    pass


class SQLiteObjectStoreMachine(StorageMachine):
    def make_store(self, directory: Path) -> SQLiteObjectStore:
        return PackedSQLiteObjectStore(directory, f"s3://{BUCKET}/{secrets.token_hex(6)}")


class SQLiteObjectStoreMachineForLonger(SQLiteObjectStoreMachine):
    pass


class SQLiteObjectFilesMachineForLonger(SQLiteObjectStoreMachine):
    def make_store(self, directory: Path) -> SQLiteObjectStore:
        return SQLiteObjectStore(directory, f"s3://{BUCKET}/{secrets.token_hex(6)}")


TestSQLiteObjectStoreMachine = pytest.mark.usefixtures("s3_uri")(SQLiteObjectStoreMachine.TestCase)
TestSQLiteObjectStoreMachine.settings = settings(max_examples=8, stateful_step_count=30)

TestSQLiteObjectStoreMachineForLonger = pytest.mark.usefixtures("s3_uri")(
    pytest.mark.slow(SQLiteObjectStoreMachineForLonger.TestCase)
)
TestSQLiteObjectStoreMachineForLonger.settings = settings(max_examples=150, stateful_step_count=50)

TestSQLiteObjectFilesMachineForLonger = pytest.mark.usefixtures("s3_uri")(
    pytest.mark.slow(SQLiteObjectFilesMachineForLonger.TestCase)
)
TestSQLiteObjectFilesMachineForLonger.settings = settings(max_examples=150, stateful_step_count=50)

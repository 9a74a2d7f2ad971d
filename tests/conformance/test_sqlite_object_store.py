"""Rows in SQLite and data in an object store, held to the whole contract."""

from pathlib import Path

import pytest

from conformance.object_stores import SQLiteObjectStore
from starfish_storage.testing.storage_tests import StorageTests


class TestSQLiteObjectStore(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path, s3_uri: str) -> SQLiteObjectStore:
        return SQLiteObjectStore(tmp_path, s3_uri)

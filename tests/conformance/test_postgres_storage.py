"""PostgresStorage with its data in a shared directory, held to the contract of a storage."""

from pathlib import Path

import pytest

from conformance.postgres_stores import PostgresDirectoryStore, Schema
from starfish_storage.testing.suites.storage_tests import StorageTests


class TestPostgresStorage(StorageTests):
    @pytest.fixture
    def store(self, tmp_path: Path, postgres_schema: Schema) -> PostgresDirectoryStore:
        return PostgresDirectoryStore(tmp_path, postgres_schema)

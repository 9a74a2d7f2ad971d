"""PostgresStorage with its data in an object store, held to the contract of a storage."""

import pytest

from conformance.postgres_stores import PostgresObjectStore, Schema
from starfish_storage.testing.storage_tests import StorageTests


class TestPostgresObjectStore(StorageTests):
    @pytest.fixture
    def store(self, s3_uri: str, postgres_schema: Schema) -> PostgresObjectStore:
        return PostgresObjectStore(s3_uri, postgres_schema)

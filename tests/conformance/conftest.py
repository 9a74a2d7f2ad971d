"""Schemas for the stores of the suites."""

from collections.abc import Iterator

import pytest

from conformance.postgres_stores import Schema
from servers.postgres import PostgresServer


@pytest.fixture
def postgres_schema(postgres_server: PostgresServer) -> Iterator[Schema]:
    """A schema that does not exist yet; afterwards it is dropped."""
    postgres_server.start()
    schema = Schema(postgres_server)
    yield schema
    schema.drop()

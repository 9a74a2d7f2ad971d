"""A schema of its own for the tests of PostgreSQL's schema and plans."""

import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from durability.conftest import memory_path
from remote.postgres_schemas import QUERIES
from servers.postgres import PostgresServer
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import SETTINGS
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.migrate import migrate

__all__ = ["memory_path"]


@pytest.fixture(scope="module")
def by_migrations(postgres_server: PostgresServer) -> Iterator[PostgresAddress]:
    """A schema made by the migrations."""
    postgres_server.start()
    address = PostgresAddress.of_uri(postgres_server.uri(schema=f"test_{secrets.token_hex(6)}"))
    connection = PostgresConnection(address, 60)
    connection.open()
    migrate(connection, QUERIES, address)
    connection.close()
    yield address
    postgres_server.execute(f"DROP SCHEMA {address.search_path} CASCADE")


@pytest_asyncio.fixture
async def connection(by_migrations: PostgresAddress) -> AsyncIterator[asyncpg.Connection]:
    settings = {**SETTINGS, "search_path": by_migrations.search_path}
    connection = await asyncpg.connect(by_migrations.dsn, server_settings=settings)
    yield connection
    await connection.close()

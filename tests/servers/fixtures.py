"""The real servers as fixtures: each starts when a test first asks for it, and serves the whole session."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from servers import postgres
from servers.emptied_schemas import EmptiedSchemas
from servers.paying import PayingServer
from servers.postgres import PostgresServer
from servers.processes import HOST
from servers.s3 import MotoServer, S3Server

BUCKET = "starfish-tests"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    skip_if(postgres.unavailable())
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    skip_if(S3Server.unavailable())
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    skip_if(MotoServer.unavailable())
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def _paying_server() -> Iterator[PayingServer]:
    with PayingServer() as server:
        yield server


@pytest.fixture
def paying_server(_paying_server: PayingServer) -> Iterator[PayingServer]:
    """A model that counts what was paid for it; afterwards it forgets that, and what it was told."""
    _paying_server.start()
    yield _paying_server
    _paying_server.reset()


@pytest.fixture
def postgres_uri(postgres_server: PostgresServer) -> Iterator[str]:
    """The URI of a schema that does not exist yet; afterwards it is dropped, and the server runs."""
    postgres_server.start()
    schema = f"test_{secrets.token_hex(6)}"
    yield postgres_server.uri(schema=schema)
    postgres_server.start()
    postgres_server.terminate_connections()  # a connection that was left open in a transaction would hold the schema
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.fixture(scope="session")
def emptied_schemas(postgres_server: PostgresServer) -> EmptiedSchemas:
    return EmptiedSchemas(postgres_server)


@pytest.fixture
def s3_uri(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a prefix below which there is nothing, and the environment to reach it; afterwards the server runs."""
    s3_server.start()
    s3_server.make_bucket(BUCKET)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)  # a developer's own profile would win
    for name, value in {**s3_server.environment, "NO_PROXY": HOST, "no_proxy": HOST}.items():
        monkeypatch.setenv(name, value)
    yield f"s3://{BUCKET}/{secrets.token_hex(6)}"
    s3_server.start()


def skip_if(reason: str | None) -> None:
    if reason:
        pytest.skip(reason)

"""A store in PostgreSQL that cannot be opened: each reason has one clear line, at once where waiting is of no use."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durability import processes, workload
from durability.marker import MARK, assert_shows_nothing, shown
from remote.stores import PATIENCE, SHORT, opened, rows, schema_of, through
from servers.postgres import PostgresServer
from servers.postgres_wire import Moment, PostgresWire
from servers.processes import HOST, free_port
from starfish_storage.errors import (
    ForeignStoreError,
    InvalidUriError,
    StorageError,
    StorageUnavailableError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.maintenance import migrate
from starfish_storage.metadata.postgres import connecting
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.inspection import PostgresInspection
from starfish_storage.metadata.postgres.migrate import is_there

AT_ONCE = 10.0
PASSWORD = "s3-cret"


async def refused(uri: str, root: Path, kind: type[StorageError], patience: float = 60) -> str:
    """Return what the setup of a store that cannot be opened says."""
    storage = opened(uri, root, patience)
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        await storage.setup()
    assert time.monotonic() - started < AT_ONCE
    assert type(caught.value) is kind
    said = str(caught.value)
    assert "\n" not in said
    for statement in ("SELECT", "INSERT", "CREATE TABLE", "DETAIL"):
        assert statement not in said
    everything = shown(caught.value)
    assert "asyncpg.exceptions" not in everything, everything
    password = uri.partition("://")[2].partition("@")[0].partition(":")[2]
    assert not password or password not in everything
    await storage.close()
    return said


@pytest.fixture
def user(postgres_server: PostgresServer, postgres_uri: str) -> Iterator[str]:
    """A user who may nothing but connect."""
    name = f"user_{secrets.token_hex(4)}"
    postgres_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    postgres_server.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_user(uri: str, user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@{uri.rpartition('@')[2]}"


async def test_a_wrong_password(postgres_uri: str, memory_path: Path) -> None:
    said = await refused(as_user(postgres_uri, "postgres", "wr0ng"), memory_path, StoreOpenError)
    assert "refused the user or the password; see PGUSER, PGPASSWORD and PGPASSFILE" in said


async def test_an_unknown_user(postgres_uri: str, memory_path: Path) -> None:
    said = await refused(as_user(postgres_uri, "nobody-here", "s3cret"), memory_path, StoreOpenError)
    assert "refused the user or the password" in said


async def test_a_missing_database(postgres_uri: str, memory_path: Path) -> None:
    said = await refused(postgres_uri.replace("/postgres?", "/missing?"), memory_path, StoreOpenError)
    assert "there is no such database; make it with createdb" in said


async def test_a_user_who_may_not_make_the_schema(postgres_uri: str, user: str, memory_path: Path) -> None:
    said = await refused(as_user(postgres_uri, user, PASSWORD), memory_path, StoreOpenError)
    assert "grant CREATE on the database, make the schema for it, or let" in said


async def test_a_user_who_may_not_use_the_schema(postgres_uri: str, user: str, memory_path: Path) -> None:
    async with opened(postgres_uri, memory_path):
        pass
    said = await refused(as_user(postgres_uri, user, PASSWORD), memory_path, StoreOpenError)
    assert "grant USAGE on it" in said


async def test_a_user_who_may_not_read_the_tables(
    postgres_server: PostgresServer, postgres_uri: str, user: str, memory_path: Path
) -> None:
    async with opened(postgres_uri, memory_path):
        pass
    postgres_server.execute(f'GRANT USAGE ON SCHEMA "{schema_of(postgres_uri)}" TO {user}')
    said = await refused(as_user(postgres_uri, user, PASSWORD), memory_path, StoreOpenError)
    assert "the user may not make or use the schema" in said


async def test_a_user_who_may_only_read_is_told_that_nothing_is_to_migrate(
    postgres_server: PostgresServer, postgres_uri: str, user: str, memory_path: Path
) -> None:
    async with opened(postgres_uri, memory_path):
        pass
    schema = schema_of(postgres_uri)
    grants = f'GRANT USAGE ON SCHEMA "{schema}" TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {user}'
    postgres_server.execute(grants)
    assert "which is this release's" in str(migrate(as_user(postgres_uri, user, PASSWORD)))
    async with opened(postgres_uri, memory_path) as storage:
        await storage.ledger.begin_drain()
    with pytest.raises(StoreOpenError, match="the user may not end its drain"):
        migrate(as_user(postgres_uri, user, PASSWORD))


async def test_a_user_for_whom_the_schema_was_made(
    postgres_server: PostgresServer, postgres_uri: str, user: str, memory_path: Path
) -> None:
    postgres_server.execute(f'CREATE SCHEMA "{schema_of(postgres_uri)}" AUTHORIZATION {user}')
    async with opened(as_user(postgres_uri, user, PASSWORD), memory_path) as storage:
        await workload.prepare(storage)


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
async def test_a_host_that_has_no_address(
    postgres_uri: str, memory_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(number, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = await refused(postgres_uri.replace(HOST, "db.mistyped"), memory_path, StoreOpenError)
    assert "there is no host of that name; see the URI and PGHOST" in said


def test_a_host_that_has_no_address_is_not_waited_for_in_order_to_look(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by checks nor by the question whether there is a store."""

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    address = PostgresAddress.of_uri(postgres_uri.replace(HOST, "db.mistyped"))
    for look in (PostgresInspection, is_there):
        started = time.monotonic()
        with pytest.raises(StoreOpenError, match="there is no host of that name"):
            look(address, 60)
        assert time.monotonic() - started < AT_ONCE


async def test_a_server_that_does_not_listen_is_waited_for_and_told_of_at_once(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be about to start; who has mistyped the port reads so in the log."""
    uri = through(postgres_uri, postgres_server, free_port())
    with caplog.at_level(logging.WARNING):
        said = await refused(uri, memory_path, StorageUnavailableError, SHORT)
    assert "ConnectionRefusedError" in said
    # Of ours: on a busy machine the event loop, which the tests let watch itself, tells of slow steps.
    [line] = [record.getMessage() for record in caplog.records if record.name.startswith("starfish_storage")]
    assert line.endswith("ConnectionRefusedError; it is tried again for 1.5 s")
    assert postgres_server.password not in line


async def test_a_server_without_tls(postgres_uri: str, memory_path: Path) -> None:
    said = await refused(f"{postgres_uri}&sslmode=require", memory_path, StoreOpenError)
    assert "the server has no TLS, which sslmode or PGSSLMODE asks for" in said


async def test_an_old_server(postgres_uri: str, memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_OLDEST_SERVER", 99)
    said = await refused(postgres_uri, memory_path, StoreOpenError)
    assert "is too old; use 99 or later" in said


@pytest.mark.parametrize("setting", ["sslmode=perhaps", "target_session_attrs=any-thing"])
async def test_a_setting_that_the_driver_cannot_read(postgres_uri: str, memory_path: Path, setting: str) -> None:
    said = await refused(f"{postgres_uri}&{setting}", memory_path, StoreOpenError)
    assert "the driver cannot read the URI or the PG* variables" in said


async def test_a_setting_that_the_server_does_not_know(postgres_uri: str, memory_path: Path) -> None:
    said = await refused(f"{postgres_uri}&no_such_setting=1", memory_path, StoreOpenError)
    assert "the server refused a setting that the URI ('no_such_setting') or PGOPTIONS gives" in said


async def test_foreign_tables(postgres_server: PostgresServer, postgres_uri: str, memory_path: Path) -> None:
    schema = schema_of(postgres_uri)
    postgres_server.execute(f'CREATE SCHEMA "{schema}"; CREATE TABLE "{schema}".customers (name text)')
    said = await refused(postgres_uri, memory_path, ForeignStoreError)
    assert "holds tables of something else; name another one with '?schema=my_store'" in said
    assert rows(postgres_server, postgres_uri, "SELECT * FROM {0}.customers") == []


async def test_a_newer_store(postgres_server: PostgresServer, postgres_uri: str, memory_path: Path) -> None:
    async with opened(postgres_uri, memory_path):
        pass
    rows(postgres_server, postgres_uri, "UPDATE {0}.settings SET value = '99' WHERE name = 'schema_version'")
    said = await refused(postgres_uri, memory_path, StoreVersionError)
    assert "a newer release wrote it (its schema is 99" in said
    assert "upgrade starfish-storage" in said


@pytest.mark.parametrize("value", ["x", "", "1.5"])
async def test_a_version_that_is_none(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, value: str
) -> None:
    async with opened(postgres_uri, memory_path):
        pass
    rows(postgres_server, postgres_uri, f"UPDATE {{0}}.settings SET value = '{value}'")
    await refused(postgres_uri, memory_path, ForeignStoreError)


@pytest.mark.parametrize("text", ["{}/s", "{}#s", "{}?s", "x/{}@s", "{}:x/@y", "x@{}/@y", "x#{}", "x?{}"], ids=ascii)
def test_a_password_that_was_not_escaped_is_not_shown(text: str, memory_path: Path) -> None:
    with pytest.raises(InvalidUriError, match="write '/', '#', '\\?'") as caught:
        opened(f"postgresql://me:{text.format(MARK)}@host:1/db", memory_path)
    assert_shows_nothing(caught.value)
    assert MARK not in str(caught.value.uri)


@pytest.mark.parametrize("name", ["password", "sslpassword", "PASSWORD"])
def test_a_password_as_a_setting_is_refused(name: str, memory_path: Path) -> None:
    with pytest.raises(InvalidUriError, match="PGPASSWORD") as caught:
        opened(f"postgresql://me@host/db?{name}={MARK}", memory_path)
    assert_shows_nothing(caught.value)
    assert MARK not in str(caught.value.uri)


# --- setup by halves, and by many -------------------------------------------------------------------------------------


async def test_a_setup_that_breaks_off_at_any_request_leaves_all_or_nothing(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """The process is gone for good: nobody tries again."""
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = '{}'"
    with PostgresWire(HOST, postgres_server.port) as wire:
        uri = through(postgres_uri, postgres_server, wire.port)
        wire.arm(0, Moment.BEFORE)
        async with opened(f"{uri}_whole", memory_path / "whole"):
            requests = wire.requests
        ((whole,),) = postgres_server.execute(tables.format(f"{schema_of(uri)}_whole"))
        for at in range(1, requests + 1):
            wire.arm(at, Moment.BEFORE)
            with pytest.raises(StorageUnavailableError):
                await opened(f"{uri}_{at}", memory_path / str(at), 0).setup()
            ((found,),) = postgres_server.execute(tables.format(f"{schema_of(uri)}_{at}"))
            assert found in ("0", whole)
            async with opened(f"{uri}_{at}", memory_path / str(at)) as storage:
                await workload.prepare(storage)
        assert requests > 10


SETTER_UP = """
import asyncio, sys
from pathlib import Path
from durability import workload
from remote.stores import opened
async def main():
    sys.stdin.readline()
    async with opened(sys.argv[1], Path(sys.argv[2])) as storage:
        await storage.save_project(workload.beginning()[0])
asyncio.run(main())
"""


def test_many_processes_set_up_one_store(postgres_server: PostgresServer, postgres_uri: str, memory_path: Path) -> None:
    started = [processes.start(["-c", SETTER_UP, postgres_uri, str(memory_path)]) for _ in range(4)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.projects") == [["1"]]


async def test_many_storages_set_up_one_store_at_once(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    storages = [opened(postgres_uri, memory_path) for _ in range(8)]
    await asyncio.gather(*(storage.setup() for storage in storages))
    await asyncio.gather(*(workload.prepare(one, f"m{n}", f"j{n}") for n, one in enumerate(storages)))
    await asyncio.gather(*(storage.close() for storage in storages))
    assert rows(postgres_server, postgres_uri, "SELECT count(*) FROM {0}.master_jobs") == [["8"]]
    assert rows(postgres_server, postgres_uri, "SELECT * FROM {0}.last_commits") == []


async def test_the_password_that_is_changed_while_the_storage_is_open(
    postgres_server: PostgresServer, postgres_uri: str, user: str, memory_path: Path
) -> None:
    """A new connection is refused: that is said at once, and the storage works on when it is mended."""
    postgres_server.execute(f'CREATE SCHEMA "{schema_of(postgres_uri)}" AUTHORIZATION {user}')
    async with opened(as_user(postgres_uri, user, PASSWORD), memory_path, PATIENCE) as storage:
        await workload.prepare(storage)
        postgres_server.execute(f"ALTER ROLE {user} PASSWORD 'other'")
        postgres_server.terminate_connections()
        for call in (workload.prepare(storage, "m", "j"), storage.get_project(workload.PROJECT)):
            with pytest.raises(StoreOpenError, match="refused the user or the password"):
                await asyncio.wait_for(call, AT_ONCE)
        postgres_server.execute(f"ALTER ROLE {user} PASSWORD '{PASSWORD}'")
        await workload.prepare(storage, "m", "j")

"""An answer that takes long is no server that is gone, be it that it arrives slowly or that it takes a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from durability import workload
from remote.stores import SHORT, opened, schema_of, through
from servers.postgres import PostgresServer
from servers.processes import HOST, wait_until
from servers.proxies import TcpProxy
from starfish_storage.errors import StorageUnavailableError
from starfish_storage.metadata.postgres.connecting import answer_of
from starfish_storage.storage.postgres import PostgresStorage

PATIENCE = 0.6  # a silent server is asked after a third of it
PROJECTS = 32  # of a megabyte each: more than the sockets on the way take in
SECONDS = 2.0
SLACK = 8.0  # as in test_silent_servers


@pytest.fixture
async def filled(postgres_server: PostgresServer, postgres_uri: str, memory_path: Path) -> AsyncIterator[TcpProxy]:
    """Give a proxy to a server with a store of large projects."""
    async with opened(postgres_uri, memory_path) as storage:
        await workload.prepare(storage)
    postgres_server.execute(
        f'INSERT INTO "{schema_of(postgres_uri)}".projects '
        "SELECT 'large ' || n, 'large ' || n, repeat('x', 1000000), now_text, now_text FROM generate_series(1, "
        f"{PROJECTS}) AS n, LATERAL (SELECT '2026-01-31T12:00:00.000000Z' AS now_text) AS times"
    )
    with TcpProxy(HOST, postgres_server.port) as proxy:
        yield proxy


def storage_behind(proxy: TcpProxy, server: PostgresServer, uri: str, root: Path, patience: float) -> PostgresStorage:
    return opened(through(uri, server, proxy.port), root, patience)


async def test_rows_that_keep_coming_are_waited_for(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, filled: TcpProxy
) -> None:
    """Three times as long as a server that says nothing: it waits for its client meanwhile, which takes the rows."""
    async with storage_behind(filled, postgres_server, postgres_uri, memory_path, PATIENCE) as storage:
        await storage.get_project(workload.PROJECT)
        filled.slow_down(PROJECTS * 1_000_000 / SECONDS)
        begun = time.monotonic()
        assert len(await storage.list_projects()) == PROJECTS + 1
        assert time.monotonic() - begun > 2 * PATIENCE


async def test_rows_that_come_no_more_are_given_up(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, filled: TcpProxy
) -> None:
    async with storage_behind(filled, postgres_server, postgres_uri, memory_path, SHORT) as storage:
        await storage.get_project(workload.PROJECT)
        filled.slow_down(PROJECTS * 1_000_000 / SECONDS)
        before = filled.forwarded
        listing = asyncio.create_task(storage.list_projects())
        await asyncio.to_thread(wait_until, lambda: filled.forwarded > before + 4_000_000, "some of the rows")
        filled.stall()
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            await listing
        assert time.monotonic() - begun < SHORT + SLACK
        filled.flow()


async def test_a_query_that_takes_long_is_waited_for(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    """The server works on it, and says nothing."""
    async with opened(postgres_uri, memory_path, PATIENCE) as storage:
        await workload.prepare(storage)
        postgres_server.execute(
            f'SET search_path TO "{schema_of(postgres_uri)}"; ALTER TABLE projects RENAME TO kept; '
            "CREATE VIEW projects AS SELECT kept.* FROM kept, pg_sleep(1.5) AS slept"
        )
        try:
            assert await storage.get_project(workload.PROJECT) is not None
        finally:
            postgres_server.execute(
                f'SET search_path TO "{schema_of(postgres_uri)}"; DROP VIEW projects; '
                "ALTER TABLE kept RENAME TO projects"
            )


class SilentConnection:
    """What `answer_of` asks of a connection on which nothing arrives."""

    def get_server_pid(self) -> int:
        return 1

    def traffic(self) -> tuple[int, int]:
        return 0, 0

    def terminate(self) -> None:
        raise AssertionError("the answer was given up")


async def test_a_server_without_a_connection_left_is_not_gone() -> None:
    """It answers; whether it works on this statement is seen as soon as there is a connection to ask by."""
    asked = asyncio.Event()

    async def no_connection() -> None:
        asked.set()
        raise asyncpg.TooManyConnectionsError

    async def statement() -> str:
        await asked.wait()
        return "the answer"

    assert await answer_of(SilentConnection(), statement(), 0.01, no_connection) == "the answer"

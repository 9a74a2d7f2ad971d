"""Idle workers hear of inputs, however rarely they look; and look, while they cannot hear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from generation.runs import open_store
from servers.postgres import PostgresServer
from starfish_storage.interface import RunLedger, Storage
from starfish_storage.metadata import waking_ledger
from starfish_storage.metadata.postgres import standing
from starfish_storage.runs import ClaimedInput
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.run_samples import a_worker, an_outcome, claim, inputs, start

NEVER = 3600.0
NOW = datetime.now(UTC)
SECONDS = 30.0


@pytest.fixture(autouse=True)
def _looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only looks every now and then hears of nothing in these tests."""
    for pause in ("_SHORTEST_PAUSE", "_LONGEST_PAUSE", "_HEARING_PAUSE", "_TELLING_PAUSE"):
        monkeypatch.setattr(waking_ledger, pause, NEVER)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)  # for what another thread does


@asynccontextmanager
async def watching(storage: Storage, tell: Callable[[], object]) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(storage.ledger.watch_inputs(MASTER_JOB, tell))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def hears(storage: Storage) -> bool:
    """Return whether the server would tell a storage of inputs; in SQLite it looks at the counter itself."""
    database: Any = storage.metadata._database  # type: ignore[attr-defined]
    return bool(database._standing._locks) if hasattr(database, "_standing") else True


def session(storage: Storage) -> object:
    return storage.metadata._database._standing._session  # type: ignore[attr-defined]


async def free_by_registering(ledger: RunLedger, _: list[ClaimedInput]) -> None:
    await ledger.register_inputs(MASTER_JOB, inputs(1, 3))


async def free_by_dying(ledger: RunLedger, _: list[ClaimedInput]) -> None:
    (worker,) = await ledger.list_workers(MASTER_JOB)
    await ledger.remove_worker(worker, NOW, died=True)


async def end_all(ledger: RunLedger, claimed: list[ClaimedInput]) -> None:
    """As the last worker does that has nothing left to do."""
    for one in claimed:
        await ledger.finish_input(an_outcome(one))
    await ledger.remove_worker(a_worker(), NOW)


@pytest.mark.parametrize("free", [free_by_registering, free_by_dying, end_all])
async def test_who_waits_for_inputs_hears_of_them(
    store: str, free: Callable[[RunLedger, list[ClaimedInput]], Awaitable[None]]
) -> None:
    async with open_store(store) as storage, open_store(store) as other:
        ledger = await start(storage, 3)
        claimed = await claim(ledger, 3)
        told = asyncio.Event()
        async with watching(other, told.set):
            await until(lambda: hears(other))
            await asyncio.sleep(0.05)  # the look that follows: it finds nothing, whether it comes before or after
            assert not told.is_set()
            await free(ledger, claimed)
            async with asyncio.timeout(SECONDS):
                await told.wait()


async def test_only_who_waits_is_told(postgres_uri: str, tmp_path: Path) -> None:
    """Groups that tell something are committed one after the other, so they tell nothing that nobody waits for."""
    store, heard = f"{postgres_uri} {tmp_path.as_uri()}", list[str]()
    dsn = postgres_uri.partition("?")[0]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.add_listener("starfish_storage_inputs", lambda *heard_of: heard.append(str(heard_of[-1])))
        async with open_store(store) as storage:
            ledger = await start(storage, 1)
            await claim(ledger, 1)
            async with watching(storage, lambda: None):
                await until(lambda: hears(storage))
                await ledger.register_inputs(MASTER_JOB, inputs(2, 1))
            await until(lambda: not hears(storage))
            await ledger.register_inputs(MASTER_JOB, inputs(2, 3))
        await connection.execute("NOTIFY starfish_storage_inputs, 'the end'")
        await until(lambda: "the end" in heard)
    finally:
        await connection.close()
    assert len(heard) == 2


async def test_who_cannot_hear_looks_and_hears_again(
    postgres_server: PostgresServer, postgres_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"{postgres_uri} {tmp_path.as_uri()}"
    async with open_store(store) as storage, open_store(store) as other:
        ledger = await start(storage, 1)
        (claimed,) = await claim(ledger, 1)
        told = asyncio.Event()
        monkeypatch.setattr(standing, "_SHORTEST_PAUSE", NEVER)  # it does not come back
        monkeypatch.setattr(waking_ledger, "_SHORTEST_PAUSE", 0.01)
        monkeypatch.setattr(waking_ledger, "_LONGEST_PAUSE", 0.01)
        async with watching(other, told.set):
            await until(lambda: hears(other))
            await asyncio.to_thread(postgres_server.terminate_connections)
            await until(lambda: not hears(other))
            await ledger.register_inputs(MASTER_JOB, inputs(1, 1))
            async with asyncio.timeout(SECONDS):
                await told.wait()
        await ledger.finish_input(an_outcome(claimed))
        assert len(await claim(ledger, 9)) == 1
        monkeypatch.setattr(standing, "_SHORTEST_PAUSE", 0.01)
        monkeypatch.setattr(waking_ledger, "_SHORTEST_PAUSE", NEVER)
        told.clear()
        async with watching(storage, told.set):
            await until(lambda: hears(storage))
            lost = session(storage)
            await asyncio.to_thread(postgres_server.terminate_connections)
            await until(lambda: session(storage) is not lost and hears(storage))
            await ledger.register_inputs(MASTER_JOB, inputs(1, 2))
            async with asyncio.timeout(SECONDS):
                await told.wait()

"""PostgreSQL ends and comes back in the middle of work: calls wait and go on, and each takes effect once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durability import workload
from generation.runs import RUN, data, numbers, start, statuses
from remote.stores import OUTAGES, Kept, check, check_itself, opened, rows
from servers.postgres import PostgresServer

WORKERS = 8
logger = logging.getLogger(__name__)


@pytest.mark.parametrize("outage", OUTAGES)
async def test_calls_wait_for_a_server_that_comes_back(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, outage: str
) -> None:
    async with opened(postgres_uri, memory_path) as storage:
        log = Kept()
        working = asyncio.create_task(workload.run(storage, log, 3, WORKERS))
        await log.until(30)
        await asyncio.to_thread(OUTAGES[outage], postgres_server)
        await working
        assert log.in_flight() == 0
        assert await check(storage, memory_path, log.lines, postgres_server, postgres_uri) > WORKERS


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_calls_wait_for_a_server_that_comes_back_again_and_again(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, outage: str
) -> None:
    async with opened(postgres_uri, memory_path, 60) as storage:
        log = Kept()
        working = asyncio.create_task(workload.run(storage, log, 30, WORKERS))
        count = 0
        while not working.done():
            some_more = asyncio.ensure_future(log.until(len(log.lines) + 37))
            await asyncio.wait((working, some_more), return_when="FIRST_COMPLETED")
            some_more.cancel()
            await asyncio.to_thread(OUTAGES[outage], postgres_server)
            count += 1
        await working
        assert log.in_flight() == 0
        records = await check(storage, memory_path, log.lines, postgres_server, postgres_uri)
    logger.info("%s: %d outages, %d records", outage, count, records)


class Failing:
    """A paid function in whose calls the server fails, at chosen inputs."""

    def __init__(self, fail: Callable[[], None], at: set[int]) -> None:
        self.paid: list[int] = []
        self._fail = fail
        self._at = at
        self._one_at_a_time = asyncio.Lock()  # who ends all sessions must not end those of the other

    async def __call__(self, n: int) -> dict[str, Any]:
        self.paid.append(n)
        if n in self._at:
            async with self._one_at_a_time:
                await asyncio.to_thread(self._fail)
        return {"n": n}


@pytest.mark.parametrize("outage", OUTAGES)
async def test_a_run_goes_on_when_the_server_comes_back(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path, outage: str
) -> None:
    function = Failing(lambda: OUTAGES[outage](postgres_server), {7, 31})
    async with opened(postgres_uri, memory_path) as storage:
        await start(storage, function, numbers(60), max_concurrency=10)
        assert sorted(function.paid) == list(range(60)), "paid twice"
        assert await statuses(storage) == ("completed", {"completed": 60})
        assert [one["n"] for one in await data(storage)] == list(range(60))
        state = await storage.ledger.get_run(RUN)
        assert state is not None
        assert (state.attempts, state.failed_attempts) == (60, 0)
    check_itself(postgres_server, postgres_uri)
    assert rows(postgres_server, postgres_uri, "SELECT count(*), max(number) FROM {0}.attempts") == [["60", "1"]]

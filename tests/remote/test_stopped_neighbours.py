"""A worker that is stopped (SIGSTOP) at a statement holds nobody up for long, and loses nothing."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from durability import processes, workload
from remote.stopping_process import DOOMED, INPUTS, LIMIT, RUN
from remote.stores import check_itself, opened, schema_of
from servers.postgres import PostgresServer
from servers.processes import wait_until
from starfish_storage.errors import NotFoundError
from starfish_storage.generation import generate
from starfish_storage.generation.lease import new_worker
from starfish_storage.interface import Storage
from starfish_storage.runs import Budget
from starfish_storage.runs.limits import SlotAsk
from starfish_storage.testing.samples import MASTER_JOB
from starfish_storage.testing.suites.run_samples import WORKER, a_worker, claim, start
from starfish_storage.times import utc_now

LONGEST_PAUSE = 10.0
"""Of a call of another one, with room for a machine that does much else; the bound before was 20 s."""
CHOSEN = "lock_limit,claim_inputs,list_mixed_case_ids_of_records"
logger = logging.getLogger(__name__)


class Neighbour:
    """Does all that others may be in the way of, and measures for how long they are."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._worker = new_worker(RUN)
        self._saved = 0
        self.longest = 0.0

    async def work(self) -> None:
        ledger, worker = self._storage.ledger, self._worker
        self._saved += 1
        uid = f"other-{self._saved}"

        async def claim_and_return() -> None:
            await ledger.claim_inputs(RUN, worker.worker_id, 1, utc_now(), Budget(1.0, 0.0))
            await ledger.remove_worker(worker, utc_now())

        for step in (
            lambda: ledger.save_worker(worker, 60),
            lambda: ledger.take_slots(LIMIT, RUN, SlotAsk(1)),
            claim_and_return,
            lambda: ledger.refresh_run(RUN, utc_now()),
            lambda: ledger.release_unowned_inputs(RUN, utc_now()),
            lambda: self._storage.save_record(workload.record(uid, 1), workload.payload(uid, 1)),
            lambda: ledger.begin_drain(RUN),  # which has the store alone
            lambda: ledger.end_drain(RUN),
        ):
            await self._timed(step)

    async def _timed(self, step: Callable[[], Awaitable[Any]]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_PAUSE):
                await step()
        except NotFoundError:
            pass  # the run has not begun
        self.longest = max(self.longest, time.monotonic() - began)


def is_stopped(process: subprocess.Popen[str]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def stopping(uri: str, root: Path, names: str) -> Iterator[subprocess.Popen[str]]:
    with processes.start(["-m", "remote.stopping_process", uri, root.as_uri(), names]) as process:
        try:
            yield process
        finally:
            process.kill()  # it may be stopped


async def stop_everywhere(uri: str, root: Path, names: str) -> tuple[list[str], float]:
    """Return after which statements a process stopped, and the longest pause of another one."""
    stopped: list[str] = []
    async with opened(uri, root) as storage:
        await workload.prepare(storage)

        async def doom(n: int) -> dict[str, int]:
            return {"n": n}

        await generate(storage, doom, [{"n": 0}], project="p", master_job_id=DOOMED, progress="quiet")
        neighbour = Neighbour(storage)
        with stopping(uri, root, names) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            while (line := await asyncio.to_thread(process.stdout.readline)).startswith("stopped"):
                # What is removed in the background is cut short by the end of the process.
                wait_until(lambda: is_stopped(process) or process.poll() is not None, "its stop")
                stopped.append(line.split()[1])
                await neighbour.work()
                process.send_signal(signal.SIGCONT)
            assert line == f"paid {list(range(INPUTS))}\n", line + process.stderr.read()
            assert process.wait(60) == 0
        counts = await storage.count_records_for_master_job(RUN)
        assert counts == {"completed": INPUTS // 2, "duplicate": INPUTS // 2}
        assert await storage.get_master_job(DOOMED) is None
    return stopped, neighbour.longest


async def test_a_worker_that_is_stopped_at_a_statement_stalls_nobody(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    stopped, longest = await stop_everywhere(postgres_uri, memory_path, CHOSEN)
    assert sorted(stopped) == sorted(CHOSEN.split(","))
    logger.info("the longest pause was %.2f s", longest)
    check_itself(postgres_server, postgres_uri)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_worker_that_is_stopped_at_any_statement_stalls_nobody(
    postgres_server: PostgresServer, postgres_uri: str, memory_path: Path
) -> None:
    stopped, longest = await stop_everywhere(postgres_uri, memory_path, "")
    assert len(stopped) > 20
    logger.info("stopped after %d statements; the longest pause was %.2f s", len(stopped), longest)
    check_itself(postgres_server, postgres_uri)


async def test_a_worker_whose_group_waits_renews_its_lease_and_is_not_waited_for(
    postgres_uri: str, memory_path: Path
) -> None:
    """Nor is a dead one whose row is taken."""
    async with opened(postgres_uri, memory_path) as storage:
        ledger = await start(storage, 1)
        await claim(ledger, 1)
        await ledger.save_worker(a_worker("other"))
        connection = await asyncpg.connect(postgres_uri.partition("?")[0])
        try:
            async with connection.transaction():
                await connection.execute(f'SET LOCAL search_path TO "{schema_of(postgres_uri)}"')
                await connection.execute("SELECT FROM workers WHERE worker_id = $1 FOR UPDATE", WORKER)
                # Nothing of these waits, or the end of this transaction would be waited for.
                async with asyncio.timeout(LONGEST_PAUSE):
                    assert await ledger.remove_worker(a_worker(), utc_now(), died=True) == 0
                await connection.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
                waiting = asyncio.ensure_future(ledger.request_stop(MASTER_JOB, "later"))
                async with asyncio.timeout(LONGEST_PAUSE):
                    renewed = await ledger.save_worker(a_worker("other"), 1000)
                assert renewed.lease_expires > utc_now() + timedelta(seconds=900)
                assert not waiting.done()
        finally:
            await connection.close()
        await waiting

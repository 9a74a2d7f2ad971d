"""Many processes at one run in PostgreSQL: while they live, every input is paid for once, whatever their clocks say."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from durability import processes
from generation.runs import RUN, Calls, numbers, open_store, start
from servers.postgres import PostgresServer
from starfish_storage import times
from starfish_storage.runs import Worker

DAY = 86_400
INPUTS, CONCURRENCY = 200, 3
FEW_OR_MANY = [4, pytest.param(16, marks=pytest.mark.slow)]


class Payers(NamedTuple):
    """A store, and where its workers are charged."""

    store: str
    charges: Path

    @contextmanager
    def started(self, environments: list[dict[str, str]], seconds: float) -> Iterator[list[subprocess.Popen[str]]]:
        """Start workers that begin together."""
        arguments = ["-m", "generation.paying_process", self.store, RUN, str(self.charges)]
        arguments += [str(INPUTS), str(CONCURRENCY), str(seconds), "shared"]
        workers = [processes.start(arguments, **environment) for environment in environments]
        try:
            for worker in workers:
                read_line(worker)
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
            yield workers
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()

    def paid(self) -> Counter[int]:
        return Counter(int(line) for line in self.charges.read_text().split())

    async def check(self, attempts: int) -> None:
        """Every input is done, and stored once, with as many attempts as were paid for."""
        async with open_store(self.store) as storage:
            job = await storage.get_master_job(RUN)
            assert job is not None
            assert (job.status, job.completed_record_count, job.target_record_count) == ("completed", INPUTS, INPUTS)
            assert await storage.count_records_for_master_job(RUN) == {"completed": INPUTS}
            assert await storage.ledger.count_inputs(RUN) == {"completed": INPUTS}
            records = [one async for one in storage.iter_records(RUN)]
            answers = await storage.get_records_data([one.output_ref or "" for one in records])
            assert sorted(one["number"] for one in answers) == list(range(INPUTS))
            state = await storage.ledger.get_run(RUN)
            assert state is not None
            assert (state.attempts, state.attempts - state.failed_attempts) == (attempts, INPUTS)
            assert await storage.ledger.list_workers(RUN) == []


@pytest.fixture
def payers(tmp_path: Path, postgres_uri: str) -> Payers:
    return Payers(f"{postgres_uri} {(tmp_path / 'store').as_uri()}", tmp_path / "charges")


def read_line(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    assert worker.stdout.readline(), worker.communicate()[1]


def deadlocks(server: PostgresServer) -> int:
    [[count]] = server.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(count)


def finish(worker: subprocess.Popen[str]) -> None:
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 0, errors


@pytest.mark.parametrize("count", FEW_OR_MANY)
async def test_nothing_is_paid_twice_while_the_workers_live(
    payers: Payers, postgres_server: PostgresServer, count: int
) -> None:
    before = deadlocks(postgres_server)
    with payers.started([{}] * count, 0.02) as workers:
        for worker in workers:
            finish(worker)
    assert payers.paid() == Counter(range(INPUTS))
    await payers.check(INPUTS)
    assert deadlocks(postgres_server) == before  # each would hold a group up for a second


@pytest.mark.parametrize("count", FEW_OR_MANY)
async def test_of_killed_workers_what_was_in_flight_is_paid_for_again(payers: Payers, count: int) -> None:
    """And nothing else, by the others, which see at once that they are gone."""
    killed = count // 4
    with payers.started([{}] * count, 0.03) as workers:
        left = list(workers)
        for _ in range(killed):
            worker = processes.first_to_write(left)
            for _ in range(3):
                read_line(worker)
            worker.kill()
            left.remove(worker)
        for worker in left:
            finish(worker)
    paid = payers.paid()
    assert set(paid) == set(range(INPUTS))
    assert max(paid.values()) <= 1 + killed
    again = paid.total() - INPUTS
    assert again <= killed * CONCURRENCY
    async with open_store(payers.store) as storage:
        state = await storage.ledger.get_run(RUN)
    assert state is not None
    # What was claimed and not yet paid for counts as an attempt that was interrupted, too.
    assert again <= state.failed_attempts <= killed * CONCURRENCY
    await payers.check(INPUTS + state.failed_attempts)


async def test_clocks_that_are_off_by_a_day_cost_nothing(payers: Payers) -> None:
    """Leases go by the server's clock: nobody loses one, or takes another one's away."""
    clocks = [{"CLOCK": str(off), "LEASE": "1", "ELSEWHERE": "1"} for off in (-DAY, 0, DAY)]
    with payers.started(clocks, 0.05) as workers:  # for over three seconds: more than a lease and a second look
        for worker in workers:
            finish(worker)
    assert payers.paid() == Counter(range(INPUTS))
    await payers.check(INPUTS)


@pytest.mark.parametrize("off", [-DAY, DAY])
async def test_a_machine_that_is_lost_is_missed_when_its_lease_has_expired(payers: Payers, off: int) -> None:
    """By the server's clock, though by its own that was long ago, or will be tomorrow."""
    clocks = [{"CLOCK": str(clock), "LEASE": "1", "ELSEWHERE": "1"} for clock in (off, 0, -off)]
    with payers.started(clocks, 0.02) as workers:
        killed = processes.first_to_write(workers)
        read_line(killed)
        killed.kill()
        for worker in workers:
            if worker is not killed:
                finish(worker)
    paid = payers.paid()
    assert set(paid) == set(range(INPUTS))
    assert paid.total() - INPUTS <= CONCURRENCY
    async with open_store(payers.store) as storage:
        state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert 1 <= state.failed_attempts <= CONCURRENCY
    await payers.check(INPUTS + state.failed_attempts)


async def test_the_clock_is_the_servers(payers: Payers, monkeypatch: pytest.MonkeyPatch) -> None:
    right = times.utc_now()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=400)

    monkeypatch.setattr(times, "datetime", Clock)
    async with open_store(payers.store) as storage:
        assert times.utc_now() - right > timedelta(days=300)
        assert abs(await storage.ledger.now() - right) < timedelta(minutes=5)
        seen: list[Worker] = []

        async def answer(n: int) -> dict[str, Any]:
            seen.extend(await storage.ledger.list_workers(RUN))
            return {"n": n}

        await start(storage, answer, numbers(1))
        assert abs(seen[0].start_time - right) < timedelta(minutes=5)
        assert seen[0].lease_expires - seen[0].start_time == timedelta(seconds=60)


async def test_processes_that_begin_at_once_make_one_project(payers: Payers) -> None:
    """Also of a name that is no id, whose project gets one."""
    async with open_store(payers.store) as storage, open_store(payers.store) as another:
        both = [start(one, Calls(), project="Of many / words", master_job_id=RUN) for one in (storage, another)]
        assert {run.status for run in await asyncio.gather(*both)} == {"completed"}
        (project,) = await storage.list_projects()
        assert project.name == "Of many / words"

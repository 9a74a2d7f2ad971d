"""Costs that hold: what inputs under way may cost is reserved, for all workers of a run together."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability import processes
from generation.runs import NEVER, RUN, numbers, open_store, start
from generation.test_sharing import line
from starfish_storage.generation import Context
from starfish_storage.interface import Storage
from starfish_storage.runs import Budget


def started(store: str, run: str, **how: Any) -> subprocess.Popen[str]:
    return processes.start(["-m", "generation.limited_process", store, run, json.dumps(how)])


def carried_out(workers: list[subprocess.Popen[str]]) -> None:
    """Let workers begin together, and wait for their end."""
    try:
        for worker in workers:
            assert line(worker) == "ready"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
        for worker in workers:
            _, errors = worker.communicate(timeout=240)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


async def spent(store: str, workers: int, calls: int, most: float) -> float:
    """Return what workers with so many calls each have spent at a run that may cost so much."""
    options = {"max_cost": most, "max_concurrency": workers * calls}
    how = {"inputs": int(most * 100), "seconds": (0.02, 0.06), "costs": (0.01, 0.03), "options": options}
    await asyncio.to_thread(carried_out, [started(store, RUN, **how) for _ in range(workers)])
    async with open_store(store) as storage:
        state, job = await storage.ledger.get_run(RUN), await storage.get_master_job(RUN)
    assert state is not None
    assert job is not None
    assert state.stop_reason is None or "max_cost" in state.stop_reason
    assert job.status == "cancelled"
    return state.cost


async def test_workers_spend_no_more_than_one_call_each_above_the_limit(store: str) -> None:
    """Without reservations, each of them spends up to twelve calls more."""
    assert 1.5 <= await spent(store, 2, 12, 1.5) < 1.5 + 2 * 0.03


@pytest.mark.slow
async def test_eight_workers_spend_no_more_than_one_call_each_above_the_limit(store: str) -> None:
    """Of twenty calls each: without reservations, they ended $10 at $13.66."""
    assert 10 <= await spent(store, 8, 20, 10) < 10 + 8 * 0.03


async def test_the_first_calls_go_carefully_and_costs_that_nobody_knows_of_hold_nothing_up(storage: Storage) -> None:
    """While nothing is known to cost anything, as many are under way as have ended; what costs is reserved."""
    together = most = 0

    async def free(n: int, context: Context) -> dict[str, Any]:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        context.log_usage(cost=0.0)
        together -= 1
        return {"n": n}

    run = await start(storage, free, numbers(3), master_job_id="first", max_cost=5, retry=NEVER)
    assert (run.inputs, most) == ({"completed": 3}, 1)
    run = await start(storage, free, numbers(30), max_concurrency=16, max_cost=5, retry=NEVER)
    assert run.inputs == {"completed": 30}
    assert most > 2, "more and more at a time, however slow the store is"

    async def cheap(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1.0)
        return {"n": n}

    inputs = [{"n": n} for n in range(100)]
    run = await start(storage, cheap, inputs, master_job_id="exact", max_concurrency=10, max_cost=7)
    assert (run.cost, run.inputs) == (7, {"completed": 7, "pending": 93})


async def test_a_sum_of_floats_that_is_a_little_less_than_the_limit_ends_the_run(storage: Storage) -> None:
    async def cheap(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=0.1)
        return {"n": n}

    async with asyncio.timeout(20):
        run = await start(storage, cheap, numbers(20), max_concurrency=5, max_cost=1.0)
    assert (run.stop_reason, run.inputs) == ("max_cost 1 reached", {"completed": 10, "pending": 10})
    assert run.cost == pytest.approx(1.0), "SQLite adds up ten tenths to a little less"


@pytest.mark.slow
async def test_a_reservation_goes_with_a_killed_worker(store: str) -> None:
    """Of a call that takes for ever: another worker begins at once, and spends what there is."""
    how = {"inputs": 9, "seconds": (0, 0), "costs": (1, 1), "options": {"max_cost": 4, "max_concurrency": 4}}
    worker = started(store, RUN, **{**how, "seconds": (600, 600)})
    try:
        assert line(worker) == "ready"
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
        async with open_store(store) as storage:
            while not (await storage.ledger.count_inputs(RUN)).get("running"):
                await asyncio.sleep(0.05)  # another process is to claim, and nothing tells when
    finally:
        worker.kill()
        worker.communicate()
    await asyncio.to_thread(carried_out, [started(store, RUN, **how)])
    async with open_store(store) as storage:
        state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert state.cost == 4


@given(
    most=st.floats(0.1, 100),
    costs=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    workers=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_whatever_inputs_cost_no_more_is_begun_than_fits(
    most: float, costs: list[float], workers: int, seed: int
) -> None:
    """Of workers that know the dearest input, none begins one that does not fit beside those under way."""
    chance, dearest = random.Random(seed), max(costs)
    spent, attempts, running = 0.0, 0, [list[float]() for _ in range(workers)]
    for cost in costs:
        worker = chance.randrange(workers)
        busy = sum(map(len, running))
        room = Budget(most, dearest).room(spent, attempts, busy, len(running[worker]))
        if room:
            if dearest > 0:
                assert spent + (busy + room - 1) * dearest < most
            running[worker].append(cost)
        elif busy:
            held = chance.choice([one for one in running if one])
            spent += held.pop()
            attempts += 1
    assert spent + sum(map(sum, running)) <= most + dearest * (1 if dearest else 0) + 1e-6

"""Limits that hold: over real HTTP, for all workers of a run and for runs that share a limit by its name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from generation.runs import NEVER, RUN, open_store, start
from generation.test_budgets import carried_out, started
from servers.limited import LimitedServer
from starfish_storage.errors import InvalidInputError
from starfish_storage.generation import Context, Where, retry
from starfish_storage.interface import Storage


async def refused(store: str, workers: int, calls: int, a_second: int, inputs: int) -> float:
    """Carry out a run, of which nothing fails, by the limit of a provider; return which share of calls it refused."""
    with LimitedServer(a_second) as server:
        options = {"rpm": 60 * a_second, "max_concurrency": workers * calls, "retry": 1}
        how = {"inputs": inputs, "url": server.url, "options": options}
        await asyncio.to_thread(carried_out, [started(store, RUN, **how) for _ in range(workers)])
    async with open_store(store) as storage:
        state = await storage.ledger.get_run(RUN)
        assert await storage.ledger.count_inputs(RUN) == {"completed": inputs}
    assert state is not None
    assert server.answered == inputs
    assert state.failed_attempts == server.refused
    return server.refused / state.attempts


async def test_a_limit_that_is_the_providers_fails_nothing(store: str) -> None:
    assert await refused(store, 2, 20, 100, 200) < 0.02


@pytest.mark.slow
async def test_a_limit_of_fifty_a_second_with_160_calls_in_flight_fails_none_of_2000(store: str) -> None:
    """Before, 491 failed."""
    assert await refused(store, 8, 20, 50, 2000) < 0.02


async def test_runs_that_share_a_limit_share_its_rate_and_its_pauses(storage: Storage) -> None:
    """Three a tenth of a second for both together; a refusal of one holds the other up."""
    begun: dict[str, list[float]] = {"one": [], "two": []}
    clock = asyncio.get_running_loop().time

    async def called(run: str, context: Context) -> dict[str, Any]:
        begun[run].append(clock())
        if run == "one" and len(begun[run]) == 10:
            raise LimitedError
        return {"run": run}

    class LimitedError(Exception):
        status_code = 429
        retry_after = 2.0

    how: dict[str, Any] = {"limit": "key", "rpm": 1800, "max_concurrency": 10, "retry": NEVER}
    one, two = await asyncio.gather(
        *(start(storage, called, [{"run": run}] * 20, master_job_id=run, **how) for run in begun)
    )
    assert (one.inputs, one.failed_attempts, two.inputs, two.failed_attempts) == (
        *({"completed": 20}, 1),
        *({"completed": 20}, 0),
    )
    every = sorted([*begun["one"], *begun["two"]])
    refused = begun["one"][9]
    assert not [at for at in every if refused + 1.2 < at < refused + 1.9], "nobody began in the pause"
    assert every[-1] - every[0] > 2.0 + 39 / 30 - 0.4
    limit = await storage.ledger.get_limit("key")
    assert limit is not None
    assert limit.part < 1


async def test_what_was_given_last_holds_and_a_resume_brings_nothing_back(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(n: int) -> dict[str, Any]:
        return {"n": n}

    with pytest.raises(InvalidInputError, match="the store has no limit 'key': give its rates, such as rpm=600"):
        await start(storage, answer, limit="key")
    assert await storage.get_master_job(RUN) is None, "nothing was begun"
    await start(storage, answer, limit="key", rpm=60_000)
    await start(storage, answer, limit="key", tpm=6_000_000, master_job_id="two", progress="lines")
    said = capsys.readouterr().err
    assert "limit 'key' is 60,000 requests and 6,000,000 tokens a minute for all runs that share it; it was 60" in said
    await start(storage, answer, limit="key", rpm=120_000, master_job_id="three")
    await retry(storage, RUN, answer, where=Where(statuses=["completed"]), progress="quiet")
    (limit,) = await storage.ledger.list_limits()
    assert (limit.rpm, limit.tpm) == (120_000, 6_000_000)
    with pytest.raises(InvalidInputError, match="limit 'run x' begins with 'run '"):
        await start(storage, answer, limit="run x", rpm=60)
    bad: list[Any] = [0, -5, float("nan"), "60"]
    for rate in bad:
        with pytest.raises(InvalidInputError, match="rpm must be a number of 1 or more"):
            await start(storage, answer, limit="key", rpm=rate)

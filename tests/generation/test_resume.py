"""Going on with a run: what is refused before anything changes, and what is not done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from generation.runs import NEVER, RUN, Calls, attempts, data, job_id, numbers, open_store, start, statuses
from starfish_storage import InvalidInputError, NotFoundError
from starfish_storage.errors import (
    ResultsSpooledError,
    RunChangedError,
    RunFinishedError,
    RunIncompleteError,
    StorageFullError,
)
from starfish_storage.generation import Context, Retry, Where, cancel, resume, retry
from starfish_storage.interface import Storage
from starfish_storage.runs import Outcome


async def one_of_four(storage: Storage, **options: Any) -> None:
    """Leave a run of four inputs with the first done."""

    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1)
        return {"n": n}

    await start(storage, answer, numbers(4), max_concurrency=1, max_cost=1, **options)
    assert await statuses(storage) == ("cancelled", {"completed": 1, "pending": 3})


async def plain(n: int) -> dict[str, Any]:
    return {"n": n}


async def other_parameters(question: str) -> dict[str, Any]:
    return {"question": question}


def small(output: dict[str, Any]) -> bool:
    return output["n"] < 2


def half(output: dict[str, Any]) -> int:
    return output["n"] // 2


async def test_unknown_and_finished_runs(storage: Storage) -> None:
    for call in (resume, retry):
        with pytest.raises(NotFoundError, match="run 'nowhere'"):
            await call(storage, "nowhere", plain)
    with pytest.raises(NotFoundError):
        await cancel(storage, "nowhere")
    await start(storage, plain)
    with pytest.raises(RunFinishedError, match=RUN):
        await resume(storage, RUN, plain)
    with pytest.raises(RunFinishedError, match=RUN):
        await cancel(storage, RUN)


async def test_only_what_is_not_done_is_done(storage: Storage) -> None:
    await one_of_four(storage)
    calls = Calls()
    run = await resume(storage, RUN, calls, max_cost=100, progress="quiet")
    assert (run.status, run.done_before, sorted(calls.made)) == ("completed", 1, [1, 2, 3])
    assert await data(storage) == numbers(4)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([{"n": 0}, {"n": 1}, {"n": 7}, {"n": 3}], "input 2 is not the same: 'n' differs"),
        ([{"n": 1}, {"n": 0}, {"n": 2}, {"n": 3}], "input 0 is not the same"),
        (numbers(3), "4 inputs are stored, and 3 were given"),
    ],
)
@pytest.mark.parametrize("as_generator", [False, True])
async def test_other_inputs_are_refused_and_nothing_changes(
    storage: Storage, given: list[Any], reason: str, as_generator: bool
) -> None:
    await one_of_four(storage)
    before = await storage.get_master_job(RUN), await storage.ledger.get_run(RUN)
    calls = Calls()
    inputs: Any = iter(given) if as_generator else given
    with pytest.raises(RunChangedError, match=f"{RUN}.*inputs: .*{reason}.*Nothing was written.*continue.*fork.*match"):
        await resume(storage, RUN, calls, inputs=inputs, max_cost=100, progress="quiet")
    with pytest.raises(InvalidInputError, match=reason):
        await start(storage, calls, given)
    assert calls.made == []
    assert (await storage.get_master_job(RUN), await storage.ledger.get_run(RUN)) == before


async def test_the_same_inputs_and_none(storage: Storage) -> None:
    for number, inputs in enumerate((numbers(4), iter(numbers(4)), [], None)):
        name = f"run-{number}"
        await start(storage, plain, numbers(4), max_cost=0, master_job_id=name)
        run = await resume(storage, name, plain, inputs=inputs, max_cost=9, progress="quiet")
        assert (run.status, run.inputs) == ("completed", {"completed": 4})


async def test_inputs_that_were_not_all_stored(storage: Storage) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from numbers(2)
        raise SystemExit

    for name in ("a", "b", "c"):
        with pytest.raises(SystemExit):
            await start(storage, plain, broken(), master_job_id=name)
        with pytest.raises(RunIncompleteError, match=name):
            await resume(storage, name, plain, progress="quiet")
    assert (await resume(storage, "a", plain, inputs=numbers(5), progress="quiet")).inputs == {"completed": 5}
    assert (await resume(storage, "b", plain, inputs=[], progress="quiet")).inputs == {"completed": 2}
    with pytest.raises(InvalidInputError, match="2 inputs are stored, and 1 were given"):
        await resume(storage, "c", plain, inputs=numbers(1), progress="quiet")


async def test_a_function_that_does_not_fit_starts_nothing(storage: Storage) -> None:
    await one_of_four(storage)
    before = await storage.get_master_job(RUN)
    with pytest.raises(InvalidInputError, match="the input has no field for its parameter 'question'"):
        await resume(storage, RUN, other_parameters, max_cost=9)
    with pytest.raises(InvalidInputError, match="its parameter 'question'"):
        await retry(storage, RUN, other_parameters, where=Where(statuses=["completed"]), max_cost=9)
    assert await storage.get_master_job(RUN) == before
    assert await statuses(storage) == ("cancelled", {"completed": 1, "pending": 3})


async def test_the_stored_function_is_found_by_its_name(storage: Storage) -> None:
    await start(storage, plain, max_cost=0, master_job_id="a")
    assert (await resume(storage, "a", max_cost=1, progress="quiet")).records == {"completed": 3}

    async def local(n: int) -> dict[str, Any]:
        return {"n": n}

    await start(storage, local, max_cost=0, master_job_id="b")
    with pytest.raises(InvalidInputError, match=r"local.* cannot be used"):
        await resume(storage, "b", max_cost=1)
    assert (await resume(storage, "b", local, max_cost=1, progress="quiet")).records == {"completed": 3}


async def test_stored_options_are_kept_and_merged(storage: Storage) -> None:
    waiting = Retry(attempts=2, first_wait=0, longest_wait=0, jitter=0)
    await start(storage, plain, numbers(6), max_cost=0, accept=small, unique_by=half, retry=waiting)

    async def fails(n: int, context: Context) -> dict[str, Any]:
        if n == 5:
            raise TimeoutError
        return {"n": n}

    run = await resume(storage, RUN, fails, max_cost=1, max_concurrency=1, progress="quiet")
    assert run.inputs == {"completed": 1, "duplicate": 1, "filtered": 3, "failed": 1}
    assert len(await attempts(storage, 5)) == 2
    run = await retry(storage, RUN, fails, retry=4, max_cost=1, progress="quiet")
    assert len(await attempts(storage, 5)) == 6  # without the waits of a usual retry


async def test_checks_that_are_not_found_again_must_be_given(storage: Storage) -> None:
    await start(storage, plain, max_cost=0, accept=lambda output: True)
    with pytest.raises(InvalidInputError, match=r"the run was started with accept=.*; pass accept= again"):
        await resume(storage, RUN, plain, max_cost=1)
    run = await resume(storage, RUN, plain, accept=small, max_cost=1, progress="quiet")
    assert run.inputs == {"completed": 2, "filtered": 1}


async def test_options_that_there_are_not(storage: Storage) -> None:
    await one_of_four(storage)
    with pytest.raises(TypeError, match="max_concurency"):
        await resume(storage, RUN, plain, max_concurency=3)  # pyright: ignore[reportCallIssue]
    for wrong in ({"max_concurrency": 0}, {"timeout": -1}, {"on_bad_input": "ignore"}, {"progress": "loud"}):
        with pytest.raises(InvalidInputError):
            await resume(storage, RUN, plain, **wrong)  # pyright: ignore[reportArgumentType]
    assert await statuses(storage) == ("cancelled", {"completed": 1, "pending": 3})


async def test_unique_over_a_resume(storage: Storage) -> None:
    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "key": n % 2}

    with_cost: list[Any] = numbers(6)
    await start(storage, answer, with_cost, max_cost=0, unique_by="key")
    with pytest.raises(SystemExit):
        await resume(storage, RUN, leaving_after(2), max_cost=1, max_concurrency=1, progress="quiet")
    run = await resume(storage, RUN, answer, max_cost=1, progress="quiet")
    assert run.records == {"completed": 2, "duplicate": 4}
    assert [one["n"] for one in await data(storage)] == [0, 1]


def leaving_after(count: int) -> Any:
    async def answer(n: int) -> dict[str, Any]:
        if n >= count:
            raise SystemExit
        return {"n": n, "key": n % 2}

    return answer


async def test_a_store_that_fails_ends_the_run_and_it_goes_on_later(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = storage.ledger.finish_input
    stored: list[int] = []

    async def full(outcome: Outcome, **how: Any) -> Any:
        if len(stored) >= 3:
            raise StorageFullError("there", 28, "full")
        finished = await finish(outcome, **how)
        stored.append(outcome.claimed.position)
        return finished

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "finish_input", full)
        with pytest.raises(ResultsSpooledError):
            await start(storage, plain, numbers(10), max_concurrency=1)
    status, inputs = await statuses(storage)
    assert (status, inputs) == ("cancelled", {"completed": 3, "pending": 7})
    assert [one["n"] for one in await data(storage)] == sorted(stored)
    assert (await resume(storage, RUN, plain, progress="quiet")).inputs == {"completed": 10}


async def test_a_resumed_run_reads_only_what_it_works_on(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,000 inputs, 2,900 done, the first call comes after as many claimed rows as there are slots."""
    made = 0

    async def leaves(n: int) -> dict[str, Any]:
        nonlocal made
        made += 1
        if made > 2900:
            raise SystemExit
        return {"n": n}

    with pytest.raises(SystemExit):
        await start(storage, leaves, numbers(3000), max_concurrency=1, retry=NEVER)
    claimed: list[int] = []
    claim = storage.ledger.claim_inputs
    fetched = 0
    fetch = storage.ledger._read  # pyright: ignore[reportAttributeAccessIssue]

    async def counted(*given: Any) -> Any:
        found = await claim(*given)
        claimed.append(len(found))
        return found

    def counted_rows(convert: Any, row: Any) -> Any:
        nonlocal fetched
        fetched += 1
        return fetch(convert, row)

    monkeypatch.setattr(storage.ledger, "claim_inputs", counted)
    monkeypatch.setattr(storage.ledger, "_read", counted_rows)
    before_first: list[tuple[int, int]] = []

    async def answer(n: int) -> dict[str, Any]:
        before_first.append((sum(claimed), fetched))
        return {"n": n}

    run = await resume(storage, RUN, answer, max_concurrency=5, progress="quiet")
    assert (run.done_before, run.inputs) == (2900, {"completed": 3000})
    assert before_first[0][0] == 5
    assert before_first[0][1] < 15


async def test_live_status_counts_and_cost(storage: Storage, store: str) -> None:
    calls = Calls(held=[3])

    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=2)
        return await calls(n)

    running = asyncio.create_task(start(storage, answer, numbers(4), lease=1, max_concurrency=1))
    await calls.until(4)
    async with open_store(store) as other:
        while True:
            job, state = await other.get_master_job(RUN), await other.ledger.get_run(RUN)
            assert job is not None
            assert state is not None
            if job.completed_record_count == 3:  # the heartbeat brings it up to date
                break
        assert (job.status, state.cost, state.attempts) == ("running", 6, 3)
        assert await other.ledger.count_inputs(RUN) == {"completed": 3, "running": 1}
        assert await other.ledger.list_attempts(await job_id(other, 0))
    calls.release.set()
    assert (await running).cost == 8

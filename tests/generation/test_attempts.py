"""Every attempt is stored, whatever became of it, with what it used."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from generation.runs import AT_ONCE, NEVER, RUN, Calls, attempts, data, numbers, start, statuses
from starfish_storage.errors import ResultsSpooledError, StorageFullError
from starfish_storage.generation import Context, Retry, resume
from starfish_storage.interface import Storage
from starfish_storage.runs import RunState
from starfish_storage.times import utc_now


async def test_each_attempt_is_stored_with_its_times_worker_error_and_usage(storage: Storage) -> None:
    before = utc_now()

    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(model="m", input_tokens=10, output_tokens=context.attempt, cost=0.25)
        if context.attempt < 3:
            raise TimeoutError(f"attempt {context.attempt}")
        return {"n": n}

    run = await start(storage, answer, numbers(1))
    made = await attempts(storage)
    assert [(one.number, one.status, one.error_type, one.error_message) for one in made] == [
        (1, "failed", "TimeoutError", "attempt 1"),
        (2, "failed", "TimeoutError", "attempt 2"),
        (3, "completed", None, None),
    ]
    assert "test_attempts.py" in (made[0].error_traceback or "")
    assert len({one.worker_id for one in made}) == 1
    assert [one.usage[0].model for one in made] == ["m"] * 3
    times = [moment for one in made for moment in (one.start_time, one.end_time)]
    assert times == sorted(times)
    assert before - timedelta(seconds=1) <= times[0]
    assert (run.attempts, run.failed_attempts) == (3, 2)
    assert (run.input_tokens, run.output_tokens, run.cost) == (30, 6, 0.75)
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    assert (state.attempts, state.failed_attempts, state.cost) == (3, 2, 0.75)


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Alien(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("lone \ud800 surrogate"), "ValueError", "lone \\ud800 surrogate"),
        (ValueError("streamed \ud83d\ude00"), "ValueError", "streamed \U0001f600"),
        (ValueError("a\0b"), "ValueError", "a\\x00b"),
        (ValueError("x" * 3_000_000 + " the end"), "ValueError", " the end"),
        (UnprintableError(), "UnprintableError", "a UnprintableError that cannot be shown"),
        (ExceptionGroup("both", [ValueError("one"), KeyError("two")]), "ExceptionGroup", "both (2 sub-exceptions)"),
        (Alien("from elsewhere"), "Alien", "from elsewhere"),
        (StopIteration("over"), "RuntimeError", "coroutine raised StopIteration"),
        (asyncio.CancelledError(), "RuntimeError", "awaited something that was cancelled"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_any_error_is_stored(storage: Storage, error: BaseException, kind: str, message: str) -> None:
    async def answer(n: int) -> dict[str, Any]:
        if n == 1:
            raise error
        return {"n": n}

    run = await start(storage, answer)
    assert (run.status, run.inputs) == ("completed_with_errors", {"completed": 2, "failed": 1})
    last = (await attempts(storage, 1))[-1]
    assert last.error_type == kind
    assert last.error_message is not None
    assert last.error_message.endswith(message) or message in last.error_message
    assert len(last.error_message) < 20_000
    failed = await storage.get_records_for_master_job(RUN, ["failed"])
    assert failed[0].error_message == f"{kind}: {last.error_message}"


@pytest.mark.parametrize("error", [StopIteration("x"), asyncio.CancelledError(), Alien("x")], ids=repr)
async def test_any_error_of_a_plain_function_is_stored(storage: Storage, error: BaseException) -> None:
    def answer(n: int) -> dict[str, Any]:
        raise error

    run = await start(storage, answer, retry=NEVER)
    assert (run.status, run.inputs) == ("failed", {"failed": 3})


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("plain", [False, True])
async def test_a_function_that_ends_the_program_ends_the_run_in_order(
    storage: Storage, kind: type[BaseException], plain: bool
) -> None:
    def ends(n: int, context: Context) -> dict[str, Any]:
        if n == 1:
            context.log_usage(cost=1)
            raise kind("enough")
        return {"n": n}

    async def ends_too(n: int, context: Context) -> dict[str, Any]:
        return ends(n, context)

    with pytest.raises(kind, match="enough"):
        await start(storage, ends if plain else ends_too, max_concurrency=1)
    status, inputs = await statuses(storage)
    assert (status, inputs) == ("cancelled", {"completed": 1, "pending": 2})
    assert [(one.status, one.error_type, one.cost) for one in await attempts(storage, 1)] == [
        ("cancelled", kind.__name__, 1)
    ]
    assert (await resume(storage, RUN, Calls(), progress="quiet")).records == {"completed": 3}


async def test_cancelling_ones_own_task_ends_the_run(storage: Storage) -> None:
    async def cancels(n: int) -> dict[str, Any]:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()
        return {}

    with pytest.raises(RuntimeError, match="cancelled, but not by the run"):
        await start(storage, cancels)
    assert await statuses(storage) == ("cancelled", {"pending": 3})


async def test_what_checks_raise_costs_no_answer_and_no_call(storage: Storage) -> None:
    async def accept(output: dict[str, Any]) -> bool:
        if output["n"] == 0:
            raise asyncio.CancelledError
        if output["n"] == 1:
            raise ValueError("cannot tell")
        return True

    calls = Calls()
    run = await start(storage, calls, accept=accept)
    assert run.inputs == {"completed": 1, "failed": 2}
    assert sorted(calls.made) == [0, 1, 2]
    assert await data(storage, "failed") == [{"n": 0}, {"n": 1}]
    (made,) = await attempts(storage, 1)
    assert made.status == "completed"
    (group,) = await storage.ledger.list_errors(RUN)
    assert (group.kind, group.inputs) == ("refused output", 2)


async def test_timeouts_of_both_kinds_of_functions(storage: Storage) -> None:
    release = threading.Event()

    async def slow(n: int) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    def held(n: int) -> dict[str, Any]:
        release.wait(60)
        return {}

    for number, function in enumerate((slow, held)):
        name = f"run-{number}"
        run = await start(storage, function, numbers(2), timeout=0.05, retry=NEVER, master_job_id=name)
        assert run.inputs == {"failed": 2}
        assert await storage.ledger.list_errors(name)
        errors = await storage.get_records_for_master_job(name, ["failed"])
        assert "the attempt took longer than its timeout of 0.05 s" in (errors[0].error_message or "")
    release.set()


async def test_plain_calls_that_hang_do_not_keep_others_from_running(storage: Storage) -> None:
    release = threading.Event()

    def answer(n: int) -> dict[str, Any]:
        if n < 4:
            release.wait(60)
        return {"n": n}

    run = await start(storage, answer, numbers(8), timeout=2, retry=NEVER, max_concurrency=2)
    assert run.inputs == {"failed": 4, "completed": 4}
    release.set()


async def test_a_timed_out_function_that_passes_over_it_is_waited_for(storage: Storage) -> None:
    async def answer(n: int) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"n": n, "late": True}  # it was paid for
        return {}

    run = await start(storage, answer, timeout=0.01)
    assert run.records == {"completed": 3}
    assert all(one["late"] for one in await data(storage))


async def test_the_cost_limit_stops_the_run_and_a_higher_one_goes_on(storage: Storage) -> None:
    made: list[int] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        made.append(n)
        context.log_usage(cost=1.0)
        if n == 0 and context.attempt == 1:
            raise TimeoutError  # costs as well
        return {"n": n}

    run = await start(storage, answer, numbers(10), max_concurrency=1, max_cost=4)
    assert (run.status, run.stop_reason, run.cost) == ("cancelled", "max_cost 4 reached", 4.0)
    assert (run.inputs, made) == ({"completed": 3, "pending": 7}, [0, 0, 1, 2])
    run = await resume(storage, RUN, answer, progress="quiet")
    assert (run.stop_reason, len(made)) == ("max_cost 4 reached", 4)  # the same limit: nothing new
    run = await resume(storage, RUN, answer, max_cost=6, progress="quiet")
    assert (run.cost, len(made), run.done_before) == (6.0, 6, 3)
    run = await resume(storage, RUN, answer, max_cost=100, progress="quiet")
    assert (run.status, run.cost, run.attempts, run.failed_attempts) == ("completed", 11.0, 11, 1)


async def test_at_the_cost_limit_what_is_in_flight_ends_and_nothing_new_starts(storage: Storage) -> None:
    calls = Calls(held=[4, 5])  # once it is known what an input costs, several are under way

    async def answer(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=3 if n == 6 else 0.5)
        return await calls(n)

    running = asyncio.create_task(start(storage, answer, numbers(20), max_concurrency=4, max_cost=5, grace=0))
    await calls.until(7)
    while (await numbers_of(storage)).cost < 5:
        await asyncio.sleep(0)
    begun = len(calls.made)
    calls.release.set()  # patient: they end, whatever the grace
    run = await running
    assert run.status == "cancelled"
    assert run.inputs.get("running") is None
    assert {4, 5} <= {one["n"] for one in await data(storage)}
    assert len(calls.made) <= begun + 1  # one may have been claimed before the cost was stored


async def numbers_of(storage: Storage) -> RunState:
    state = await storage.ledger.get_run(RUN)
    assert state is not None
    return state


async def test_costs_reported_in_threads_all_count(storage: Storage) -> None:
    def answer(n: int, context: Context) -> dict[str, Any]:
        for _ in range(1000):
            context.log_usage(input_tokens=1, cost=0.5)
        return {"n": n}

    costs: list[float] = []
    run = await start(
        storage, answer, numbers(20), max_concurrency=8, progress=lambda progress: costs.append(progress.cost)
    )
    assert (run.cost, run.input_tokens, costs[-1]) == (10_000, 20_000, 10_000)


async def test_retry_after_of_an_error_that_is_no_limit_is_a_wait_of_that_input(
    storage: Storage, waits: list[float]
) -> None:
    class BrokenError(Exception):
        status_code = 500
        retry_after = 17

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if context.attempt == 1:
            raise BrokenError
        return {"n": n}

    assert (await start(storage, answer, numbers(1))).records == {"completed": 1}
    assert waits == [17]


async def test_totals_over_failures_and_resumes(storage: Storage) -> None:
    async def fails(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1, output_tokens=2)
        raise SystemExit if n == 2 else ValueError(n)

    with pytest.raises(SystemExit):
        await start(storage, fails, max_concurrency=1, retry=2)

    async def works(n: int, context: Context) -> dict[str, Any]:
        context.log_usage(cost=1, output_tokens=2)
        return {"n": n, "attempt": context.attempt}

    run = await resume(storage, RUN, works, progress="quiet")
    assert (run.status, run.inputs) == ("completed_with_errors", {"failed": 2, "completed": 1})
    assert (run.attempts, run.failed_attempts, run.cost, run.output_tokens) == (6, 4, 6, 12)
    assert await data(storage) == [{"n": 2, "attempt": 2}]


async def test_a_full_store_between_attempts_is_no_failure_of_the_input(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_attempt: Any) -> int:
        raise StorageFullError("there", 28, "full")

    async def answer(n: int) -> dict[str, Any]:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "save_attempt", full)
        with pytest.raises(ResultsSpooledError) as raised:
            await start(storage, answer, numbers(1))
    assert isinstance(raised.value.__cause__, StorageFullError)
    assert await statuses(storage) == ("cancelled", {"pending": 1})
    await resume(storage, RUN, answer, retry=1, progress="quiet")
    assert [one.status for one in await attempts(storage)] == ["failed", "failed"]


async def test_back_off_is_as_asked_for(storage: Storage) -> None:
    """Waits that would take hours are cut short by the end of the attempts only: none comes after the last."""

    async def answer(n: int) -> dict[str, Any]:
        raise TimeoutError

    run = await start(storage, answer, retry=Retry(attempts=1, first_wait=10_000, longest_wait=10_000))
    assert run.attempts == 3
    assert AT_ONCE.attempts == 3

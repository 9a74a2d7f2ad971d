"""Paid steps: durable before the next line, used again by whatever comes later, counted once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from durability import processes
from generation.runs import NEVER, RUN, attempts, data, job_id, numbers, open_store, start, statuses
from starfish_storage.errors import ResultsSpooledError, StorageFullError
from starfish_storage.generation import Context, Filtered, Where, resume, retry
from starfish_storage.interface import Storage
from starfish_storage.runs import Step, Usage


async def test_a_step_is_stored_before_the_next_line(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        async def call() -> dict[str, Any]:
            context.log_usage(model="m", cost=2)
            return {"text": "é", "pair": (1, 2)}

        result = await context.once("model-call", call)
        (step,) = await storage.ledger.list_replies(context.job_id, "model-call")
        assert step is not None
        assert step.result["result"] == result == {"text": "é", "pair": [1, 2]}
        assert (step.attempt, step.usage[0].cost) == (1, 2)
        return {"n": n}

    run = await start(storage, answer)
    assert (run.records, run.cost) == ({"completed": 3}, 6)


async def test_a_retry_a_resume_and_a_mended_function_get_the_stored_answer(storage: Storage) -> None:
    paid: list[int] = []

    def function_with(parse: Any) -> Any:
        async def answer(n: int, context: Context) -> dict[str, Any]:
            async def call() -> str:
                paid.append(n)
                context.log_usage(cost=1)
                return f"answer {n}"

            return {"n": n, "parsed": parse(await context.once("model-call", call))}

        return answer

    def broken(text: str) -> str:
        raise ValueError(text)

    run = await start(storage, function_with(broken), retry=NEVER)
    assert (run.inputs, run.attempts, run.cost, sorted(paid)) == ({"failed": 3}, 3, 3, [0, 1, 2])
    run = await retry(storage, RUN, function_with(str.upper), progress="quiet")
    assert (run.status, run.records, run.cost, len(paid)) == ("completed", {"completed": 3}, 3, 3)
    assert [one["parsed"] for one in await data(storage)] == ["ANSWER 0", "ANSWER 1", "ANSWER 2"]
    run = await retry(storage, RUN, function_with(str.title), where=Where(statuses=["completed"]), progress="quiet")
    assert (run.cost, len(paid), (await data(storage))[0]["parsed"]) == (3, 3, "Answer 0")


async def test_steps_at_the_same_time(storage: Storage) -> None:
    made: list[str] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        async def call(name: str) -> str:
            made.append(f"{n} {name}")
            context.log_usage(cost=1)
            await asyncio.sleep(0)
            return name

        samples = [context.once("sample", lambda: call("sample")) for _ in range(5)]
        others = [context.once(name, call(name)) for name in "abc"]
        assert await asyncio.gather(*samples, *others) == ["sample"] * 5 + ["a", "b", "c"]
        if context.attempt == 1:
            raise TimeoutError
        return {"n": n}

    run = await start(storage, answer, numbers(2))
    assert sorted(made) == sorted(f"{n} {name}" for n in range(2) for name in (*["sample"] * 5, "a", "b", "c"))
    assert run.cost == 16


async def test_steps_in_threads(storage: Storage) -> None:
    paid: list[int] = []

    def answer(n: int, context: Context) -> dict[str, Any]:
        def call() -> int:
            assert threading.current_thread() is not threading.main_thread()
            paid.append(n)
            context.log_usage(cost=1)
            return n * n

        square = context.once_blocking("square", call)
        if context.attempt == 1:
            raise TimeoutError
        return {"n": n, "square": square}

    run = await start(storage, answer, numbers(5), max_concurrency=5)
    assert (run.records, run.cost, sorted(paid)) == ({"completed": 5}, 5, [0, 1, 2, 3, 4])
    assert [one["square"] for one in await data(storage)] == [0, 1, 4, 9, 16]


async def test_steps_of_one_input_in_several_threads(storage: Storage) -> None:
    together = threading.Barrier(2, timeout=60)
    paid: list[str] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        def call(name: str, wait: bool) -> str:
            paid.append(name)
            if wait:
                together.wait()  # different steps do not wait for each other
            return name

        def step(name: str, wait: bool = False) -> Any:
            return asyncio.to_thread(context.once_blocking, name, lambda: call(name, wait))

        await asyncio.gather(step("a", wait=True), step("b", wait=True))
        await asyncio.gather(step("c"), step("c"))
        return {"n": n}

    assert (await start(storage, answer, numbers(1))).records == {"completed": 1}
    assert sorted(paid) == ["a", "b", "c", "c"]


async def test_a_step_called_where_it_would_hold_up_the_loop(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        return context.once_blocking("a", dict)

    await start(storage, answer, numbers(1))
    last = (await attempts(storage))[-1]
    assert last.error_type == "InvalidInputError"
    assert "use 'await context.once(...)'" in (last.error_message or "")


async def test_inputs_do_not_share_steps(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        return {"n": n, "kept": await context.once("same name", lambda: n)}

    await start(storage, answer, [{"n": 1}, {"n": 2}, {"n": 1}])
    assert await data(storage) == [{"n": 1, "kept": 1}, {"n": 1, "kept": 1}, {"n": 2, "kept": 2}]


@pytest.mark.parametrize("name", ["", None, 1, "\ud800"])
async def test_names_of_steps(storage: Storage, name: Any) -> None:
    async def call() -> int:
        raise AssertionError("it is not called")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        return await context.once(name, call())

    await start(storage, answer, numbers(1))
    assert [one.error_type for one in await attempts(storage)] == ["InvalidInputError"]


async def test_a_step_that_fails_is_made_again(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        def call() -> int:
            if context.attempt == 1:
                raise TimeoutError
            return context.attempt

        return {"n": n, "attempt": await context.once("call", call)}

    await start(storage, answer)
    assert [one["attempt"] for one in await data(storage)] == [2, 2, 2]


@pytest.mark.parametrize("caught", [False, True])
async def test_a_store_that_fails_in_a_step_ends_the_run(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caught: bool
) -> None:
    """Else the input would count as failed, though nothing is wrong with it, and go on to pay for more."""

    async def full(_step: Step) -> None:
        raise StorageFullError("there", 28, "full")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        try:
            return {"n": await context.once("call", lambda: n)}
        except StorageFullError:
            if caught:
                return {"n": None}
            raise

    with monkeypatch.context() as patched:
        patched.setattr(storage.ledger, "save_step", full)
        with pytest.raises(ResultsSpooledError) as raised:
            await start(storage, answer)
    assert isinstance(raised.value.__cause__, StorageFullError)
    assert await statuses(storage) == ("cancelled", {"pending": 3})
    assert (await resume(storage, RUN, answer, progress="quiet")).records == {"completed": 3}


async def test_usage_that_makes_no_sense_costs_no_answer(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> Any:
        context.log_usage(cost=float("nan") if n else 1, input_tokens=5, cached_tokens=2)
        return [{"n": n}, Filtered({"n": n}, "dull")]

    run = await start(storage, answer, numbers(2))
    assert (run.records, run.cost, run.input_tokens, run.attempts) == (
        {"completed": 1, "failed": 1, "filtered": 2},
        1,
        10,
        2,
    )
    failed = await storage.get_records_for_master_job(RUN, ["failed"])
    assert [one.error_message for one in failed] == [
        "check: log_usage: cost must be a number of 0 or more, not nan",
    ]
    assert await data(storage, "failed") == [{"n": 1}]
    (made,) = await attempts(storage, 1)
    assert made.usage == (Usage(None, 5, 0, 0.0, {"cached_tokens": 2}),)


async def test_a_step_paid_for_right_before_a_kill_is_not_paid_for_again(store: str) -> None:
    with processes.start(["-m", "generation.signalled_process", store, "step"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "paid\n"
        process.wait(60)
    assert process.returncode == -9
    async with open_store(store) as storage:

        async def answer(n: int, context: Context) -> dict[str, Any]:
            async def call() -> str:
                raise AssertionError("paid twice")

            return {"n": n, "kept": await context.once("model-call", call)}

        run = await resume(storage, RUN, answer, progress="quiet")
        assert await data(storage) == [{"n": 0, "kept": "the answer"}]
        assert (run.cost, run.attempts, run.failed_attempts) == (3, 2, 1)
        made = await storage.ledger.list_attempts(await job_id(storage))
        assert [(one.status, one.cost) for one in made] == [("interrupted", 3), ("completed", 0)]

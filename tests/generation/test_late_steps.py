"""Calls of steps that outlive their attempt, or are cancelled in its course."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from generation.paid_steps import Ask, steps
from generation.runs import NEVER, RUN, attempts, data, numbers, open_store, start, statuses
from servers.paying import PayingServer
from starfish_storage import AttemptOverError
from starfish_storage.generation import Context, resume, retry
from starfish_storage.interface import Storage


async def test_the_next_attempt_waits_for_a_call_that_goes_on_in_its_thread(
    storage: Storage, paying_server: PayingServer
) -> None:
    paying_server.tell("held")
    begun: list[int] = []

    def answer(n: int, context: Context) -> dict[str, Any]:
        begun.append(context.attempt)

        def call() -> str:
            reply = paying_server.ask("call")["text"]
            context.log_usage(cost=1)
            return reply

        first = context.once_blocking("call", call)
        return {"n": n, "text": first, "more": context.once_blocking("more", call)}

    def release_once_it_is_waited_for() -> None:
        paying_server.wait_held()
        while len(begun) < 2:
            threading.Event().wait(0.01)
        paying_server.release()

    releasing = threading.Thread(target=release_once_it_is_waited_for)
    releasing.start()
    run = await start(storage, answer, numbers(1), timeout=0.5)
    releasing.join(30)
    assert (run.records, run.attempts, run.cost) == ({"completed": 1}, 2, 2)
    assert paying_server.payments == {"call": 2}
    (first,) = await steps(storage, "call")
    assert (first.attempt, first.status) == (1, "kept")
    made = await attempts(storage)
    assert [(one.status, one.cost) for one in made] == [("failed", 1), ("completed", 1)]


@pytest.mark.parametrize("is_async", [True, False])
async def test_running_out_of_time_in_a_call_says_nothing_about_the_reply_before(
    storage: Storage, paying_server: PayingServer, ask: Ask, is_async: bool
) -> None:
    """Nor does it if the attempt waits for the call of the one before."""
    paying_server.tell("held", match="slow", times=None)
    begun: list[int] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        begun.append(context.attempt)
        await context.once("quick", ask(context, "quick"))
        return {"n": n, "text": await context.once("slow", ask(context, "slow"))}

    def plain(n: int, context: Context) -> dict[str, Any]:
        begun.append(context.attempt)
        context.once_blocking("quick", lambda: paying_server.ask("quick"))
        return {"n": n, "text": context.once_blocking("slow", lambda: paying_server.ask("slow"))["text"]}

    running = asyncio.create_task(start(storage, answer if is_async else plain, numbers(1), timeout=0.5))
    while len(begun) < 3 and not running.done():
        await asyncio.sleep(0.01)
    paying_server.release()
    run = await running
    assert run.records == {"completed": 1}
    assert paying_server.payments["quick"] == 1
    assert [one.status for one in await steps(storage, "quick")] == ["kept"]


async def test_the_end_of_the_run_waits_for_a_call_that_goes_on(storage: Storage, paying_server: PayingServer) -> None:
    paying_server.tell("held")

    def answer(n: int, context: Context) -> dict[str, Any]:
        def call() -> str:
            reply = paying_server.ask("call")["text"]
            context.log_usage(cost=3)
            return reply

        return {"n": n, "text": context.once_blocking("call", call)}

    running = asyncio.create_task(start(storage, answer, numbers(1), timeout=0.2, retry=NEVER))
    while await storage.get_master_job(RUN) is None or (await statuses(storage))[1] != {"failed": 1}:
        await asyncio.sleep(0.01)
    assert not running.done()
    paying_server.release()
    run = await running
    assert (run.inputs, run.cost) == ({"failed": 1}, 3)
    run = await retry(storage, RUN, answer, timeout=30, progress="quiet")
    assert (run.records, run.cost, paying_server.payments) == ({"completed": 1}, 3, {"call": 1})


async def test_a_call_that_outlives_the_run_is_told_and_stored_when_it_ends(
    storage: Storage, paying_server: PayingServer, caplog: pytest.LogCaptureFixture
) -> None:
    paying_server.tell("held")
    begun: list[int] = []
    ended = threading.Event()

    def answer(n: int, context: Context) -> dict[str, Any]:
        begun.append(context.attempt)

        def call() -> str:
            reply = paying_server.ask("call")["text"]
            context.log_usage(cost=1)
            return reply

        try:
            context.once_blocking("call", call)
            return {"n": n, "text": context.once_blocking("another", call)}
        except AttemptOverError:
            ended.set()  # an attempt that is over pays for nothing more
            raise

    await start(storage, answer, numbers(1), timeout=0.1, retry=NEVER, grace=0)
    assert "step 'call' (call 1) of input" in caplog.text
    assert "is still under way at the end of the run" in caplog.text
    running = asyncio.create_task(retry(storage, RUN, answer, timeout=30, retry=NEVER, progress="quiet"))
    while len(begun) < 2:
        await asyncio.sleep(0.01)
    paying_server.release()  # the run that has begun meanwhile does not pay beside it
    run = await running
    assert (run.records, run.cost, paying_server.payments) == ({"completed": 1}, 2, {"call": 2})
    assert [one.cost for one in await attempts(storage)] == [1, 1]
    assert await asyncio.to_thread(ended.wait, 30)


def test_a_reply_that_comes_when_the_program_is_over_is_told(
    store: str, paying_server: PayingServer, caplog: pytest.LogCaptureFixture
) -> None:
    paying_server.tell("held")
    over = threading.Event()
    ended = threading.Event()

    def answer(n: int, context: Context) -> dict[str, Any]:
        try:
            return context.once_blocking("call", lambda: [paying_server.ask("call"), over.wait(30)])
        finally:
            ended.set()

    async def main() -> None:
        async with open_store(store) as storage:
            await start(storage, answer, numbers(1), timeout=0.1, retry=NEVER, grace=0)

    asyncio.run(main())
    assert "was still under way when the program ended; its reply is lost" in caplog.text
    paying_server.release()
    over.set()
    assert ended.wait(30)


async def test_a_task_that_the_function_leaves_behind_is_waited_for(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    """`asyncio.gather` leaves the other calls behind when one fails."""
    paying_server.tell("held", match="slow")
    paying_server.tell("broken", match="quick")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if context.attempt == 2:
            paying_server.release()
        both = [context.once(name, ask(context, name)) for name in ("slow", "quick")]
        return {"n": n, "got": [json.loads(one)["reply"] for one in await asyncio.gather(*both)]}

    run = await start(storage, answer, numbers(1))
    assert (run.records, run.cost) == ({"completed": 1}, 2)
    assert paying_server.payments == {"slow": 1, "quick": 1}
    assert [one.cost for one in await attempts(storage)] == [1, 1]


async def test_a_step_that_swallows_its_cancellation_is_not_taken_for_complete(storage: Storage) -> None:
    begun = asyncio.Event()
    paid: list[str] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        async def call() -> str:
            context.log_usage(cost=1)
            paid.append("call")
            begun.set()
            try:
                await asyncio.sleep(0 if len(paid) > 1 else 3600)
            except asyncio.CancelledError:
                return "the beginning of"
            return "the whole"

        return {"n": n, "text": await context.once("call", call)}

    running = asyncio.create_task(start(storage, answer, numbers(1)))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await statuses(storage) == ("cancelled", {"pending": 1})
    (first,) = await steps(storage, "call")
    assert (first.status, first.rejected_by, first.result["result"]) == ("rejected", None, "the beginning of")
    run = await resume(storage, RUN, answer, reask="never", progress="quiet")
    assert (run.records, run.cost) == ({"completed": 1}, 2)
    assert [one["text"] for one in await data(storage)] == ["the whole"]

"""Replies that will not do: refused by a check, forgotten, or no JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from generation.paid_steps import BOTH, Ask, chain, replies, steps
from generation.runs import NEVER, RUN, attempts, data, job_id, numbers, start, statuses
from servers.paying import PayingServer
from starfish_storage import InvalidInputError, StepRejectedError
from starfish_storage.generation import Context, Where, retry
from starfish_storage.interface import Storage


async def test_a_reply_that_its_check_refuses_is_kept_and_asked_for_again(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    def is_json(text: str) -> bool | str:
        try:
            json.loads(text)
        except ValueError:
            return f"no JSON: {text}"
        return True

    async def answer(n: int, context: Context) -> dict[str, Any]:
        return {"n": n, "text": await context.once("call", ask(context, f"call {n}"), check=is_json)}

    paying_server.tell("truncated", match="call 0", times=2)
    paying_server.tell("truncated", match="call 1", times=3)
    run = await start(storage, answer, numbers(2))
    assert (run.inputs, run.attempts, run.cost) == ({"completed": 1, "failed": 1}, 2, 6)
    assert await replies(storage) == [("call", 1, 1, "rejected"), ("call", 1, 2, "rejected"), ("call", 1, 3, "kept")]
    (last,) = await attempts(storage, 1)
    assert last.error_type == StepRejectedError.__name__
    assert "refused all 3 replies to it, the last one with: 'no JSON: {" in (last.error_message or "")
    assert len(await storage.ledger.list_steps(await job_id(storage, 1))) == 3, "all can be looked at"
    run = await retry(storage, RUN, answer, progress="quiet")
    assert (run.records, run.cost, paying_server.payments["call 1"]) == ({"completed": 2}, 7, 4)


async def test_a_mended_check_sees_the_stored_replies_first(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    def function_with(check: Callable[[str], Any], **more: Any) -> Callable[..., Any]:
        async def answer(n: int, context: Context) -> dict[str, Any]:
            return {"n": n, "text": await context.once("call", ask(context, "call"), check=check, **more)}

        return answer

    async def refuses(_text: str) -> bool:
        return False

    run = await start(storage, function_with(refuses, most_replies=2), numbers(1))
    assert (run.inputs, run.cost) == ({"failed": 1}, 2)
    run = await retry(storage, RUN, function_with(lambda text: "1" in text or "not the first"), progress="quiet")
    assert (run.records, run.cost) == ({"completed": 1}, 2)
    assert json.loads((await data(storage))[0]["text"])["reply"] == 1, "the one that passes, not the latest"


async def test_an_error_in_a_check_is_one_of_the_function_and_costs_no_answer(
    storage: Storage, paying_server: PayingServer, ask: Ask
) -> None:
    def function_with(check: Callable[[str], Any]) -> Callable[..., Any]:
        def answer(n: int, context: Context) -> dict[str, Any]:
            def call() -> str:
                context.log_usage(cost=1)
                return paying_server.ask("call")["text"]

            return {"n": n, "text": context.once_blocking("call", call, check=check)}

        return answer

    def broken(text: str) -> Any:
        raise AttributeError(text)

    run = await start(storage, function_with(broken), numbers(1))
    assert (run.attempts, run.cost, (await attempts(storage))[0].error_type) == (1, 1, "AttributeError")
    run = await retry(storage, RUN, function_with(lambda _: None), progress="quiet")
    assert (run.cost, (await attempts(storage))[1].error_type) == (1, "InvalidInputError")
    run = await retry(storage, RUN, function_with(len), progress="quiet")
    assert (run.records, run.cost) == ({"completed": 1}, 1)


async def test_forgotten_replies_stay_in_the_history(storage: Storage, paying_server: PayingServer, ask: Ask) -> None:
    function = chain(ask, json.loads)
    await start(storage, function, numbers(2))
    with pytest.raises(InvalidInputError, match=r"no step 'juge'; its steps are: 'answer', 'judge', 'question'"):
        await retry(storage, RUN, function, where=BOTH, forget=["juge"], progress="quiet")
    with pytest.raises(InvalidInputError, match=r"a list, such as \['judge'\]"):
        await retry(storage, RUN, function, where=BOTH, forget="judge", progress="quiet")
    assert await statuses(storage) == ("completed", {"completed": 2})
    only = Where(statuses=["completed"], job_ids=[await job_id(storage, 1)])
    run = await retry(storage, RUN, function, where=only, forget=["judge"], progress="quiet")
    assert (run.cost, paying_server.payments["judge 0"], paying_server.payments["judge 1"]) == (7, 1, 2)
    assert await replies(storage, 1) == [
        ("answer", 1, 1, "kept"),
        ("judge", 1, 1, "forgotten"),
        ("judge", 1, 2, "kept"),
        ("question", 1, 1, "kept"),
    ]
    totals = {one.name: one for one in await storage.ledger.count_steps(RUN)}
    judged = totals["judge"]
    assert (judged.kept, judged.rejected, judged.forgotten, judged.cost) == (2, 0, 1, 3)


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_forgets_a_reply(storage: Storage, paying_server: PayingServer, is_async: bool) -> None:
    def bad(text: str) -> bool:
        return json.loads(text)["reply"] == 1

    async def answer(n: int, context: Context) -> dict[str, Any]:
        found = await context.once("call", lambda: paying_server.ask_async("call"))
        if bad(found["text"]):
            context.forget("call")  # may be awaited
            found = await context.once("call", lambda: paying_server.ask_async("call"))
        await context.forget("another")
        if context.attempt == 1:
            raise ConnectionError
        return {"n": n, "text": found["text"]}

    def plain(n: int, context: Context) -> dict[str, Any]:
        found = context.once_blocking("call", lambda: paying_server.ask("call"))
        if bad(found["text"]):
            context.forget("call")
            found = context.once_blocking("call", lambda: paying_server.ask("call"))
        if context.attempt == 1:
            raise ConnectionError
        return {"n": n, "text": found["text"]}

    run = await start(storage, answer if is_async else plain, numbers(1))
    assert (run.records, paying_server.payments) == ({"completed": 1}, {"call": 2})
    assert await replies(storage) == [("call", 1, 1, "forgotten"), ("call", 1, 2, "kept")]


async def test_what_is_forgotten_stays_so_however_the_attempt_ends(storage: Storage, ask: Ask) -> None:
    def function_with(error: Exception | None) -> Callable[..., Any]:
        async def answer(n: int, context: Context) -> dict[str, Any]:
            await context.once("call", ask(context, "call"))
            context.forget("call")
            if error is not None:
                raise error
            return {"n": n}

        return answer

    await start(storage, function_with(ValueError("no use")), numbers(1), retry=NEVER)
    assert await replies(storage) == [("call", 1, 1, "forgotten")]
    await retry(storage, RUN, function_with(None), retry=NEVER, progress="quiet")
    assert await replies(storage) == [("call", 1, 1, "forgotten"), ("call", 1, 2, "forgotten")]


@pytest.mark.parametrize(
    "arguments", [{"check": 3}, {"most_replies": 0}, {"most_replies": True}, {"most_replies": "3"}]
)
async def test_arguments_that_cannot_be_used(storage: Storage, arguments: dict[str, Any]) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        async def call() -> str:
            raise AssertionError("it is not called")

        return await context.once("call", call(), **arguments)

    await start(storage, answer, numbers(1))
    (last,) = await attempts(storage)
    assert last.error_type == "InvalidInputError"
    with pytest.raises(InvalidInputError, match="reask must be"):
        await retry(storage, RUN, answer, reask="sometimes")  # pyright: ignore[reportArgumentType]


async def test_what_is_not_json_is_converted_and_what_cannot_be_is_kept_as_far_as_it_can(storage: Storage) -> None:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        when = await context.once("when", lambda: {"at": datetime(2026, 1, 31, tzinfo=UTC), "odds": float("nan")})
        if n == 0:
            await context.once("client", lambda: {"text": "paid", "client": object()})
        return {"n": n, **when}

    await start(storage, answer, numbers(2))
    assert await data(storage) == [{"n": 1, "at": "2026-01-31T00:00:00Z", "odds": None}]
    (last,) = await attempts(storage)
    assert last.error_type == "InvalidDataError"
    assert last.error_message is not None
    assert "the reply to step 'client' cannot be stored as JSON: at '$.client', an object" in last.error_message
    assert last.error_message.endswith("has no JSON form; the rest of it is stored.")
    (client,) = await steps(storage, "client")
    assert (client.status, client.result["result"]["text"]) == ("rejected", "paid")

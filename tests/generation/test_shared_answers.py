"""Equal requests: samples, inputs that ask at once, answers that are not good, and usage that is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from generation.recorded_model import URL, Model, again, answers, counted
from generation.runs import NEVER, RUN, numbers, start
from starfish_storage import http
from starfish_storage.generation import Context
from starfish_storage.interface import Storage

DONE = b"data: [DONE]\n\n"


@pytest.fixture
def model() -> Model:
    return Model()


async def test_samples_stay_apart(storage: Storage, model: Model) -> None:
    model.answer = lambda question, number: f"{question}, {number}"

    def sampling(count: int) -> Callable[[int], Any]:
        async def sample(n: int) -> dict[str, Any]:
            return {"answer": await asyncio.gather(*(model.ask(f"question {n}") for _ in range(count)))}

        return sample

    first = await start(storage, sampling(3), numbers(1), master_job_id="one")
    second = await start(storage, sampling(4), numbers(1), master_job_id="two", reuse="project")
    assert await counted(storage, "two") == (1, 3, 0)
    ((given,), (again,)) = await answers(storage, first), await answers(storage, second)
    assert (again[:3], again[3]) == (given, "question 0, 4")


async def test_inputs_that_ask_the_same_at_once_share_one_answer(storage: Storage, model: Model) -> None:
    async def same(n: int) -> dict[str, Any]:
        return {"answer": await model.ask("the same"), "n": n}

    run = await start(storage, same, numbers(6), reuse="project", max_concurrency=6)
    assert (run.status, model.paid) == ("completed", {"the same": 1})
    assert await counted(storage, RUN) == (1, 5, 0)
    run = await start(storage, same, numbers(6), master_job_id="apart", max_concurrency=6)
    assert model.paid["the same"] == 7


async def test_whoever_waits_for_an_answer_that_does_not_come_asks_for_it(storage: Storage, model: Model) -> None:
    asking, is_asked = asyncio.Event(), asyncio.Event()
    model.held = asking

    async def same(n: int) -> dict[str, Any]:
        if is_asked.is_set():
            await model.asked.wait()
            asking.set()  # the second one asks while the first one waits for its answer
        is_asked.set()
        return {"answer": await model.ask("the same"), "n": n}

    def answer(question: str, number: int) -> str:
        if number == 1:
            raise httpx2.ReadError("the connection broke")
        return question

    model.answer = answer
    run = await start(storage, same, numbers(2), reuse="project", max_concurrency=2, retry=NEVER)
    assert (run.inputs, model.paid) == ({"completed": 1, "failed": 1}, {"the same": 2})


async def test_rejected_and_forgotten_answers_are_not_reused(storage: Storage, model: Model) -> None:
    async def failing(n: int) -> dict[str, Any]:
        await model.ask(f"question {n}")
        raise ValueError("it is no use")

    await start(storage, failing, numbers(1), master_job_id="one", retry=NEVER)
    await start(storage, model, numbers(1), master_job_id="two", reuse="project")
    assert model.paid["question 0"] == 2
    names = [one.name for one in await storage.ledger.count_steps("two")]
    await storage.ledger.forget_steps("two", names)
    await start(storage, model, numbers(1), master_job_id="three", reuse="project")
    assert model.paid["question 0"] == 3
    # Who forgets its own answer wants another one, whatever others have.
    await storage.ledger.forget_steps("two", names)
    await again(storage, "two", model)
    assert model.paid["question 0"] == 4


async def test_usage_of_a_reused_answer_is_not_counted_when_it_is_reported(storage: Storage, model: Model) -> None:
    async def reporting(n: int, context: Context) -> dict[str, Any]:
        answer = await model.ask(f"question {n}")
        context.log_usage(model="small", input_tokens=10, output_tokens=5, cost=3.0)
        return {"answer": answer}

    await start(storage, model, numbers(1), master_job_id="one")
    run = await start(storage, reporting, numbers(1), master_job_id="two", reuse="project")
    assert (run.cost, run.input_tokens, run.output_tokens) == (0, 0, 0)
    run = await again(storage, "two", reporting)  # now its own copy
    assert (run.cost, run.attempts, await counted(storage, "two")) == (0, 2, (0, 1, 1))


async def test_a_stream_is_reused_as_a_stream(storage: Storage) -> None:
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text for text in (b"Par", b"is")]
    sent: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(events) + DONE)

    model = Model(respond)

    async def streaming(n: int) -> dict[str, Any]:
        async with model.client.stream("POST", URL, json={"stream": True, "n": n}) as response:
            return {"answer": [line async for line in response.aiter_lines() if line]}

    first = await start(storage, streaming, numbers(1), master_job_id="one")
    second = await start(storage, streaming, numbers(1), master_job_id="two", reuse="project", replay="only")
    assert (len(sent), await counted(storage, "two")) == (1, (0, 1, 0))
    assert await answers(storage, second) == await answers(storage, first)
    assert (await answers(storage, first))[0][-1] == "data: [DONE]"


async def test_streams_within_streams_do_not_wait_for_each_other(storage: Storage) -> None:
    both = asyncio.Barrier(2)
    whole = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=whole, text="data: 1\n\ndata: [DONE]\n\n"))
    client = http.async_client(transport=transport)

    async def answer(n: int) -> dict[str, Any]:
        first, second = ("a", "b") if n else ("b", "a")
        async with client.stream("POST", URL, json={"ask": first}) as outer:
            await both.wait()  # now each has what the other is going to ask for
            async with client.stream("POST", URL, json={"ask": second}) as inner:
                await inner.aread()
            await outer.aread()
        return {"n": n}

    async with asyncio.timeout(20):
        run = await start(storage, answer, numbers(2), reuse="store", max_concurrency=2)
    assert run.records == {"completed": 2}
    await client.aclose()

"""What a model has answered once is stored before the SDK gets it, and not paid for again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from cli.calling import call
from generation.runs import NEVER, RUN, attempts, data, job_id, numbers, start
from recording.asking import KEY, WAYS, Client, Clients, chain, parsed
from servers.paying import PayingServer
from starfish_storage import InvalidInputError, http
from starfish_storage.generation import Context, retry
from starfish_storage.interface import Storage
from starfish_storage.runs.exchanges import CallRequest, CallResponse


async def replies(storage: Storage, n: int = 0) -> list[tuple[int, int, str]]:
    """Return call, reply and status of what is stored of an input's requests."""
    found = await storage.ledger.list_steps(await job_id(storage, n))
    return [(one.call, one.reply, one.status) for one in found]


@pytest.mark.parametrize(("family", "how"), WAYS)
async def test_a_mended_parser_pays_nothing(
    storage: Storage, paying_server: PayingServer, clients: Clients, family: str, how: str
) -> None:
    client = clients(family, how)

    def broken(text: str) -> Any:
        raise ValueError(f"no {text}")

    run = await start(storage, chain(client, how, ["question", "judge"], broken), numbers(2), retry=NEVER)
    assert run.records == {"failed": 2}
    paid = {f"{what} {n}": 1 for what in ("question", "judge") for n in range(2)}
    assert paying_server.payments == paid
    run = await retry(storage, RUN, chain(client, how, ["question", "judge"], parsed), progress="quiet")
    assert (run.records, paying_server.payments) == ({"completed": 2}, paid)
    assert [one["parsed"] for one in await data(storage)] == ["judge 0", "judge 1"]
    first, second = await attempts(storage)
    assert first.calls is not None
    assert second.calls is not None
    assert (first.calls.asked, first.calls.replayed) == (2, 0)
    assert (second.calls.asked, second.calls.replayed, second.calls.notes) == (0, 2, ())
    assert (len(first.usage), second.usage) == (2, ())


async def test_a_mumbled_answer_is_asked_again_and_an_earlier_turn_never(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    paying_server.tell("truncated", match="judge")
    function = chain(clients("httpx2"), "async", ["question", "judge"], parsed)
    run = await start(storage, function, numbers(1))
    assert (run.records, run.attempts) == ({"completed": 1}, 2)
    assert paying_server.payments == {"question 0": 1, "judge 0": 2}
    assert await replies(storage) == [(1, 1, "kept"), (1, 1, "rejected"), (1, 2, "kept")]


@pytest.mark.parametrize("at_once", [True, False])
async def test_equal_samples_stay_apart(
    storage: Storage, paying_server: PayingServer, clients: Clients, at_once: bool
) -> None:
    client, calls = clients("httpx2"), 4

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if at_once:
            texts = await asyncio.gather(*[client.ask("sample") for _ in range(calls)])
        else:
            texts = [await client.ask("sample") for _ in range(calls)]
        if context.attempt == 1:
            raise ConnectionResetError("of something else")
        return {"n": n, "texts": sorted(texts)}

    await start(storage, answer, numbers(1))
    assert paying_server.payments == {"sample": calls}
    (found,) = await data(storage)
    assert [json.loads(text)["reply"] for text in found["texts"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(("family", "how"), WAYS)
@pytest.mark.parametrize("kind", ["limited", "broken", "cut", "hang_up"])
async def test_what_fails_is_noted_and_takes_no_number(
    storage: Storage, paying_server: PayingServer, clients: Clients, family: str, how: str, kind: str
) -> None:
    """An SDK sends the request again, within one call: that is still the first."""
    paying_server.tell(kind, match="question")
    client = clients(family, how)

    def again(n: int) -> dict[str, Any]:
        try:
            client.ask_blocking("question")
        except (httpx.HTTPError, httpx2.HTTPError):
            return {"n": n, "text": client.ask_blocking("question")}
        raise AssertionError

    async def again_async(n: int) -> dict[str, Any]:
        try:
            await client.ask("question")
        except (httpx.HTTPError, httpx2.HTTPError):
            return {"n": n, "text": await client.ask("question")}
        raise AssertionError

    await start(storage, again_async if how == "async" else again, numbers(1))
    was_paid = kind == "cut"
    assert await replies(storage) == ([(1, 1, "rejected"), (1, 2, "kept")] if was_paid else [(1, 1, "kept")])
    (attempt,) = await attempts(storage)
    assert attempt.calls is not None
    (note,) = attempt.calls.notes
    status = {"limited": "429", "broken": "500"}.get(kind, "broken")
    assert (attempt.calls.asked, note.kind, note.count) == (1 + was_paid, status, 1)
    assert attempt.calls.unpriced == was_paid
    assert note.name == f"POST 127.0.0.1:{paying_server.port}/v1/chat/completions"


async def test_requests_that_are_forgotten_are_numbered_anew(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        texts = [await client.ask("question") for _ in range(2)]
        await context.forget(f"POST 127.0.0.1:{paying_server.port}/v1/chat/completions")
        return {"n": n, "texts": [*texts, await client.ask("question")]}

    await start(storage, answer, numbers(1))
    assert await replies(storage) == [(1, 1, "forgotten"), (2, 1, "forgotten"), (1, 2, "kept")]
    assert paying_server.payments == {"question": 3}


async def test_secrets_never_reach_the_store(
    storage: Storage, paying_server: PayingServer, clients: Clients, tmp_path: Path
) -> None:
    client = clients("httpx2", headers={"x-api-key": "header-1234567890abcdef"})
    client.url = client.url.replace("http://", "http://me:hunter2@") + "?key=query-1234567890abcdef&api-version=7"

    async def answer(n: int) -> dict[str, Any]:
        return {"n": n, "text": await client.ask("question", api_key="body-1234567890abcdef")}

    await start(storage, answer, numbers(1))
    (step,) = await storage.ledger.list_steps(await job_id(storage))
    assert step.request is not None
    request, response = CallRequest.unpacked(step.request), CallResponse.of_result(step.result)
    held = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    held += [json.dumps(request.body).encode(), request.url.encode(), response.body]
    for secret in (KEY, "header-1234567890abcdef", "hunter2", "query-1234567890abcdef", "body-1234567890abcdef"):
        assert not [text for text in held if secret.encode() in text], secret
    assert request.url.endswith("?key=%5Bredacted%5D&api-version=7")
    assert request.body["messages"] == [{"role": "user", "content": "question"}]


async def test_requests_may_be_left_out(storage: Storage, paying_server: PayingServer, clients: Clients) -> None:
    function = chain(clients("httpx", keep_requests=False), "async", ["question"], parsed)
    await start(storage, function, numbers(1))
    (step,) = await storage.ledger.list_steps(await job_id(storage))
    assert step.request is None
    assert len(step.request_key) == 64


async def test_usage_and_price_come_from_the_answer_and_count_once(
    store: str, storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2", prices={"my-model": {"input": 1_000_000, "output": 0}})
    paying_server.tell("no_usage", match="silent")
    asked: list[tuple[str, dict[str, Any]]] = [
        ("known", {}), ("reported", {}), ("mine", {"model": "my-model"}), ("strange", {"model": "no-such-model"}),
        ("silent", {}),
    ]  # fmt: skip

    async def answer(n: int, context: Context) -> dict[str, Any]:
        for prompt, fields in asked:
            body = client.body(prompt, **fields)
            reply = (await client.http.post(client.url, json=body)).json()
            if prompt == "reported":
                context.log_usage(reply, cost=0.5)
            if prompt == "mine":
                context.log_usage(reply["usage"])
        if context.attempt == 1:
            raise ConnectionResetError("of something else")
        return {"n": n}

    run = await start(storage, answer, numbers(1))
    first, second = await attempts(storage)
    known, reported, mine, strange, silent = first.usage
    assert (known.model, known.input_tokens, known.counts["cached_tokens"]) == ("gpt-4o-mini", 5, 2)
    assert 0 < known.cost < 0.001
    assert (reported.cost, mine.cost) == (0.5, 4.0)
    assert [(one.cost, one.counts["unpriced_calls"]) for one in (strange, silent)] == [(0, 1), (0, 1)]
    assert first.calls is not None
    assert first.calls.unpriced == 2
    shown = await asyncio.to_thread(call, "show", RUN, "--store", store)
    assert "asked 5, replayed 5, reused 0; 2 without a known price" in shown.out
    assert second.usage == ()  # what is reported for a stored answer was counted when it was paid for
    assert run.cost == pytest.approx(4.5 + known.cost)


@pytest.mark.parametrize("by", ["thread", "timer", "pool", "loop"])
async def test_threads_that_the_function_starts_belong_to_its_attempt(
    storage: Storage, paying_server: PayingServer, clients: Clients, by: str
) -> None:
    client = clients("httpx2", "blocking")

    def answer(n: int) -> dict[str, Any]:
        texts: list[str] = []

        def ask() -> None:
            texts.append(client.ask_blocking(f"question {n}"))

        if by == "pool":
            shared.submit(ask).result()
        elif by == "loop":

            async def main() -> None:
                other = Client(paying_server, "httpx2")
                texts.append(await other.ask(f"question {n}"))
                await other.close()

            asyncio.run(main())
        else:
            thread = threading.Thread(target=ask) if by == "thread" else threading.Timer(0, ask)
            thread.start()
            thread.join()
        return {"n": n, "text": texts[0]}

    with ThreadPoolExecutor(1) as shared:
        await start(storage, answer, numbers(3))
    assert [await replies(storage, n) for n in range(3)] == [[(1, 1, "kept")]] * 3


async def test_a_client_that_would_block_the_event_loop_is_refused(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2", "blocking")

    async def answer(n: int) -> dict[str, Any]:
        try:
            return {"n": n, "text": client.ask_blocking("question")}
        except InvalidInputError as error:
            raise RuntimeError("connection error") from error  # as SDKs do

    with pytest.raises(InvalidInputError, match=r"http\.async_client"):
        await start(storage, answer, numbers(1))
    assert not paying_server.requests


async def test_steps_outside_of_a_run_and_other_requests_are_left_alone(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2")
    assert parsed(await client.ask("outside")) == "outside"

    async def pieces() -> AsyncIterator[bytes]:
        yield json.dumps(client.body("stream")).encode()

    async def answer(n: int, context: Context) -> dict[str, Any]:
        text = await context.once("step", lambda: client.ask("step"))
        length = {"content-length": str(len(json.dumps(client.body("stream"))))}
        sent = client.read(await client.http.post(client.url, content=pieces(), headers=length))
        await client.http.get(paying_server.url)
        return {"n": n, "text": text, "sent": sent}

    await start(storage, answer, numbers(1))
    assert await replies(storage) == [(1, 1, "kept")]
    (attempt,) = await attempts(storage)
    assert attempt.calls is not None
    assert [note.kind for note in attempt.calls.notes] == ["upload"]


async def test_an_answer_that_has_come_is_stored_though_the_attempt_ran_out_of_time(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2", "blocking")
    paying_server.tell("held", match="slow")
    released = threading.Event()

    def answer(n: int, context: Context) -> dict[str, Any]:
        if context.attempt == 2:
            paying_server.release()
            released.set()
        return {"n": n, "text": client.ask_blocking("slow")}

    run = await start(storage, answer, numbers(1), timeout=0.5)
    assert (run.records, run.attempts) == ({"completed": 1}, 2)
    assert released.is_set()
    assert paying_server.payments == {"slow": 1}


def test_what_cannot_be_used_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInputError, match="'httpx2' or 'httpx'"):
        http.async_client("requests")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="a transport of httpx2 is needed, not AsyncHTTPTransport"):
        http.async_client("httpx2", transport=httpx.AsyncHTTPTransport())
    with pytest.raises(InvalidInputError, match=r"context\.once"):
        http.wrap(object())
    with pytest.raises(InvalidInputError, match="two numbers"):
        http.client(prices={"m": (1.0,)})  # type: ignore[arg-type]
    assert isinstance(http.wrap(httpx.HTTPTransport()), httpx.BaseTransport)
    assert isinstance(http.wrap(httpx2.AsyncHTTPTransport()), httpx2.AsyncBaseTransport)

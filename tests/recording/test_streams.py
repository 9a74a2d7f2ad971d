"""Streams are stored whole before they end, and what comes of one that does not end is kept, but never played back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from cli.calling import call
from generation.runs import NEVER, RUN, attempts, job_id, numbers, start
from recording.asking import Clients
from recording.test_recording import replies
from servers.paying import PayingServer
from starfish_storage.generation import Context, retry
from starfish_storage.interface import Storage
from starfish_storage.runs import CallCounts
from starfish_storage.runs.exchanges import CallResponse


@pytest.mark.parametrize("how", ["async", "blocking"])
async def test_streams_are_stored_whole_and_played_back(
    storage: Storage, paying_server: PayingServer, clients: Clients, how: str
) -> None:
    client = clients("httpx2", how)
    seen: list[list[str]] = []

    async def answer(n: int, context: Context) -> dict[str, Any]:
        if how == "async":
            seen.append(await client.stream("story"))
        else:
            seen.append(await asyncio.to_thread(client.stream_blocking, "story"))
        assert await replies(storage) == [(1, 1, "kept")]  # durable before the last event came
        if context.attempt == 1:
            raise ConnectionResetError("of something else")
        return {"n": n}

    run = await start(storage, answer, numbers(1))
    assert run.records == {"completed": 1}
    assert seen[0] == seen[1]
    assert seen[0][-1] == "[DONE]"
    assert len(seen[0]) > 3
    assert paying_server.payments == {"story": 1}
    first, _ = await attempts(storage)
    (used,) = first.usage
    assert (used.model, used.input_tokens) == ("gpt-4o-mini", 5)
    assert used.cost > 0


async def test_what_came_of_a_stream_that_is_cut_or_left_is_kept_and_never_played_back(
    storage: Storage, store: str, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2")
    paying_server.tell("cut", match="story")

    async def answer(n: int, context: Context) -> dict[str, Any]:
        await client.ask("question")
        if context.attempt != 2:
            return {"n": n, "events": len(await client.stream("story"))}
        body = client.body("story", stream=True, stream_options={"include_usage": True})
        async with client.http.stream("POST", client.url, json=body) as response:
            async for _ in response.aiter_lines():
                raise ValueError("no more")
        raise AssertionError

    run = await start(storage, answer, numbers(1), reask="never")
    assert (run.records, run.attempts) == ({"completed": 1}, 3)
    assert paying_server.payments == {"question": 1, "story": 3}  # what the story did says nothing of the question
    counts = [one.calls or CallCounts() for one in await attempts(storage)]
    assert [[note.kind for note in one.notes] for one in counts] == [["broken"], ["left"], []]
    assert [(one.asked, one.replayed, one.unpriced) for one in counts] == [(2, 0, 1), (1, 1, 1), (1, 1, 0)]
    _, cut, left, whole = await storage.ledger.list_calls(await job_id(storage))
    assert [(one.reply, one.status, one.rejected_by) for one in (cut, left, whole)] == [
        (1, "rejected", None), (2, "rejected", None), (3, "kept", None),
    ]  # fmt: skip
    assert (str(cut.reason)[:8], left.reason) == ("broken: ", "left: the answer was not read to its end")
    bodies = [CallResponse.of_result(one.result).body for one in (cut, left, whole)]
    assert all(body.startswith(b'data: {"id"') for body in bodies)
    assert len(bodies[2]) > max(map(len, bodies[:2]))
    assert [[used.counts.get("unpriced_calls", 0) for used in one.usage] for one in (cut, left, whole)] == [
        [1],
        [1],
        [0],
    ]
    shown = await asyncio.to_thread(call, "calls", left.job_id, "--store", store)
    assert "left: the answer was not read to its end" in shown.out


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_thread_reads_its_stream_after_its_attempt(
    storage: Storage, paying_server: PayingServer, clients: Clients, goes_on: bool
) -> None:
    """The next attempt waits, and gets what came whole; once the thread has ended, nobody waits for it."""
    client = clients("httpx2", "blocking")
    body = client.body("story", stream=True, stream_options={"include_usage": True})
    second, held = threading.Event(), list[Any]()

    def answer(n: int, context: Context) -> dict[str, Any]:
        if context.attempt > 1:
            second.set()
            return {"n": n, "events": len(client.stream_blocking("story"))}
        request = client.http.build_request("POST", client.url, json=body)
        lines = client.http.send(request, stream=True).iter_lines()
        held.append(lines)  # so nothing closes it
        next(lines)
        second.wait()
        return {"n": n, "events": 1 + sum(1 for _ in lines)} if goes_on else {"n": n}

    run = await start(storage, answer, numbers(1), timeout=0.5)
    assert (run.records, run.attempts) == ({"completed": 1}, 2)
    assert paying_server.payments == {"story": 1 if goes_on else 2}
    kept = [(1, 1, "kept")] if goes_on else [(1, 1, "rejected"), (1, 2, "kept")]
    assert await replies(storage) == kept


async def test_a_part_of_an_answer_does_not_keep_the_whole_one_of_another_run_out(
    storage: Storage, paying_server: PayingServer, clients: Clients
) -> None:
    client = clients("httpx2")

    async def leaving(n: int) -> dict[str, Any]:
        async with client.http.stream("POST", client.url, json=client.body("story", stream=True)) as response:
            async for _ in response.aiter_lines():
                raise ValueError("no more")
        raise AssertionError

    async def answer(n: int) -> dict[str, Any]:
        async with client.http.stream("POST", client.url, json=client.body("story", stream=True)) as response:
            return {"n": n, "text": "".join([text async for text in response.aiter_text()])}

    await start(storage, leaving, numbers(1), retry=NEVER)
    await start(storage, answer, numbers(1), master_job_id="another")
    run = await retry(storage, RUN, answer, reuse="project", progress="quiet")
    assert (run.records, paying_server.payments) == ({"completed": 1}, {"story": 2})
    assert await replies(storage) == [(1, 1, "rejected"), (1, 2, "kept")]
    assert (await storage.ledger.count_calls(RUN)).reused == 1

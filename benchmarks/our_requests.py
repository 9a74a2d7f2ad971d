"""Recorded requests as a contestant: finding the answer of another run, and explaining a run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.callers import settle
from benchmarks.memory import resident_megabytes
from benchmarks.turns import serve
from starfish_storage import LocalStorage
from starfish_storage.generation import explain_calls, generate
from starfish_storage.runs import Step, Usage
from starfish_storage.runs.exchanges import CallRequest, CallResponse
from starfish_storage.times import utc_now

_URL = "https://api.example.com/v1/chat/completions"
_NAME = "POST api.example.com/v1/chat/completions"
_EARLIER, _LATER = "run-1", "run-2"
_PROMPT = "You answer in one sentence, and name your source. " * 20
_AT_ONCE = 200


def fill_requests(directory: str, requests: int) -> None:
    """Make a store of two runs of so many inputs, each with a request; those of the second have another setting."""
    asyncio.run(_fill_requests(directory, requests))


def look_up(directory: str, requests: int, lookups: int, seed: int) -> dict[str, float]:
    """Return the seconds of so many look-ups: of an input's own replies (``plain``), and by request.

    By request: one that is ``found`` in the project, and one that is ``missed``.
    """
    return asyncio.run(_look_up(directory, requests, lookups, seed))


def explain(directory: str, requests: int) -> dict[str, float]:
    """Return the ``seconds`` that it takes to explain the second run, and the memory at its ``peak``."""
    return asyncio.run(_explain(directory, requests))


def _request(number: int, most_tokens: int) -> CallRequest:
    messages = [{"role": "system", "content": _PROMPT}, {"role": "user", "content": f"Question {number}?"}]
    return CallRequest("POST", _URL, {"model": "small", "max_tokens": most_tokens, "messages": messages})


async def _fill_requests(directory: str, requests: int) -> None:
    response = CallResponse(200, "application/json", b'{"choices": [{"message": {"content": "%b"}}]}' % (b"x" * 500))

    async def save(job_id: str, number: int, most_tokens: int) -> None:
        key, packed = _request(number, most_tokens).keyed()
        used = (Usage("small", 200, 100, 0.001),)
        await store.ledger.save_step(
            Step(job_id, _NAME, response.to_result(), 1, utc_now(), used, request_key=key, request=packed)
        )

    async with LocalStorage(f"file://{directory}", durability="process") as store:
        for run_id, most_tokens in ((_EARLIER, 256), (_LATER, 512)):
            given = ({"number": number} for number in range(requests))
            await generate(
                store, lambda number: {"number": number}, given, project="benchmark", master_job_id=run_id,
                progress="quiet",
            )  # fmt: skip
            ids = await _ids(store, run_id)
            for begin in range(0, requests, _AT_ONCE):
                some = range(begin, min(begin + _AT_ONCE, requests))
                await asyncio.gather(*(save(ids[number], number, most_tokens) for number in some))


async def _ids(store: LocalStorage, run_id: str) -> list[str]:
    return sorted(job.job_id for job in await store.list_execution_jobs(run_id))  # in the order of the inputs


async def _look_up(directory: str, requests: int, lookups: int, seed: int) -> dict[str, float]:
    async with LocalStorage(f"file://{directory}", durability="process") as store:
        ledger, ids = store.ledger, await _ids(store, _EARLIER)
        chosen = random.Random(seed).sample(range(requests), lookups)
        keys = [_request(number, 256).key for number in chosen]
        others = [_request(number, 1024).key for number in chosen]

        async def plain(at: int) -> object:
            return await ledger.list_replies(ids[chosen[at]], _NAME, 1, keys[at])

        async def found(at: int) -> object:
            return await ledger.find_reply(keys[at], 1, scope="project", project_id="benchmark")

        async def missed(at: int) -> object:
            return await ledger.find_reply(others[at], 1, scope="project", project_id="benchmark") is None

        settle()
        return {one.__name__: await _seconds(one, lookups) for one in (plain, found, missed)}


async def _seconds(look: Callable[[int], Awaitable[Any]], lookups: int) -> float:
    begun = time.perf_counter()
    for at in range(lookups):
        if not await look(at):
            raise RuntimeError("nothing was found")
    return time.perf_counter() - begun


async def _explain(directory: str, requests: int) -> dict[str, float]:
    async with LocalStorage(f"file://{directory}", durability="process") as store:
        settle()
        begun = time.perf_counter()
        explained = await explain_calls(store, _LATER)
        seconds = time.perf_counter() - begun
    (reason,) = explained.reasons
    if (reason.reason, reason.count) != ("max_tokens 256 -> 512", requests):
        raise RuntimeError(f"{reason} is not why models were asked")
    return {"seconds": seconds, "peak": resident_megabytes()["peak"]}


if __name__ == "__main__":
    serve({task.__name__: task for task in (fill_requests, look_up, explain)})

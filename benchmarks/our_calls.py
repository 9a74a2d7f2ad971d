"""The library's recording clients as a contestant, beside clients as they are."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import time
from typing import Any

from benchmarks.callers import settle
from benchmarks.ours import Durability
from benchmarks.turns import serve
from starfish_storage import LocalStorage, http
from starfish_storage.generation import generate

_WARM_UP = 50
_PROMPT = "Why is the sky blue, and what else is? " * 25


def call_models(
    directory: str, callers: int, inputs: int, calls: int, family: str, way: str, durability: Durability
) -> dict[str, float]:
    """Run a function that makes some calls, one after the other.

    Args:
        directory: for a fresh store.
        callers: how many inputs are worked on at a time.
        inputs: how many inputs.
        calls: calls of a model for each.
        family: ``httpx2`` or ``httpx``.
        way: ``recorded`` or ``bare``.
        durability: of the store.

    Returns:
        The ``seconds`` of the whole run, and those of ``processor`` time of this process.
    """
    with subprocess.Popen([sys.executable, "-m", "benchmarks.answering"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1/chat/completions"
            return asyncio.run(_call_models(directory, callers, inputs, calls, family, way, durability, url))
        finally:
            server.terminate()


async def _call_models(
    directory: str, callers: int, inputs: int, calls: int, family: str, way: str, durability: Durability, url: str
) -> dict[str, float]:
    library = importlib.import_module(family)
    limits = library.Limits(max_connections=1000, max_keepalive_connections=100)
    client: Any = http.async_client(family) if way == "recorded" else library.AsyncClient(limits=limits)

    async def answer(number: int) -> dict[str, Any]:
        size = 0
        for turn in range(calls):
            messages = [{"role": "user", "content": f"{number} {turn}: {_PROMPT}"}]
            response = await client.post(url, json={"model": "gpt-4o-mini", "messages": messages})
            size += len(response.json()["choices"][0]["message"]["content"])
        return {"number": number, "size": size}

    async def run_them(master_job_id: str, count: int) -> None:
        run = await generate(
            store,
            answer,
            [{"number": number} for number in range(count)],
            project="benchmark",
            master_job_id=master_job_id,
            max_concurrency=callers,
            progress="quiet",
        )
        asked = (await store.ledger.count_calls(master_job_id)).asked
        if run.records != {"completed": count} or asked != (count * calls if way == "recorded" else 0):
            raise RuntimeError(f"{run.records} are stored, and {asked} calls")

    store = LocalStorage(f"file://{directory}", durability=durability)
    async with client, store:
        await run_them("warm-up", _WARM_UP)
        settle()
        begun, spent = time.perf_counter(), time.process_time()
        await run_them("run-1", inputs)
        return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - spent}


if __name__ == "__main__":
    serve({"call_models": call_models})

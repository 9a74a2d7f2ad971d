"""A process that works on a run which has limits: of its costs, or of the requests that a server takes.

Usage: ``python -m generation.limited_process STORE RUN HOW``, with JSON: ``inputs``; ``options`` of the run; the
``seconds`` of a call and what it ``costs``, at random between two numbers; and the ``url`` that it asks, if any.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from typing import Any

import httpx

from starfish_storage import Context, open_storage
from starfish_storage.generation import generate


def calling(how: dict[str, Any], client: httpx.AsyncClient) -> Callable[..., Any]:
    async def answer(n: int, context: Context) -> dict[str, Any]:
        await asyncio.sleep(random.uniform(*how.get("seconds", (0, 0))))
        if "url" in how:
            (await client.post(how["url"], json={"n": n})).raise_for_status()
        context.log_usage(
            model="m", input_tokens=100, output_tokens=100, cost=random.uniform(*how.get("costs", (0, 0)))
        )
        return {"n": n}

    return answer


async def main(store: str, run: str, how: dict[str, Any]) -> None:
    os.write(1, b"ready\n")
    await asyncio.to_thread(sys.stdin.readline)  # until all are
    uri, _, data_uri = store.partition(" ")
    connections = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(limits=connections, timeout=60) as client,
        open_storage(uri, data_uri or None) as storage,
    ):
        options: Any = {"project": "limited", "master_job_id": run, "progress": "quiet", **how["options"]}
        await generate(storage, calling(how, client), [{"n": n} for n in range(how["inputs"])], **options)


if __name__ == "__main__":
    store, run, how = sys.argv[1:]
    asyncio.run(main(store, run, json.loads(how)))

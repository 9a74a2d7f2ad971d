"""A run of three paid steps in a process of its own, which asks the model at ``PAYING_PORT``.

Usage: ``python -m generation.steps_process STORE``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from generation.runs import NEVER, numbers, open_store, start
from servers.paying import ask
from starfish_storage.generation import Context


async def judged(n: int, context: Context) -> dict[str, Any]:
    """Ask for a question, an answer and a verdict, and parse the last."""

    async def step(name: str) -> str:
        async def call() -> str:
            reply = await asyncio.to_thread(ask, int(os.environ["PAYING_PORT"]), f"{name} {n}")
            context.log_usage(cost=1)
            return reply["text"]

        return await context.once(name, call)

    return {"n": n, "got": [await step(name) for name in ("question", "answer")], "verdict": parse(await step("judge"))}


def parse(text: str) -> Any:
    return json.loads(text)["answer"]


async def main(store: str) -> None:
    async with open_store(store) as storage:
        await start(storage, judged, numbers(1), retry=NEVER)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

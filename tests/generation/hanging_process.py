"""Works on a run in a store that stops answering once four calls are in flight, and says which calls were paid.

``python hanging_process.py STORE COUNT PATIENCE``; a line of its input says that the store has stopped.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

from generation.runs import RUN, numbers, open_store
from starfish_storage.generation import generate

SLOTS = 4
FIRST = 5


async def main(store: str, count: int, patience: float) -> None:
    in_flight, stopped = set[int](), asyncio.Event()

    async def answer(n: int) -> dict[str, Any]:
        print("paid", n, flush=True)  # noqa: T201 (whoever started this reads it)
        if n >= FIRST:
            in_flight.add(n)
            if len(in_flight) == SLOTS:
                while (await storage.ledger.count_inputs(RUN)).get("pending"):
                    await asyncio.sleep(0.01)  # until the others are claimed, ahead of their calls
                await storage.ledger.refresh_run(RUN, datetime.now(UTC))  # behind the answer to that claim
                print("all in flight", flush=True)  # noqa: T201
                await asyncio.to_thread(sys.stdin.readline)
                stopped.set()
            await stopped.wait()
        return {"n": n, "when": datetime.now(UTC)}  # no JSON, which a store that answers would say

    async with open_store(store) as storage:
        await generate(
            storage,
            answer,
            numbers(count),
            project="p",
            master_job_id=RUN,
            max_concurrency=SLOTS,
            progress="quiet",
            patience=patience,
        )
        print("ended", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

"""Works on a run in a store whose disk is full once four calls are in flight, and says which calls were paid.

``python waiting_process.py ROOT COUNT``
"""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path
from typing import Any

from durability.faults import FaultyStorage, Steps, fail
from generation.runs import RUN, numbers
from starfish_storage.generation import generate

SLOTS = 4


async def main(root: Path, count: int) -> None:
    steps, in_flight, full = Steps(), set[int](), asyncio.Event()

    async def answer(n: int) -> dict[str, Any]:
        print("paid", n, flush=True)  # noqa: T201 (whoever started this reads it)
        in_flight.add(n)
        if len(in_flight) == SLOTS:
            steps.before = fail("write", errno.ENOSPC, for_good=True)
            full.set()
        await full.wait()
        return {"n": n}

    async with FaultyStorage(root / "store", steps) as storage:
        await generate(
            storage, answer, numbers(count), project="p", master_job_id=RUN, max_concurrency=SLOTS, progress="lines"
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""Works on a run in a store whose disk is full from the first paid call on.

Prints a line for each paid call, and one when results wait. ``python waiting_process.py ROOT COUNT``
"""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path
from typing import Any

from durability.faults import FaultyStorage, Steps, fail
from generation.runs import RUN, numbers
from starfish_storage.generation import Progress, generate

SLOTS = 4


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 (whoever started this reads it)


async def main(root: Path, count: int) -> None:
    told, steps, together, full = False, Steps(), set[int](), asyncio.Event()

    async def answer(n: int) -> dict[str, Any]:
        say("paid", n)
        together.add(n)
        if len(together) == SLOTS:
            steps.before = fail("write", errno.ENOSPC, for_good=True)
            full.set()
        await full.wait()
        return {"n": n}

    def shown(progress: Progress) -> None:
        nonlocal told
        if progress.waiting == SLOTS and not told:
            told = True
            say("waiting")

    async with FaultyStorage(root / "store", steps) as storage:
        await generate(
            storage, answer, numbers(count), project="p", master_job_id=RUN, max_concurrency=SLOTS, progress=shown
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

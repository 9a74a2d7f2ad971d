"""A process of a run that is charged for each call: it writes the number of the input to its standard output.

What was written there is charged, whatever becomes of the process: the pipe outlives it. Before it begins, it says
``ready`` and waits for a line.

Usage: ``python -m benchmarks.paying STORE RUN INPUTS CONCURRENCY SECONDS generate | resume``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from starfish_storage import open_storage
from starfish_storage.generation import generate, resume


async def main(store: str, run: str, inputs: int, concurrency: int, seconds: float, how: str) -> None:
    """Start a run or go on with it; if others have started it, share it with them."""

    async def answer(number: int) -> dict[str, Any]:
        os.write(1, b"%d\n" % number)
        await asyncio.sleep(seconds)
        return {"number": number, "answer": number * number}

    async with open_storage(store) as storage:
        if how == "resume":
            await resume(storage, run, answer, progress="quiet")
            return
        given = [{"number": number} for number in range(inputs)]
        await generate(
            storage,
            answer,
            given,
            project="paying",
            master_job_id=run,
            max_concurrency=concurrency,
            progress="quiet",
        )


if __name__ == "__main__":
    os.write(1, b"ready\n")
    sys.stdin.readline()
    store, run, inputs, concurrency, seconds, how = sys.argv[1:]
    asyncio.run(main(store, run, int(inputs), int(concurrency), float(seconds), how))

"""Runs the workload over PostgreSQL in a process of its own, to be killed.

Usage: ``python -m remote.writer_process URI DIRECTORY WORKERS STEPS NAME``; the log goes to its output. What it saves
has the name in its ids, so that several may work on one store.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from durability import workload
from remote.stores import opened


async def main(arguments: list[str]) -> None:
    uri, root, workers, steps, name = arguments
    log = workload.Log(None)
    async with opened(uri, Path(root), 60) as storage:
        log.write("begin", {})
        if await storage.get_execution_job(workload.JOB) is None:
            await workload.prepare(storage)
        log.write("done", {})
        await asyncio.gather(*(workload.work(storage, log, int(steps), f"{name}{n}") for n in range(int(workers))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

"""A process that forks a run, and kills itself at its n-th change of a row on the way.

Usage: ``python -m generation.forking_process STORE RUN N FIRST...``, where ``FIRST...`` are the numbers of the inputs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from generation.runs import open_store
from starfish_storage.generation import generate
from starfish_storage.metadata.postgres.database import PostgresDatabase
from starfish_storage.metadata.sqlite.database import Session

ASKED = "asked:"


async def main(store: str, run: str, kill_at: int, *values: str) -> None:
    numbers = itertools.count(1)

    def counted(write: Callable[..., Any]) -> Callable[..., Any]:
        async def counted_write(*given: Any) -> None:
            if next(numbers) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            await write(*given)

        return counted_write

    async def answer(n: int) -> dict[str, Any]:
        os.write(1, f"{ASKED} {n}\n".encode())
        return {"n": n}

    async with open_store(store) as storage:
        for database in (Session, PostgresDatabase):
            database.write = counted(database.write)
        inputs = [{"n": int(value)} for value in values]
        made = await generate(
            storage, answer, inputs, project="p", master_job_id=run, on_change="fork", progress="quiet"
        )
    os.write(1, f"{made.master_job_id}\n".encode())


if __name__ == "__main__":
    store, run, kill_at, *values = sys.argv[1:]
    asyncio.run(main(store, run, int(kill_at), *values))

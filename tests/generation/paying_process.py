"""A process that is charged for each call of a run: it writes the number of the input to a file outside the store.

Usage: ``python -m generation.paying_process STORE RUN CHARGES INPUTS CONCURRENCY SECONDS [resume | shared]``, where the
environment may say ``LEASE``, ``CLOCK`` (by how many seconds this machine's is off), and ``ELSEWHERE`` (to look like a
process of another machine).
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

from starfish_storage import models, open_storage
from starfish_storage.generation import generate, lease, resume


async def main(store: str, run: str, charges: str, inputs: int, concurrency: int, seconds: float, how: str) -> None:
    log = os.open(charges, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def answer(number: int) -> dict[str, Any]:
        os.write(log, b"%d\n" % number)  # charged
        os.write(1, b"%d\n" % number)  # and the parent is told
        await asyncio.sleep(seconds)
        return {"number": number, "answer": number * number}

    if how == "shared":
        os.write(1, b"ready\n")
        await asyncio.to_thread(sys.stdin.readline)  # until all are
    uri, _, data_uri = store.partition(" ")
    async with open_storage(uri, data_uri or None) as storage:
        if how == "resume":
            await resume(storage, run, answer, progress="quiet")
        else:
            given = [{"number": number} for number in range(inputs)]
            await generate(
                storage,
                answer,
                given,
                project="paying",
                master_job_id=run,
                max_concurrency=concurrency,
                progress="quiet",
                lease=float(os.environ.get("LEASE", "10")),
            )


def set_clock(seconds: float) -> None:
    right = time.time

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    models.datetime = Clock  # pyright: ignore[reportPrivateImportUsage]
    time.time = lambda: right() + seconds


if __name__ == "__main__":
    set_clock(float(os.environ.get("CLOCK", "0")))
    if "ELSEWHERE" in os.environ:
        elsewhere = f"{uuid.uuid4().hex}/0/1/?"
        lease.process_identity = lambda: elsewhere
    store, run, charges, inputs, concurrency, seconds, *rest = sys.argv[1:]
    how = rest[0] if rest else "generate"
    asyncio.run(main(store, run, charges, int(inputs), int(concurrency), float(seconds), how))

"""A process that copies a store, in small pages, and kills itself at one of its writes.

Usage: ``python -m copying.copying_process SOURCE TARGET KILL_AT HOW``, where the target may have the URI of its data
behind a space, KILL_AT is the number of a write, from 1 (0: none), and HOW is ``before`` or ``during`` it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from starfish_storage import LocalStorage, open_storage
from starfish_storage.copying import copy, engine, pages
from starfish_storage.metadata.row_transfer import SQLRowTransfer


def kill_at(number: int, how: str) -> None:
    """Have this process killed at a write."""
    writes = 0

    def killing(put: Callable[..., Awaitable[None]]) -> Any:
        async def wrapped(*given: Any) -> None:
            nonlocal writes
            writes += 1
            if writes == number:
                if how == "during":
                    begun = asyncio.ensure_future(put(*given))
                    await asyncio.wait([begun], timeout=0.001)
                os.kill(os.getpid(), signal.SIGKILL)
            await put(*given)

        return wrapped

    for name in [name for name in vars(SQLRowTransfer) if name.startswith("put_")]:
        setattr(SQLRowTransfer, name, killing(getattr(SQLRowTransfer, name)))


async def main(source: str, target: str) -> None:
    uri, _, data_uri = target.partition(" ")
    async with LocalStorage(source) as from_, open_storage(uri, data_uri or None) as to:
        report = await copy(from_, to)
    sys.stdout.write(f"{report.records} {report.execution_jobs} {report.unchanged}\n")


if __name__ == "__main__":
    setattr(engine, "_JOBS_AT_ONCE", 4)  # noqa: B010 (private to others)
    setattr(pages, "_FIRST", 7)  # noqa: B010
    setattr(pages, "_MOST", 7)  # noqa: B010
    kill_at(int(sys.argv[3]), sys.argv[4])
    asyncio.run(main(sys.argv[1], sys.argv[2]))

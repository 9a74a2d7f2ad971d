"""A process that deletes a run a row at a time, and kills itself before or while it deletes a part.

Usage: ``python -m maintenance.deleting_process URI DATA_URI RUN KILL_AT HOW``, where DATA_URI may be empty, KILL_AT is
the number of a part, from 1, and HOW is ``before`` or ``during`` it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from starfish_storage import open_storage
from starfish_storage.metadata import deleting


def kill_at(number: int, how: str) -> None:
    """Have this process killed at a part."""
    delete_part, parts = deleting.Deleting._delete_part, 0

    async def killing(*given: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts == number:
            if how == "during":
                begun = asyncio.ensure_future(delete_part(*given))
                await asyncio.wait([begun], timeout=0.001)
            os.kill(os.getpid(), signal.SIGKILL)
        return await delete_part(*given)

    setattr(deleting.Deleting, "_delete_part", killing)  # noqa: B010 (private to others)


async def main(uri: str, data_uri: str, run: str) -> None:
    async with open_storage(uri, data_uri or None) as storage:
        await storage.delete_master_job(run)


if __name__ == "__main__":
    setattr(deleting, "_MOST_AT_ONCE", 1)  # noqa: B010
    setattr(deleting, "_REST", 0)  # noqa: B010
    kill_at(int(sys.argv[4]), sys.argv[5])
    asyncio.run(main(*sys.argv[1:4]))

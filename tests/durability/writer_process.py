"""Runs the workload in a process of its own, to be killed: see the tests that start it.

Usage: ``python -m durability.writer_process ROOT DURABILITY WORKERS STEPS [LAYOUT]``; the log goes to its output.
Under the shim, with the variable ``LYING_DISK``, syncs below that directory do nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import cast

from durability import workload
from durability.shim import Action, Kind, Shim
from starfish_storage.metadata.sqlite.connection import Durability


async def main(arguments: list[str]) -> None:
    root, log = Path(arguments[0]), workload.Log(None)
    durability = cast("Durability", arguments[1])
    workers, steps = int(arguments[2]), int(arguments[3])
    layout = arguments[4] if len(arguments) > 4 else "files"
    storage = workload.opened(root, layout, durability)
    await storage.setup()
    await workload.run(storage, log, steps, workers)
    await storage.close()


if __name__ == "__main__":
    if "LYING_DISK" in os.environ:
        Shim().arm(Path(os.environ["LYING_DISK"]), Kind.SYNC, Action.LIE)
    asyncio.run(main(sys.argv[1:]))

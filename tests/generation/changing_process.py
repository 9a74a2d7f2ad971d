"""A process that runs the program of the matrix of changes for the first time, and may be killed at its second input.

Usage: ``python -m generation.changing_process STORE PROGRAM_DIRECTORY [killed]``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from starfish_storage import open_storage
from starfish_storage.generation import generate

CONFIG = {"prompt": "answer"}
INPUTS = (1, 2, 3)


class Killer(list[int]):
    """Kills the process when the second input is noted."""

    def append(self, value: int) -> None:
        if value == INPUTS[1]:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(store: str, directory: str, *how: str) -> None:
    sys.path.insert(0, directory)
    program: Any = __import__("changing_program")
    if how:
        program.asked = Killer()
    inputs = [{"n": n} for n in INPUTS]
    async with open_storage(store, durability="process") as storage:
        await generate(
            storage,
            program.answer,
            inputs,
            project="p",
            master_job_id="run-1",
            config=CONFIG,
            max_concurrency=1,
            progress="quiet",
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

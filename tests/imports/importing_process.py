"""Imports a file, says on standard output how far it is, and waits each time for a line before it goes on."""

from __future__ import annotations

import asyncio
import sys

from starfish_storage import LocalStorage
from starfish_storage.imports import ImportProgress, import_path


def say(progress: ImportProgress) -> None:
    sys.stdout.write(f"{progress.stage} {progress.rows}\n")
    sys.stdout.flush()
    sys.stdin.readline()


async def main(store: str, source: str) -> None:
    async with LocalStorage(store) as storage:
        await import_path(storage, source, progress=say)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""A run with a real client in a process of its own, to be interrupted and killed.

Usage: ``python -m clients.asking_process STORE URL WAY HOW QUESTION...``, where HOW is ``async`` or ``blocking``. It
starts the run, or continues it. It says ``stopping`` when it has seen a signal, and ``ended`` at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from clients.asking import asking
from generation.runs import NEVER, open_store, start
from starfish_storage.generation import Run


class Telling(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if " stops: " in record.getMessage():
            tell("stopping")


def tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


async def ask(store: str, url: str, way: str, how: str, *questions: str) -> Run:
    async with open_store(store) as storage, asking(url, way, blocking=how == "blocking", once=True) as function:
        inputs = [{"question": question} for question in questions]
        return await start(storage, function, inputs, max_concurrency=2, retry=NEVER, progress="lines")


def main() -> None:
    logger = logging.getLogger("starfish_storage")
    logger.addHandler(Telling())
    logger.setLevel(logging.INFO)
    asyncio.run(ask(*sys.argv[1:]))
    tell("ended")


if __name__ == "__main__":
    main()

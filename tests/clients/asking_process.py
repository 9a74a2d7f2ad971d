"""A run with a real client in a process of its own, to be interrupted and killed.

Usage: ``python -m clients.asking_process STORE URL WAY HOW QUESTION...``, where HOW is ``async`` or ``blocking``. It
starts the run, or continues it. It says ``stopping`` when it has seen a signal, and at the end how it ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys

from clients.asking import asking
from generation.runs import NEVER, RUN, open_store
from starfish_storage import generate


class Telling(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if " stops: " in record.getMessage():
            tell("stopping")


def tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


async def main(store: str, url: str, way: str, how: str, *questions: str) -> None:
    logger = logging.getLogger("starfish_storage")
    logger.addHandler(Telling())
    logger.setLevel(logging.INFO)
    async with open_store(store) as storage, asking(url, way, blocking=how == "blocking", once=True) as function:
        run = await generate(
            storage,
            function,
            [{"question": question} for question in questions],
            project="p",
            master_job_id=RUN,
            max_concurrency=2,
            retry=NEVER,
            progress="lines",
        )
        tell(json.dumps(run.to_json()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""A run in a process of its own, for signals: tells on its standard output what it has come to.

Usage: ``python -m generation.signalled_process STORE HOW``, where HOW is what the function does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from generation.runs import RUN, numbers, open_store
from starfish_storage.generation import Context, Retry, generate, worker

INPUTS = 8


came = asyncio.Event()


class Telling(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if " stops: " in record.getMessage():
            tell("stopping")


def tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


async def holds(n: int) -> dict[str, Any]:
    """Hold up the inputs from 2 on, until a line comes in; each tells that it has begun."""
    if n >= 2:
        tell(f"begun {n}")
        await reading()
    return {"n": n}


async def reading() -> None:
    asyncio.get_running_loop().add_reader(0, came.set)
    await came.wait()


async def swallows(n: int) -> dict[str, Any]:
    tell(f"begun {n}")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not asyncio.current_task().cancelling() > 1:  # pyright: ignore[reportOptionalMemberAccess]
                tell("cancelled")
            else:
                raise


def hangs(n: int) -> dict[str, Any]:
    tell(f"begun {n}")
    time.sleep(3600)  # hangs: it is ended from outside
    return {}


async def backs_off(n: int) -> dict[str, Any]:
    tell(f"begun {n}")
    raise TimeoutError


async def step(n: int, context: Context) -> dict[str, Any]:
    async def call() -> str:
        context.log_usage(cost=3)
        return "the answer"

    await context.once("model-call", call)
    tell("paid")
    os.kill(os.getpid(), signal.SIGKILL)
    return {"n": n}


async def blocks(n: int) -> dict[str, Any]:
    """Hold the event loop up for longer than the lease."""
    tell(f"begun {n}")
    sys.stdin.readline()
    return {"n": n}


async def slowly() -> AsyncIterator[dict[str, Any]]:
    yield {"n": 0}
    await asyncio.sleep(3600)


def blocked() -> Any:
    yield {"n": 0}
    time.sleep(3600)  # hangs: it is ended from outside


async def main(store: str, how: str) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    logger = logging.getLogger("starfish_storage")
    logger.addHandler(Telling())
    logger.setLevel(logging.INFO)
    worker._PATIENCE_SECONDS = 0.2
    function: Any = {
        "holds": holds, "impatient": holds, "swallows": swallows, "hangs": hangs, "back-off": backs_off,
        "step": step, "blocks": blocks,
    }.get(how, quick)  # fmt: skip
    inputs: Any = {"waiting": slowly(), "blocked": blocked(), "step": numbers(1), "blocks": numbers(1)}.get(
        how, numbers(INPUTS)
    )
    try:
        async with open_store(store) as storage:
            run = await generate(
                storage,
                function,
                inputs,
                project="p",
                master_job_id=RUN,
                max_concurrency=4,
                retry=Retry(first_wait=3600, longest_wait=3600) if how == "back-off" else 1,
                grace=0 if how == "impatient" else 3600,
                lease=1 if how == "blocks" else 60,
                progress="lines",
            )
            tell(json.dumps(run.to_json()))
    except (KeyboardInterrupt, SystemExit) as error:
        tell(type(error).__name__)
        raise
    finally:
        tell("restored" if (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before else "left")


async def quick(n: int) -> dict[str, Any]:
    tell(f"begun {n}")
    return {"n": n}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

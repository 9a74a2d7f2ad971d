"""Concurrent callers of an async API, the same for every contestant. Standard library only."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Sequence


async def run_callers(callers: int, count: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Have so many callers share the numbers below ``count``, each awaiting one piece of work at a time.

    Returns:
        The seconds from the first call to the last answer.
    """
    numbers = iter(range(count))

    async def caller() -> None:
        for number in numbers:
            await work(number)

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return time.perf_counter() - begun


async def time_each(calls: Sequence[Callable[[], Awaitable[object]]]) -> list[float]:
    """Make calls one after another and return the seconds of each."""
    seconds: list[float] = []
    for call in calls:
        begun = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - begun)
    return seconds


def settle() -> None:
    """Write out everybody's dirty pages and collect garbage, so that neither is charged to what is timed next."""
    gc.collect()
    os.sync()

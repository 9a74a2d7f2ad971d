"""What takes long to count: it is counted beside the requests, kept, and shown with its age.

A request waits for a moment and shows what is known by then. Counting takes at most a small part of the time, so that a
run that is looked at is not slowed down: what took a second to count is not counted again for a minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

Value = TypeVar("Value")

PATIENCE = 0.05
"""Seconds that a page waits for all that it counts."""

_MOST_KEPT = 2000
_TOGETHER = 2  # of the four readers of a store: the others answer requests
_REST = 60  # times as long as it took, until it is counted again


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Value]):
    """What was counted.

    Attributes:
        value: it.
        is_current: whether nothing may have changed since.
        age: how many seconds ago it was counted.
    """

    value: Value
    is_current: bool
    age: float


class WaitingTime:
    """How long a page waits, from now on, for all that it counts."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._until - time.monotonic())


class Gathering:
    """Counts, and keeps what was counted last of each kind.

    Args:
        most_kept: how many kinds; the ones that nobody has asked for the longest are forgotten.
    """

    def __init__(self, most_kept: int = _MOST_KEPT) -> None:
        self._most_kept = most_kept
        self._kept: OrderedDict[Hashable, _Counted] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(_TOGETHER)

    async def get(
        self, key: Hashable, version: Hashable, count: Callable[[], Awaitable[Value]], patience: WaitingTime
    ) -> Gathered[Value] | None:
        """Return what is known by the time that the patience has run out; None if that is nothing.

        Args:
            key: what is counted.
            version: while it stays the same, nothing is counted again.
            count: counts it. Its error is raised once, and it is counted anew the next time.
            patience: how long to wait.
        """
        known = self._kept.get(key)
        if known is None or (known.version != version and time.monotonic() >= known.rests_until):
            task = self._running.get(key)
            if task is None:
                task = self._running[key] = asyncio.create_task(self._count(key, version, count))
                task.add_done_callback(lambda done: self._note_end(key, done))
            await asyncio.wait([task], timeout=patience.left)
            if task.done():
                task.result()
            known = self._kept.get(key)
        if known is None:
            return None
        self._kept.move_to_end(key)
        return Gathered(cast("Value", known.value), known.version == version, time.monotonic() - known.when)

    async def _count(self, key: Hashable, version: Hashable, count: Callable[[], Awaitable[Any]]) -> None:
        async with self._free:
            begun = time.monotonic()
            value = await count()
            ended = time.monotonic()
        self._kept[key] = _Counted(value, version, ended, ended + _REST * (ended - begun))
        while len(self._kept) > self._most_kept:
            self._kept.popitem(last=False)

    def _note_end(self, key: Hashable, task: asyncio.Task[None]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # whoever waits gets it; if nobody does, it is not worth a warning


@dataclass(frozen=True, slots=True)
class _Counted:
    value: Any
    version: Hashable
    when: float
    rests_until: float

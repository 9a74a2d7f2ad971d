"""Limits of calls and tokens a minute, for a run as a whole."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from starfish_storage.runs import Usage

_MINUTE = 60.0
_BURSTS = 600  # a minute's amount is let through in so many parts: at most a tenth of a second's worth at once
_NOTHING = 1e-9  # what is left of a sum of parts
_NEWEST = 0.2  # how much the latest attempt counts in what is expected of the next


class Bucket(Protocol):
    """What a `Rate` asks of a bucket, as `aiolimiter.AsyncLimiter` has it."""

    async def acquire(self, amount: float = 1) -> None:
        """Wait until so much may flow."""
        ...


class Rate:
    """Lets a number of units a minute through, evenly: requests or tokens.

    What an attempt needs is known only after it. So each takes what is expected, from what the last ones used, and pays
    or gets back the difference at the next: over a minute the sum is right.

    The bucket is that of the whole run. Each of its workers has one, and takes as many times as much as there are
    workers: together they take what the run may, and nothing need be changed in the bucket when workers come and go.

    Args:
        a_minute: the limit.
        used: returns how many units an attempt has used.
        expected: how many units the first attempt is expected to use.
        bucket: makes the bucket, from its size and the seconds in which it empties.

    Attributes:
        workers: among how many workers the limit is shared.
    """

    def __init__(
        self,
        a_minute: float,
        used: Callable[[Sequence[Usage]], float],
        expected: float = 0.0,
        bucket: Callable[[float, float], Bucket] | None = None,
    ) -> None:
        if bucket is None:
            from aiolimiter import AsyncLimiter  # only a run with limits pays for this

            bucket = AsyncLimiter
        self.workers = 1
        self._used = used
        self._size = max(1.0, a_minute / _BURSTS)
        self._bucket = bucket(self._size, self._size * _MINUTE / a_minute)
        self._expected = expected
        self._owed = 0.0
        self._taken: deque[float] = deque()
        self._turn = asyncio.Lock()  # first come, first served: a bucket lets small amounts pass large ones

    async def take(self) -> None:
        """Wait until an attempt may begin."""
        async with self._turn:
            expected = self._expected
            self._owed += expected
            try:
                while self._owed > _NOTHING:
                    part = min(self._owed * self.workers, self._size)
                    await self._bucket.acquire(part)
                    self._owed -= part / self.workers
            except BaseException:
                self._owed -= expected
                raise
            self._taken.append(expected)

    def settle(self, usage: Sequence[Usage]) -> None:
        """Count what an attempt used, in place of what was taken for it."""
        used = self._used(usage)
        # Attempts need not end in the order in which they began: only the sum of what was taken counts.
        self._owed += used - self._taken.popleft()
        if used:
            self._expected = used if not self._expected else self._expected + _NEWEST * (used - self._expected)


def requests(a_minute: float) -> Rate:
    """Return a limit of requests: an attempt makes as many as it reports with ``log_usage``, and at least one."""
    return Rate(a_minute, lambda usage: max(1, len(usage)), 1.0)


def tokens(a_minute: float) -> Rate:
    """Return a limit of tokens, those sent and those received."""
    return Rate(a_minute, lambda usage: sum(one.input_tokens + one.output_tokens for one in usage))

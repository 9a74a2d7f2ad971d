"""When calls of one worker may begin, by a limit that it shares: it claims times for some calls together."""

from __future__ import annotations

import asyncio
import math
from bisect import insort
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from starfish_storage.runs import Grant, SlotAsk, Usage

_NEWEST = 0.2  # how much the latest attempt counts in what is expected of the next
_LATE = 0.1  # seconds after which a time that nobody took is given up
_AHEAD = 0.25  # seconds for which times are claimed together


class _Time(NamedTuple):
    """When a call may begin, and how many tokens are counted for it."""

    at: float
    tokens: float


class SharedRate:
    """Lets calls begin at the times that a limit grants, first come, first served.

    What an attempt needs is known only after it. So each claims what is expected, from what the last ones used, and the
    difference is counted at the next claim: over a minute the sum is right.

    Args:
        claim: asks the limit for times, however long that takes.
        hear: gets for how many seconds a provider has asked all to wait, and why.
    """

    def __init__(self, claim: Callable[[SlotAsk], Awaitable[Grant]], hear: Callable[[float, str | None], None]) -> None:
        self._claim = claim
        self._hear = hear
        self._clock = asyncio.get_running_loop().time
        self._times: list[_Time] = []
        self._begun: deque[float] = deque()  # in the last moment
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._expected = self._more_tokens = self._more_calls = 0.0
        self._taken: deque[float] = deque()

    async def take(self) -> None:
        """Wait until an attempt may begin."""
        time = await self._waited_for()
        if self._clock() - time.at > _LATE:
            # What has held the loop up has held up others too: together they would be too many. But only once: where
            # every call is late, waiting again would not end.
            self._more_tokens -= time.tokens
            time = await self._waited_for()
        self._begun.append(self._clock())
        self._taken.append(time.tokens)

    def give_back(self) -> None:
        """Note that the call that was let begin last has not begun."""
        self._more_tokens -= self._taken.pop()

    def void(self) -> None:
        """Give up the times that were granted: all calls are paused."""
        self._more_tokens -= sum(time.tokens for time in self._times)
        self._times.clear()

    def settle(self, usage: Sequence[Usage]) -> None:
        """Count what an attempt used beyond what it was granted."""
        self._more_calls += max(0, len(usage) - 1)
        tokens = sum(one.input_tokens + one.output_tokens for one in usage)
        # Attempts need not end in the order in which they began: only the sum of what was taken counts.
        self._more_tokens += tokens - self._taken.popleft()
        if tokens:
            self._expected += (_NEWEST if self._expected else 1.0) * (tokens - self._expected)

    async def _waited_for(self) -> _Time:
        """Wait for the next time, and return it."""
        self._waiting += 1
        try:
            async with self._turn:
                time = await self._next()
        finally:
            self._waiting -= 1
        try:
            if (wait := time.at - self._clock()) > 0:
                await asyncio.sleep(wait)
        except BaseException:
            insort(self._times, time)
            raise
        return time

    async def _next(self) -> _Time:
        while True:
            now = self._clock()
            while self._times and self._times[0].at < now - _LATE:
                self._more_tokens -= self._times.pop(0).tokens
            if self._times:
                return self._times.pop(0)
            while self._begun and self._begun[0] < now - 1:
                self._begun.popleft()
            ahead = math.ceil(len(self._begun) * _AHEAD)
            tokens = self._expected
            ask = SlotAsk(max(self._waiting, ahead, 1), tokens, self._more_calls, self._more_tokens)
            self._more_calls = self._more_tokens = 0.0
            grant = await self._claim(ask)
            if grant.paused:
                self._hear(grant.paused, grant.reason)
            if not grant.delays:
                await asyncio.sleep(grant.again)  # it is the turn of other runs
                continue
            now = self._clock()
            self._times = [_Time(now + delay, tokens) for delay in grant.delays]

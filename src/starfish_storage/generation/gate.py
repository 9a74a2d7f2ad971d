"""The gate before each call of the function: how many calls at a time, how fast, and none while a provider says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

from starfish_storage.errors import StorageError
from starfish_storage.generation.options import Options
from starfish_storage.generation.rates import SharedRate
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.runs import Usage
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Where the provider does not say how long to wait; each pause in a row is twice as long as the one before."""


class Gate:
    """Lets calls of one worker begin, one after the other.

    After a pause one call begins; each success doubles how many may be under way, up to the worker's share.

    Args:
        options: of the run; its limits are this worker's until `set_share` says otherwise.
        stopping: whether the worker should stop.
        announce: tells the other workers of a pause: gets its seconds and its reason, and returns its end by the clock
            that all share.
        rate: says when calls may begin; None if nothing limits them.

    Attributes:
        calls: how many are under way.
        share: how many this worker may have under way.
        reason: why the calls were paused last; None if they never were.
    """

    def __init__(
        self,
        options: Options,
        stopping: Stopping,
        announce: Callable[[float, str], Awaitable[datetime]],
        rate: SharedRate | None = None,
    ) -> None:
        self.calls = 0
        self.share = options.max_concurrency
        self.reason: str | None = None
        self._stopping = stopping
        self._announce = announce
        self._rate = rate
        self._paused_until = 0.0
        self._announced: datetime | None = None
        self._pauses = 0  # in a row, without a success between them
        # While it starts slowly. What a call uses is known only after the first.
        self._at_most: int | None = None if options.tpm is None else 1
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_open = rate is None

    @property
    def pause_left(self) -> float:
        """Seconds until calls may begin; 0 if they may."""
        return max(0.0, self._paused_until - monotonic())

    @property
    def paused_until(self) -> datetime | None:
        """When calls may begin, by the clock of this machine; None if they may."""
        left = self.pause_left
        return utc_now() + timedelta(seconds=left) if left else None

    def admit(self) -> bool:
        """Let a call begin if it need not wait; otherwise return False, and `enter` waits."""
        if self._is_open and self.calls < self.share:
            self.calls += 1
            return True
        return False

    async def enter(self) -> None:
        """Wait until a call may begin, and let it begin.

        Raises:
            StoppedError: the worker should stop.
        """
        began = monotonic()
        await self._place()
        self.calls += 1
        try:
            await self._take_time()
        except BaseException:
            self.calls -= 1
            self._wake()
            raise
        current().waited(monotonic() - began, "gate")

    def leave(self, usage: Sequence[Usage], *, succeeded: bool) -> None:
        """Note that a call has ended, and what it used."""
        self.calls -= 1
        if self._rate is not None:
            self._rate.settle(usage)
        if succeeded and not self._is_open and not self.pause_left:
            self._grow()
        if self._waiting:
            self._wake()

    def set_share(self, share: int) -> None:
        """Set how many calls this worker may have under way."""
        self.share = share
        self._wake()

    async def slow_down(self, asked: float | None, longest: float, reason: str) -> None:
        """Pause all calls of the run, because a provider has refused one.

        A call that began before a pause and is refused during it says nothing new, unless it asks for more time.

        Args:
            asked: the seconds that the provider asks to wait; None if it does not say.
            longest: the most of these that are believed.
            reason: why, for people.
        """
        if not self.pause_left:
            self._pauses += 1
        elif asked is None:
            return
        seconds = min(asked or 0.0, longest)
        if not asked:  # else the provider knows better than we how long it takes
            seconds = min(_FIRST_PAUSE * 2.0 ** min(self._pauses - 1, 30), _LONGEST_PAUSE)
        if not self._pause(seconds, reason):
            return
        logger.info("calls are paused for %.1f s: %s", seconds, reason)
        try:
            self._announced = await self._announce(seconds, reason)
        except StorageError as error:  # the work meets the same error, and this concerns only the others
            logger.warning("could not tell other workers of a pause of %.1f s: %s", seconds, error.code)

    def hear(self, until: datetime, now: datetime, reason: str | None) -> None:
        """Pause as another worker has announced.

        Args:
            until: the end of the pause.
            now: the time, by the same clock.
            reason: why, for people.
        """
        if until != self._announced:
            self._announced = until
            self._pause((until - now).total_seconds(), reason or "another worker asked for it")

    def hear_of(self, seconds: float, reason: str | None) -> None:
        """Pause for so long, as a worker of another run has announced."""
        self._pause(seconds, reason or "another run asked for it")

    async def wait_out_pause(self) -> float:
        """Wait until calls are not paused, and return for how many seconds.

        Raises:
            StoppedError: the worker should stop.
        """
        began = monotonic()
        while left := self.pause_left:
            await self._stopping.pause(left)
        return monotonic() - began

    def wake_all(self) -> None:
        """Let all that wait for their turn look whether the worker should stop."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)

    async def _take_time(self) -> None:
        """Wait for the time at which a call may begin, outside of pauses: after one, it is another time."""
        if self._rate is None:
            await self.wait_out_pause()
            return
        while True:
            await self._stopping.unless(self._rate.take())
            if not self.pause_left:
                return
            self._rate.give_back()
            await self.wait_out_pause()

    async def _place(self) -> None:
        while True:
            await self.wait_out_pause()
            if self._stopping.is_wanted:
                raise StoppedError
            if self.calls < self._most:
                return
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    @property
    def _most(self) -> int:
        # An input that was claimed before the share fell to nothing is still carried out: no other worker can.
        share = max(self.share, 1)
        return share if self._at_most is None else min(share, self._at_most)

    def _pause(self, seconds: float, reason: str) -> bool:
        until = monotonic() + seconds
        if until <= self._paused_until:
            return False
        self._paused_until, self.reason = until, reason
        self._is_open = False
        current().paused(seconds)
        if self._rate is None:  # else they begin one after the other anyway, and fewer after a refusal
            self._at_most = 1
        else:
            self._rate.void()
        return True

    def _grow(self) -> None:
        self._pauses = 0
        if self._at_most is not None:
            self._at_most *= 2
            if self._at_most >= self.share:
                self._at_most = None
        self._is_open = self._at_most is None and self._rate is None
        self._wake()

    def _wake(self) -> None:
        """Let as many go on as there is room for."""
        room = self._most - self.calls
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

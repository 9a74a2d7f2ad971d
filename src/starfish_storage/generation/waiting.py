"""The patience of a run with its store: calls to the store are made again, and no call of the function starts."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from starfish_storage.data.patience import allowed_seconds
from starfish_storage.errors import (
    ForeignStoreError,
    StorageBusyError,
    StorageError,
    StorageIOError,
    StorageUnavailableError,
    StoreDamagedError,
    StoreOpenError,
    StoreReadOnlyError,
    StoreVersionError,
)
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

DEFAULT_PATIENCE = 3600.0
"""How long a run waits for its store, in seconds."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_LAST_SECONDS = 2.0  # for a call that is under way when the worker stops in a hurry, or when patience ends
_SILENT_SECONDS = 5.0  # beyond patience, for a call that the store has not answered yet: it may only be slow
_PASSING = (StorageUnavailableError, StorageBusyError, StorageIOError, StoreReadOnlyError, StoreOpenError)
"""What somebody can mend while the run waits: a server, a disk, credentials (which are read anew), a mount."""
_LASTING = (StoreVersionError, ForeignStoreError)
"""Of these, what says that another store is there now."""


LOOK_SECONDS = 0.5
"""The time between two looks at what is unanswered."""


@dataclass(slots=True, eq=False)
class Unanswered:
    """A first call to the store, which may hang there: the engine refuses it only when its own patience is over.

    Attributes:
        task: waits for the answer; None when it is not to be given up.
        looks: how often somebody has looked and found no answer. Not a time: while the function blocks the event loop
            or the machine sleeps, no answer can arrive.
        is_given_up: the task was cancelled for that.
    """

    task: asyncio.Task[Any] | None = field(default_factory=asyncio.current_task)
    looks: int = 0
    is_given_up: bool = False

    def look(self, limit: float) -> None:
        """Look once more, and give up what is unanswered for ``limit`` seconds."""
        self.looks += 1
        if self.task is not None and not self.is_given_up and self.looks * LOOK_SECONDS > limit:
            self.is_given_up = True
            self.task.cancel()


class StoreWait:
    """Makes calls of a worker to its store again, for as long as the run is patient.

    Args:
        place: the store, for messages.
        patience: the option of the run; None for what the environment says, or an hour.
        stopping: whether the worker should stop; one that stops in a hurry waits no longer.
        reopen: opens the store again where it has given up writing.
        note: tells whoever watches that the run waits, and that it goes on.

    Attributes:
        seconds: for how long it waits.
        is_spent: patience is over.
        has_been: a call has failed, so the answer to one may have been lost; whoever sees to that takes it back.
    """

    def __init__(
        self,
        place: str,
        patience: float | None,
        stopping: Stopping,
        reopen: Callable[[], Awaitable[None]],
        note: Callable[[str], object],
    ) -> None:
        self.seconds = allowed_seconds(patience, DEFAULT_PATIENCE)
        self.is_spent = False
        self._place = place
        self._unanswered: dict[Unanswered, None] = {}
        self._stopping = stopping
        self._reopen = reopen
        self._note = note
        self.has_been = False
        self._failing = 0
        self._since = 0.0
        self._over = asyncio.Event()  # set while nothing waits
        self._over.set()
        self._woken = asyncio.Event()

    @property
    def is_under_way(self) -> bool:
        """Whether a call waits because the store has refused it; no call of the function starts meanwhile."""
        return self._failing > 0

    @property
    def longest_silence(self) -> float:
        """For how long the first try of a call may stay unanswered, in seconds."""
        return self.seconds + _SILENT_SECONDS

    def look(self) -> None:
        """Give up first tries of calls that have stayed unanswered for too long; called every `LOOK_SECONDS`."""
        for one in list(self._unanswered):
            one.look(self.longest_silence)

    def raise_if_given_up(self, one: Unanswered) -> None:
        """Say that patience is over, where a call was cancelled for that and for nothing else.

        Raises:
            StorageUnavailableError: it was.
        """
        if one.is_given_up and one.task is not None and not one.task.uncancel():
            self.is_spent = True
            raise StorageUnavailableError(self._place, self.longest_silence, "it has not answered") from None

    async def until_over(self) -> None:
        """Wait until nothing waits for the store.

        Raises:
            StoppedError: the worker stops.
        """
        while self._failing:
            stop = asyncio.ensure_future(self._stopping.wanted())
            over = asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait({stop, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stop.cancel()
                over.cancel()
            if self._stopping.is_wanted:
                raise StoppedError

    async def insist(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make a call that may be made twice, again while the store does not take it.

        Raises:
            StorageError: the store refuses it for good, or patience is over.
            StoppedError: the worker stops in a hurry.
        """
        one = Unanswered()
        self._unanswered[one] = None
        try:
            return await call()
        except StorageError as error:
            refusal = error
        except asyncio.CancelledError:
            self.raise_if_given_up(one)
            raise
        finally:
            del self._unanswered[one]
        return await self.again(call, refusal)

    async def again(
        self,
        call: Callable[[], Awaitable[Result]],
        error: StorageError,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> Result:
        """Make a call again that has failed.

        Args:
            call: the call.
            error: why it failed the first time.
            meanwhile: awaited once, when it is certain that there is something to wait for.

        Raises:
            StorageError: the store refuses it for good, or patience is over.
            StoppedError: the worker stops in a hurry.
        """
        if not (is_passing(error) or isinstance(error, StoreDamagedError)):
            raise error
        end = time.monotonic() + self.seconds
        self._begin(error)
        try:
            if meanwhile is not None:
                await meanwhile()
            tries, is_reopened = 0, False
            while time.monotonic() < end:
                if isinstance(error, StoreDamagedError) and not is_reopened:
                    is_reopened = await self._is_reopened()
                elif is_passing(error):
                    is_reopened = False
                else:
                    break
                await self._pause(tries, end)
                tries += 1
                try:
                    return await self._until(end, call)
                except StorageError as another:
                    error = another
            self.is_spent = self.is_spent or is_passing(error)
            raise error
        finally:
            self._end()

    def _begin(self, error: StorageError) -> None:
        self._failing += 1
        self.has_been = True
        if self._failing == 1:
            self._since = time.monotonic()
            self._over.clear()
            logger.warning("the store does not take what a run has to store: %s", error.code)
            if self.seconds:
                longest = timedelta(seconds=round(self.seconds))
                self._note(f"the store takes nothing now, so the run waits for up to {longest}: {error}")

    def _end(self) -> None:
        self._failing -= 1
        # What others wait for may be there as well.
        woken, self._woken = self._woken, asyncio.Event()
        woken.set()
        if not self._failing:
            self._over.set()
            current().waited(time.monotonic() - self._since, "store")
            if self.seconds and not self._stopping.is_hurried and time.monotonic() - self._since < self.seconds:
                self._note(f"the run goes on, after {timedelta(seconds=round(time.monotonic() - self._since))}")

    async def _is_reopened(self) -> bool:
        """Open the store again, where its writer has given up; return False if it cannot be opened now."""
        try:
            await self._reopen()
        except StorageError as error:
            return not is_passing(error)
        return True

    async def _pause(self, tries: int, end: float) -> None:
        longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(tries, 10))
        seconds = min(random.uniform(longest / 2, longest), max(0.0, end - time.monotonic()))  # noqa: S311 (no secret)
        hurried = asyncio.ensure_future(self._stopping.hurried())
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({hurried, woken}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
            woken.cancel()
        if self._stopping.is_hurried:
            raise StoppedError

    async def _until(self, end: float, call: Callable[[], Awaitable[Result]]) -> Result:
        """Make a call, but wait for it no longer than a moment once patience ends or the worker stops in a hurry."""
        made = asyncio.ensure_future(call())
        hurried = asyncio.ensure_future(self._stopping.hurried())
        try:
            left = max(0.0, end - time.monotonic())
            await asyncio.wait({made, hurried}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not made.done():
                await asyncio.wait({made}, timeout=_LAST_SECONDS)
            if made.done():
                return made.result()
            if self._stopping.is_hurried:
                raise StoppedError
            raise StorageUnavailableError(self._place, self.seconds, "it does not answer")
        finally:
            hurried.cancel()
            made.cancel()


def is_passing(error: StorageError) -> bool:
    """Return whether the same call may succeed later."""
    return isinstance(error, _PASSING) and not isinstance(error, _LASTING)

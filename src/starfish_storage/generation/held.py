"""What a worker has paid for and does not know to be stored: in memory, and after a moment also in a spool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, ResultsSpooledError, StorageError
from starfish_storage.generation import paid
from starfish_storage.generation.paid import Paid, PaidOutcome
from starfish_storage.generation.spool import ResultSpool, SpoolPlace
from starfish_storage.generation.waiting import LOOK_SECONDS, Unanswered
from starfish_storage.interface import RunLedger
from starfish_storage.runs import Outcome
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now
from starfish_storage.wording import number_of, results_wait

logger = get_logger(__name__)

Refused = Callable[[Outcome, Exception], Outcome]

_MOST_IN_MEMORY = 64 << 20  # bytes of results that wait; what is beyond is in the spool only
_SPOOLED_AFTER = round(2.0 / LOOK_SECONDS)  # looks: a kill may cost what was handed in within so many
_SHOWN_SECONDS = 3.0  # a call that takes longer is worth a word to who watches


@dataclass(slots=True, eq=False)
class Held(Unanswered):
    """Something that is not known to be stored.

    Attributes:
        paid: what it is; None if it is in the spool only.
        refused: returns the outcome to store in place of one that is not JSON.
        instead: what that has returned, if it had to be found out before the store could refuse the outcome.
        place: where it lies in the spool.
        size: its bytes there.
        began: since when, by the monotonic clock.
        is_counted: its cost is stored, though it is not.
        is_refused: the store has refused it once.
    """

    paid: Paid[Any] | None = None
    refused: Refused | None = None
    instead: Outcome | None = None
    place: SpoolPlace | None = None
    size: int = 0
    began: float = field(default_factory=time.monotonic)
    is_counted: bool = False
    is_refused: bool = False

    @property
    def outcome(self) -> Outcome:
        """The outcome that it is, before it has waited."""
        assert isinstance(self.paid, PaidOutcome)
        return self.paid.outcome

    def replacement(self, error: InvalidInputError) -> Outcome:
        """Return the outcome to store in place of this one, which cannot be stored."""
        assert self.refused is not None
        return self.instead or self.refused(self.outcome, error)

    def line(self) -> bytes:
        """Return it as a line of a spool.

        Raises:
            InvalidDataError: it is not JSON, and nothing makes JSON of it.
        """
        assert self.paid is not None
        try:
            return self.paid.line()
        except InvalidInputError as error:
            if self.refused is None:
                raise
            self.instead = self.replacement(error)
            return PaidOutcome(self.instead).line()


class Awaited(NamedTuple):
    """What waits for the store.

    Attributes:
        results: how many attempts and replies.
        since: when the first of them began to wait (UTC).
    """

    results: int
    since: datetime


class Left(NamedTuple):
    """What is not stored when a worker ends.

    Attributes:
        results: how many attempts and replies are in the spool.
        paths: the files of the spool that holds them.
        lost: how many could not be written down.
    """

    results: int
    paths: list[str]
    lost: int = 0

    def __str__(self) -> str:
        """Return where it waits, for people."""
        lost = f"{number_of(self.lost, 'result')} could not be written down anywhere; the log says why"
        if not self.results:
            return lost
        found = results_wait(self.results, self.paths)
        return f"{found}; {lost}" if self.lost else found

    def error(self, master_job_id: str, reason: BaseException) -> BaseException:
        """Return the error that ends the run: that of the store, and where the results wait that it did not take."""
        if not isinstance(reason, StorageError):
            return reason
        spooled = ResultsSpooledError(master_job_id, str(reason), str(self), self.results, self.paths)
        spooled.__cause__ = reason
        return spooled


class HeldResults:
    """All that a worker has paid for and does not know to be stored, the oldest first.

    What is held for more than two seconds lies in the spool as well, whether the store has refused it or says nothing
    at all: a server that hangs is refused by the engine only after a minute, and a kill within that must cost nothing.

    Args:
        spool: where it waits.
    """

    def __init__(self, spool: ResultSpool) -> None:
        self._spool = spool
        self._all: dict[Held, None] = {}
        self._writing = asyncio.Lock()
        self._has_warned = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    @property
    def awaited(self) -> Awaited | None:
        """What waits for the store, if anything has waited for a while."""
        first = next(iter(self._all), None)
        if first is None:
            return None
        age = time.monotonic() - first.began
        if not first.is_refused and age < _SHOWN_SECONDS:
            return None
        return Awaited(len(self._all), utc_now() - timedelta(seconds=age))

    @property
    def is_late(self) -> bool:
        """Whether the store is known not to take what is held: the oldest of it has been written down."""
        first = next(iter(self._all), None)
        return first is not None and first.place is not None

    def add(self, what: Paid[Any], refused: Refused | None = None) -> Held:
        """Hold something from now on."""
        held = Held(paid=what, refused=refused)
        self._all[held] = None
        return held

    def remove(self, held: Held) -> None:
        """Hold something no longer: it is stored, or refused for good. `look` clears the spool of it."""
        del self._all[held]

    async def look(self, limit: float) -> None:
        """Write down what has been held for a moment, and give up calls that are unanswered for ``limit`` seconds.

        Called every `LOOK_SECONDS`.
        """
        for held in list(self._all):
            held.look(limit)
            if held.looks >= _SPOOLED_AFTER and held.place is None and held in self._all:
                await self._write(held)
        await self._clear()

    async def write_down(self, held: Held) -> None:
        """Write down what the store has refused, and keep it in memory only if there is room."""
        if held.place is None and held.paid is not None:
            await self._write(held)
        if held.place is not None and self._in_memory() > _MOST_IN_MEMORY:
            held.paid = None

    async def read(self, held: Held) -> Paid[Any]:
        """Return what is held, from wherever it is."""
        if held.paid is not None:
            return held.paid
        assert held.place is not None
        return paid.read(decode(await asyncio.to_thread(held.place.file.read, held.place)))

    async def forget_stored(self, ledger: RunLedger) -> None:
        """Forget what is stored after all: by a call whose wait was cancelled, or whose answer was lost.

        Raises:
            StorageError: that could not be found out for all of it.
        """
        for held in list(self._all):
            if held.paid is not None and await held.paid.stored(ledger) is not None:
                del self._all[held]

    async def leave(self) -> Left | None:
        """Write down what is left, at the end of the worker, and return what that is: each that can be written."""
        for held in list(self._all):
            if held.place is None:
                await self._write(held)
        await self._clear()
        if not self._all:
            return None
        written = sum(held.place is not None for held in self._all)
        left = Left(written, self._spool.paths, len(self._all) - written)
        self._spool.close()
        if left.lost:
            logger.error("of what a run has paid for, %s", Left(0, [], left.lost))
        return left

    def _in_memory(self) -> int:
        return sum(held.size for held in self._all if held.paid is not None)

    async def _write(self, held: Held) -> None:
        async with self._writing:
            try:
                line = held.line()
                held.place = await asyncio.to_thread(self._spool.add, line)
            except Exception as error:  # noqa: BLE001 (the others must be written down all the same)
                if not self._has_warned:
                    self._has_warned = True
                    why = error if isinstance(error, StorageError) else type(error).__name__  # the text may quote data
                    logger.warning("what a run has paid for waits in memory only: %s", why)
                return
            held.size, self._has_warned = len(line), False

    async def _clear(self) -> None:
        """Remove the files of the spool in which nothing is left that waits."""
        if not self._spool.paths:
            return
        async with self._writing:  # so that nothing is being added meanwhile
            used = {held.place.file for held in self._all if held.place is not None}
            await asyncio.to_thread(self._spool.keep_only, used)

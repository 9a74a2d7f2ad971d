"""Where everything that a worker has paid for goes to the store, or waits for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starfish_storage.codec import decode
from starfish_storage.errors import InvalidInputError, NotFoundError, ResultsSpooledError, StorageError
from starfish_storage.generation import paid
from starfish_storage.generation.paid import (
    KeptAttempt,
    LateUsage,
    Paid,
    PaidAttempt,
    PaidOutcome,
    PaidOutputs,
    PaidReply,
    PaidUsage,
    StoppedAttempt,
    Stored,
)
from starfish_storage.generation.spending import Spending
from starfish_storage.generation.spool import ResultSpool, SpoolPlace
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.models import utc_now
from starfish_storage.runs import Attempt, Finished, Outcome, Output, Step, Usage
from starfish_storage.wording import number_of, results_wait

logger = logging.getLogger(__name__)

_MOST_IN_MEMORY = 64 << 20  # bytes of results that wait; what is beyond is in the spool only
_MOST_REFUSALS = 2  # of data that is no JSON, and of something else
_SHOWN_SECONDS = 3.0  # a call that takes longer is worth a word to who watches
_LAST_SECONDS = 2.0  # to find out at the end whether something is stored after all


@dataclass(slots=True, eq=False)
class _Held:
    """Something that is not known to be stored.

    Attributes:
        paid: what it is; None if it is in the spool only.
        place: where it lies in the spool.
        began: since when, by the monotonic clock.
        is_counted: its cost is stored, though it is not.
        is_refused: the store has refused it once.
    """

    paid: Paid[Any] | None
    place: SpoolPlace | None = None
    began: float = field(default_factory=time.monotonic)
    is_counted: bool = False
    is_refused: bool = False

    @property
    def outcome(self) -> Outcome:
        """The outcome that it is, before it has waited."""
        assert isinstance(self.paid, PaidOutcome)
        return self.paid.outcome


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
        results: how many attempts and replies.
        paths: the files of the spool that holds them; none if it could not be written.
    """

    results: int
    paths: list[str]

    def __str__(self) -> str:
        """Return where it waits, for people."""
        if not self.paths:
            return f"{number_of(self.results, 'result')} could not be written down anywhere; the log says why"
        return results_wait(self.results, self.paths)

    def error(self, master_job_id: str, reason: BaseException) -> BaseException:
        """Return the error that ends the run: that of the store, and where the results wait that it did not take."""
        if not isinstance(reason, StorageError):
            return reason
        spooled = ResultsSpooledError(master_job_id, str(reason), str(self), self.results, self.paths)
        spooled.__cause__ = reason
        return spooled


class Outbox:
    """Hands what a worker has paid for to the ledger: outcomes, other attempts, replies of steps, late usage.

    Nothing else of a worker stores any of these. What the store does not take waits here, and in a spool: see ADR 0043.

    Args:
        ledger: stores them.
        spending: counts what each has cost, before it is stored.
        waiting: makes calls again.
        spool: where they wait.
    """

    def __init__(self, ledger: RunLedger, spending: Spending, waiting: StoreWait, spool: ResultSpool) -> None:
        self._ledger = ledger
        self._spending = spending
        self._waiting = waiting
        self._spool = spool
        self._spooling = asyncio.Lock()
        self._in_memory = 0
        self._held: dict[_Held, None] = {}
        self._later: set[asyncio.Task[Any]] = set()

    @property
    def awaited(self) -> Awaited | None:
        """What waits for the store, if anything has waited for a while."""
        first = next(iter(self._held), None)
        if first is None:
            return None
        age = time.monotonic() - first.began
        if not first.is_refused and age < _SHOWN_SECONDS:
            return None
        return Awaited(len(self._held), utc_now() - timedelta(seconds=age))

    @property
    def has_left(self) -> bool:
        """Whether something is not known to be stored."""
        return bool(self._held)

    async def ready(self) -> None:
        """Return when a call may start: nothing waits for the store.

        Raises:
            StoppedError: the worker stops.
        """
        if self._waiting.is_under_way:
            await self._waiting.until_over()

    async def insist(self, call: Callable[[], Awaitable[Stored]]) -> Stored:
        """Make a call to the ledger that may be made twice, again while the store does not take it.

        Raises:
            StorageError: the store refuses it for good, or the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        return await self._waiting.insist(call)

    async def finish(
        self, outcome: Outcome, refused: Callable[[Outcome, Exception], Outcome], *, claim_next: bool
    ) -> Finished:
        """Store the outcome of an input, however long that takes.

        Args:
            outcome: the outcome.
            refused: returns the outcome to store instead of one that the store refuses, for example because an output
                is not JSON.
            claim_next: claim the next input in the same step.

        Raises:
            StorageError: as `RunLedger.finish_input`; the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        self._spending.hand_in(outcome.attempt.cost)
        held = self._hold(PaidOutcome(outcome))
        del outcome  # while it waits, it may be in the spool only
        for _ in range(_MOST_REFUSALS):
            try:
                return await self._finish(held, claim_next=claim_next)
            except InvalidInputError as error:
                held = self._hold(PaidOutcome(refused(held.outcome, error)))
        return await self._finish(held, claim_next=claim_next)

    async def save_failed(self, attempt: Attempt, outputs: Sequence[Output] = ()) -> None:
        """Store a failed attempt after which the input is tried again, however long that takes.

        Args:
            attempt: the attempt.
            outputs: what it had made before it failed; JSON.

        Raises:
            StorageError: as `RunLedger.save_attempt`; the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        self._spending.hand_in(attempt.cost)
        kept = PaidOutputs(KeptAttempt(attempt, tuple(outputs))) if outputs else PaidAttempt(attempt)
        await self._store(kept)

    async def save_step(self, step: Step) -> int:
        """Store a reply to a paid step, however long that takes, and also if the caller is cancelled meanwhile.

        Returns its number.

        Raises:
            StorageError: as `RunLedger.save_step`; the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        return await self._store(PaidReply(step))

    async def add_usage(self, job_id: str, number: int, usage: Sequence[Usage]) -> None:
        """Add to a stored attempt what it used while it went on, as a thread that nobody could stop.

        Raises:
            StorageError: as `RunLedger.add_usage`; the patience of the run is over.
            StoppedError: the worker stops while the store does not take it.
        """
        self._spending.hand_in(sum(one.cost for one in usage))
        await self._store(PaidUsage(LateUsage(job_id, number, tuple(usage))))

    async def release(self, attempt: Attempt, outputs: Sequence[Output] = ()) -> None:
        """Store an attempt that was stopped, and give its input back; tried once.

        Args:
            attempt: the attempt.
            outputs: what it had made before; JSON.

        Raises:
            StorageError: as `RunLedger.release_input`.
        """
        self._spending.hand_in(attempt.cost)
        what = PaidOutputs(KeptAttempt(attempt, tuple(outputs), release=True)) if outputs else StoppedAttempt(attempt)
        held = self._hold(what)
        if self._waiting.is_under_way:
            return  # `settle` writes it down
        try:
            await what.store(self._ledger)
        except (InvalidInputError, NotFoundError):
            del self._held[held]
            raise
        del self._held[held]

    async def settle(self) -> Left | None:
        """Write down what is not known to be stored, at the end of the worker; return what that is."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        if not self._held:
            return None
        await self._forget_stored()
        if not self._held:
            await self._remove_spool()
            return None
        async with self._spooling:
            try:
                for held in self._held:
                    if held.place is None and held.paid is not None:
                        held.place = await asyncio.to_thread(self._spool.add, held.paid.line())
            except StorageError as error:
                logger.error("what a run has paid for is lost: %s", error)  # noqa: TRY400 (it says enough)
                return Left(len(self._held), [])
            left = Left(len(self._held), self._spool.paths)
            self._spool.close()
        return left

    # --- parts ----------------------------------------------------------------------------------------------------

    def _hold(self, what: Paid[Any]) -> _Held:
        held = _Held(what)
        self._held[held] = None
        return held

    async def _finish(self, held: _Held, *, claim_next: bool) -> Finished:
        try:
            finished = await self._ledger.finish_input(held.outcome, claim_next=claim_next)
        except (InvalidInputError, NotFoundError):
            del self._held[held]  # refused for good
            raise
        except StorageError as error:
            finished = await self._again(held, error)
        del self._held[held]
        return finished

    async def _store(self, what: Paid[Stored]) -> Stored:
        """Store something; in the background, if the caller is cancelled."""
        held = self._hold(what)
        try:
            stored = await what.store(self._ledger)
        except (InvalidInputError, NotFoundError):
            del self._held[held]
            raise
        except StorageError as error:
            return await asyncio.shield(self._in_background(self._again(held, error), held))
        except asyncio.CancelledError:
            self._in_background(self._keep_trying(held), held)  # the ledger carries out what it was given, or fails
            raise
        del self._held[held]
        return stored

    def _in_background(self, work: Coroutine[Any, Any, Any], held: _Held) -> asyncio.Task[Any]:
        async def done() -> Any:
            stored = await work
            del self._held[held]
            return stored

        task = asyncio.ensure_future(done())
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())  # `settle` sees what is left
        return task

    async def _keep_trying(self, held: _Held) -> Any:
        try:
            return await self._try_again(held)
        except StorageError as error:
            return await self._again(held, error)

    async def _again(self, held: _Held, error: StorageError) -> Any:
        held.is_refused = True
        try:
            stored = await self._waiting.again(lambda: self._try_again(held), error, lambda: self._write_down(held))
        except (InvalidInputError, NotFoundError):
            del self._held[held]
            raise
        if held.place is not None:
            held.place = None
            if all(one.place is None for one in self._held):
                await self._remove_spool()
        return stored

    async def _try_again(self, held: _Held) -> Any:
        what = held.paid
        if what is None and held.place is not None:
            what = paid.read(decode(await asyncio.to_thread(held.place.file.read, held.place)))
        assert what is not None
        stored = await what.stored(self._ledger)
        if stored is not None:
            return stored
        if not held.is_counted:
            await self._count(held, what)
        return await what.store(self._ledger)

    async def _count(self, held: _Held, what: Paid[Any]) -> None:
        """Store what something has cost, whose data may not be taken yet: its outcome will replace that."""
        attempt = what.interrupted()
        try:
            if attempt is not None:
                await self._ledger.save_attempt(attempt)
        except StorageError:
            return
        held.is_counted = True

    async def _write_down(self, held: _Held) -> None:
        """Write what waits into the spool, and keep it in memory only if there is room."""
        if held.paid is None:
            return
        async with self._spooling:
            line = held.paid.line()
            try:
                held.place = await asyncio.to_thread(self._spool.add, line)
            except StorageError as error:
                logger.warning("what a run has paid for waits in memory only: %s", error)
                return
        if self._in_memory + len(line) > _MOST_IN_MEMORY:
            held.paid = None
        else:
            self._in_memory += len(line)

    async def _remove_spool(self) -> None:
        async with self._spooling:
            await asyncio.to_thread(self._spool.remove)
        self._in_memory = 0

    async def _forget_stored(self) -> None:
        """Forget what is stored after all: by a call whose wait was cancelled, or whose answer was lost."""
        for held in list(self._held):
            if held.paid is None:
                continue
            try:
                if await asyncio.wait_for(held.paid.stored(self._ledger), _LAST_SECONDS) is not None:
                    del self._held[held]
            except (StorageError, TimeoutError):
                return  # a spool that holds too much does no harm

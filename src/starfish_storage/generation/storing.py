"""Where everything that a worker has paid for goes to the store, or waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from starfish_storage.errors import InvalidInputError, NotFoundError, StorageError
from starfish_storage.generation.held import Awaited, Held, HeldResults, Left, Refused
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
from starfish_storage.generation.spool import ResultSpool
from starfish_storage.generation.waiting import LOOK_SECONDS, StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.runs import Attempt, Finished, Outcome, Output, Step, Usage
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

_MOST_REFUSALS = 2  # of data that is no JSON, and of something else
_LAST_SECONDS = 2.0  # to find out at the end whether something is stored after all


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
        self._run_id = spool.master_job_id
        self._held = HeldResults(spool)
        self._later: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None

    @property
    def awaited(self) -> Awaited | None:
        """What waits for the store, if anything has waited for a while."""
        return self._held.awaited

    @property
    def has_left(self) -> bool:
        """Whether something is not known to be stored."""
        return len(self._held) > 0

    def begin(self) -> None:
        """Watch from now on for what the store does not answer, until `settle`."""
        self._watching = asyncio.create_task(self._watch())

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

    async def finish(self, outcome: Outcome, refused: Refused, *, claim_next: bool) -> Finished:
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
        held = self._held.add(PaidOutcome(outcome), refused)
        del outcome  # while it waits, it may be in the spool only
        for _ in range(_MOST_REFUSALS):
            try:
                return await self._finish(held, claim_next=claim_next)
            except InvalidInputError as error:
                held = self._held.add(PaidOutcome(held.replacement(error)), refused)
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
        held = self._held.add(what)
        if self._waiting.is_under_way or self._held.is_late:
            return  # `settle` writes it down
        try:
            await what.store(self._ledger)
        except (InvalidInputError, NotFoundError):
            self._held.remove(held)
            raise
        self._held.remove(held)

    async def settle(self, *, is_decided: bool) -> Left | None:
        """Write down what is not known to be stored, at the end of the worker; return what that is.

        Args:
            is_decided: the store has answered a later write, so it takes back nothing that it shows.
        """
        tasks = [*self._later, *([] if self._watching is None else [self._watching])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if is_decided:
            with suppress(StorageError, TimeoutError):  # a spool that holds too much does no harm
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._held.forget_stored(self._ledger)
        return await self._held.leave()

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                self._waiting.look()
                await self._held.look(self._waiting.longest_silence)
            except Exception:  # a mistake in here must not end the watch over what was paid for
                logger.exception("what is held could not be looked at")

    async def _finish(self, held: Held, *, claim_next: bool) -> Finished:
        try:
            budget = self._spending.budget if claim_next else None
            finished = await self._ledger.finish_input(held.outcome, claim_next=claim_next, budget=budget)
        except (InvalidInputError, NotFoundError):
            self._held.remove(held)  # refused for good
            raise
        except StorageError as error:
            finished = await self._again(held, error)
        except asyncio.CancelledError:
            self._waiting.raise_if_given_up(held)
            raise
        self._held.remove(held)
        return finished

    async def _store(self, what: Paid[Stored]) -> Stored:
        """Store something; in the background, if the caller is cancelled."""
        held = self._held.add(what)
        try:
            stored = await what.store(self._ledger)
        except (InvalidInputError, NotFoundError):
            self._held.remove(held)
            raise
        except StorageError as error:
            return await asyncio.shield(self._in_background(self._again(held, error), held))
        except asyncio.CancelledError:
            self._waiting.raise_if_given_up(held)
            self._in_background(self._keep_trying(held), held)  # the ledger carries out what it was given, or fails
            raise
        self._held.remove(held)
        return stored

    def _in_background(self, work: Coroutine[Any, Any, Any], held: Held) -> asyncio.Task[Any]:
        async def done() -> Any:
            stored = await work
            self._held.remove(held)
            return stored

        held.task = None
        task = asyncio.ensure_future(done())
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        task.add_done_callback(lambda task: task.cancelled() or task.exception())  # `settle` sees what is left
        return task

    async def _decided(self) -> None:
        """Return when the store has decided on all that was handed in before, so that it takes back nothing it shows.

        Where the data lies in an object store and the rows in SQLite, a row is there before its object is put.
        """
        await self._ledger.refresh_run(self._run_id, utc_now())

    async def _keep_trying(self, held: Held) -> Any:
        try:
            await self._decided()
            return await self._try_again(held)
        except StorageError as error:
            return await self._again(held, error)

    async def _again(self, held: Held, error: StorageError) -> Any:
        held.is_refused, held.task = True, None
        try:
            return await self._waiting.again(lambda: self._try_again(held), error, lambda: self._held.write_down(held))
        except (InvalidInputError, NotFoundError):
            self._held.remove(held)
            raise

    async def _try_again(self, held: Held) -> Any:
        what = await self._held.read(held)
        stored = await what.stored(self._ledger)
        if stored is not None:
            return stored
        if not held.is_counted:
            await self._count(held, what)
        return await what.store(self._ledger)

    async def _count(self, held: Held, what: Paid[Any]) -> None:
        """Store what something has cost, whose data may not be taken yet: its outcome will replace that."""
        attempt = what.interrupted()
        try:
            if attempt is not None:
                await self._ledger.save_attempt(attempt)
        except StorageError:
            return
        held.is_counted = True

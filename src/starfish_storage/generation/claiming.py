"""The inputs that a worker has claimed and no slot has taken yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from starfish_storage.errors import NotFoundError, ParentNotFoundError
from starfish_storage.generation.ahead import Ahead
from starfish_storage.generation.intake import Intake
from starfish_storage.generation.lease import Heartbeat
from starfish_storage.generation.progress import OPEN
from starfish_storage.generation.spending import Spending
from starfish_storage.generation.stopping import Stopping
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.runs import ClaimedInput
from starfish_storage.times import utc_now

_PATIENT_SECONDS = 0.1
"""For how long a worker that finds no input waits for its own slots, before it has others tell it of inputs."""


class Claims:
    """Gives each slot of a worker the next input, and claims one for every idle slot at a time.

    Args:
        ledger: knows which inputs are pending.
        heartbeat: holds the lease on what is claimed.
        intake: whether more inputs come.
        stopping: whether the worker should stop.
        changed: set when there may be something to claim.
        ahead: knows how many inputs this worker may have in hand: it claims no more.
        waiting: makes calls again that the store did not take.
        spending: knows what the run may cost: no more inputs are claimed than that allows.
        slots: how many slots the worker has.

    Attributes:
        idle: how many slots work on nothing.
    """

    def __init__(
        self,
        ledger: RunLedger,
        heartbeat: Heartbeat,
        intake: Intake,
        stopping: Stopping,
        changed: asyncio.Event,
        ahead: Ahead,
        waiting: StoreWait,
        spending: Spending,
        slots: int,
    ) -> None:
        self._slots = self.idle = slots
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._intake = intake
        self._stopping = stopping
        self._changed = changed
        self._ahead = ahead
        self._waiting = waiting
        self._spending = spending
        self._ready: deque[ClaimedInput] = deque()
        self._claiming = asyncio.Lock()
        self._over = False

    @property
    def in_hand(self) -> int:
        """How many inputs the worker has claimed and not finished."""
        return self._slots - self.idle + len(self._ready)

    @property
    def may_go_on(self) -> bool:
        """Whether a slot that has just finished an input may claim another."""
        return not self._stopping.is_wanted and self.in_hand <= self._ahead.limit

    async def next(self) -> ClaimedInput | None:
        """Return a claimed input; None when no work is left or the run stops.

        Raises:
            NotFoundError: the run was deleted.
            StorageError: the store takes nothing, and the patience of the run is over.
            StoppedError: the worker stops while the store takes nothing.
        """
        is_watched = False
        async with self._claiming, AsyncExitStack() as watching:
            while not (self._stopping.is_wanted or self._over):
                if self._ready:
                    self.idle -= 1
                    return self._ready.popleft()
                self._changed.clear()
                stored = self._intake.is_over  # before the claim: inputs stored after it set `_changed`
                room = min(self.idle, self._ahead.limit - self.in_hand)
                if room > 0 and (stored or not self._intake.comes_first):
                    self._ready.extend(await self._claim(room))
                if not self._ready:
                    await self._give_back_unknown()
                    # With all it may have in hand, the worker need not ask whether there is work left.
                    self._over = stored and (room > 0 or not self.in_hand) and await self._is_over()
                    if self._over:
                        break
                    if is_watched:
                        await self._changed.wait()
                    elif not await self._changes_soon():
                        await watching.enter_async_context(self._watched())
                        is_watched = True
        return None

    async def _claim(self, most: int) -> list[ClaimedInput]:
        """Claim inputs for idle slots, which take them at once."""
        try:
            return await self._waiting.insist(lambda: self._claimed(most))
        except NotFoundError:
            # This process was stopped for so long that others took its worker for dead and released its inputs.
            try:
                await self._waiting.insist(self._heartbeat.renew)
            except ParentNotFoundError as error:
                raise run_deleted(self._heartbeat.worker.master_job_id) from error
            return []

    async def _claimed(self, most: int) -> list[ClaimedInput]:
        worker = self._heartbeat.worker
        budget = self._spending.budget
        return await self._ledger.claim_inputs(worker.master_job_id, worker.worker_id, most, utc_now(), budget)

    async def _is_over(self) -> bool:
        counts = await self._waiting.insist(lambda: self._ledger.count_inputs(self._heartbeat.worker.master_job_id))
        return not any(counts.get(status) for status in OPEN)

    async def _give_back_unknown(self) -> None:
        """Give back what was claimed by a call whose answer was lost, once no slot works on anything."""

        async def begin_anew() -> None:
            await self._ledger.remove_worker(self._heartbeat.worker, utc_now())
            await self._heartbeat.renew()

        if self._waiting.has_been and self.idle == self._slots:
            await self._waiting.insist(begin_anew)
            self._waiting.has_been = False

    @asynccontextmanager
    async def _watched(self) -> AsyncGenerator[None]:
        """Have the store tell of inputs meanwhile."""
        run_id = self._heartbeat.worker.master_job_id
        watching = asyncio.ensure_future(self._ledger.watch_inputs(run_id, self._changed.set))
        watching.add_done_callback(lambda _: self._changed.set())  # the store was closed: the next claim says so
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _changes_soon(self) -> bool:
        """Wait for a moment whether there comes to be something to claim; return whether it may have."""
        try:
            async with asyncio.timeout(_PATIENT_SECONDS):  # `wait_for` of Python 3.11 may lose a cancellation
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


def run_deleted(master_job_id: str) -> NotFoundError:
    """Return the error of a run that somebody deleted while its workers were at work."""
    return NotFoundError("run", master_job_id, "it was deleted while it was under way")


def told(error: BaseException, master_job_id: str) -> BaseException:
    """Return the error that a worker ends with: an input, or an attempt, goes with its run, and never without it."""
    if not isinstance(error, NotFoundError) or error.kind not in ("execution job", "attempt"):
        return error
    deleted = run_deleted(master_job_id)
    deleted.__cause__ = error
    return deleted

"""The inputs that a worker has claimed and nobody has begun yet."""

from __future__ import annotations

import asyncio
from collections import deque

from starfish_storage.errors import NotFoundError, ParentNotFoundError
from starfish_storage.generation.gate import Gate
from starfish_storage.generation.intake import Intake
from starfish_storage.generation.lease import Heartbeat
from starfish_storage.generation.progress import OPEN
from starfish_storage.generation.spending import Spending
from starfish_storage.generation.stopping import Stopping
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import RunLedger
from starfish_storage.runs import ClaimedInput
from starfish_storage.times import utc_now

_POLL_SECONDS = 0.5  # while other workers finish the last inputs


class Claims:
    """Gives each slot of a worker the next input, and claims one for every idle slot at a time.

    Args:
        ledger: knows which inputs are pending.
        heartbeat: holds the lease on what is claimed.
        intake: whether more inputs come.
        stopping: whether the worker should stop.
        changed: set when there may be something to claim.
        gate: knows how many calls this worker may make at a time: it claims no more inputs.
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
        gate: Gate,
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
        self._gate = gate
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
        return not self._stopping.is_wanted and self.in_hand <= self._gate.share

    async def next(self) -> ClaimedInput | None:
        """Return a claimed input; None when no work is left or the run stops.

        Raises:
            NotFoundError: the run was deleted.
            StorageError: the store takes nothing, and the patience of the run is over.
            StoppedError: the worker stops while the store takes nothing.
        """
        async with self._claiming:
            while not (self._stopping.is_wanted or self._over):
                if self._ready:
                    self.idle -= 1
                    return self._ready.popleft()
                self._changed.clear()
                stored = self._intake.is_over  # before the claim: inputs stored after it set `_changed`
                room = min(self.idle, self._gate.share - self.in_hand)
                if room > 0 and (stored or not self._intake.comes_first):
                    self._ready.extend(await self._claim(room))
                if not self._ready:
                    await self._give_back_unknown()
                    self._over = stored and await self._is_over()
                    if self._over:
                        break
                    await self._wait_for_change()
        return None

    async def _claim(self, most: int) -> list[ClaimedInput]:
        """Claim inputs for idle slots, which begin them at once."""
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

    async def _wait_for_change(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), _POLL_SECONDS)
        except TimeoutError:
            pass  # another worker may have changed something


def run_deleted(master_job_id: str) -> NotFoundError:
    """Return the error of a run that somebody deleted while its workers were at work."""
    return NotFoundError("run", master_job_id, "it was deleted while it was under way")

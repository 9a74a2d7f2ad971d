"""A run whose function somebody else calls, as a framework or a program does: what is paid for goes to its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from starfish_storage.errors import StorageError
from starfish_storage.generation.account import AttemptAccount
from starfish_storage.generation.lease import Heartbeat, new_worker
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.replies import StepRules
from starfish_storage.generation.reuse import StoredAnswers
from starfish_storage.generation.spending import Spending
from starfish_storage.generation.spool import ResultSpool
from starfish_storage.generation.spooled import identity
from starfish_storage.generation.stopping import Stopping
from starfish_storage.generation.storing import Outbox
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import Attempt, ClaimedInput, Finished, Outcome, Output, RunState
from starfish_storage.times import utc_now

Result = TypeVar("Result")


class OutsideRun:
    """A run of which this process is a worker, though no `RunWorker` calls its function.

    Args:
        storage: holds the run.
        state: where it stands.
        job: its master job.
        code: returns the identity of the function's code.
        options: how it is called.
        segment: the number of its segment.

    Attributes:
        id: the run.
        storage: holds it.
        ledger: that of the storage.
        checks: turn what the function returns into outputs.
        rules: what the paid steps of all inputs share.
        spending: counts what it has cost.
        outbox: takes what was paid for to the store.
        stop_reason: why it should stop, if somebody asked for that; None otherwise.
    """

    def __init__(
        self,
        storage: Storage,
        state: RunState,
        job: GenerationMasterJob,
        code: Callable[[], str],
        options: Options,
        segment: int,
    ) -> None:
        self.id = job.master_job_id
        self.storage = storage
        self.ledger = storage.ledger
        self.checks = OutputChecks(on_empty="skip")
        self.stop_reason: str | None = None
        self._heartbeat = Heartbeat(self.ledger, new_worker(self.id, segment), options.lease, self._beat)
        stopping = Stopping(self.id, lambda: None)
        waiting = StoreWait(job.storage_uri, options.patience, stopping, storage.setup, lambda _: None)
        self.spending = Spending(None, state.cost)
        self.outbox = Outbox(self.ledger, self.spending, waiting, ResultSpool(identity(job), self.worker_id))
        answers = StoredAnswers(storage, self.id, options.reuse, options.replay)
        self.rules = StepRules(self.ledger, self.outbox, options.reask, code, answers)
        self._writing: set[asyncio.Task[Any]] = set()
        self._is_open = False

    @property
    def worker_id(self) -> str:
        """The worker of this process."""
        return self._heartbeat.worker.worker_id

    @property
    def segment(self) -> int | None:
        """The number of the segment that its attempts are made in."""
        return self._heartbeat.worker.segment

    async def open(self) -> None:
        """Register the worker, and renew its lease from now on."""
        await self._heartbeat.start()
        self.outbox.begin()
        self._is_open = True

    async def renew(self) -> None:
        """Register the worker again, which was taken for dead."""
        await self._heartbeat.renew()

    def account(self, claimed: ClaimedInput) -> AttemptAccount:
        """Return what keeps the usage and the recorded calls of an attempt at an input, the number of which it has."""
        return AttemptAccount(self.rules, claimed, claimed.attempts, self.spending.report)

    # --- what came of inputs --------------------------------------------------------------------------------------

    async def store(self, outcome: Outcome) -> Finished:
        """Store an outcome. It is stored though the caller be cancelled."""
        return await self._in_background(self.outbox.finish(outcome, self._refused, claim_next=False))

    async def save_failed(self, attempt: Attempt) -> None:
        """Store an attempt that failed, after which the function is called again."""
        await self._in_background(self.outbox.save_failed(attempt))

    async def release(self, attempt: Attempt, outputs: Sequence[Output]) -> None:
        """Store an attempt that was stopped."""
        await self._in_background(self.outbox.release(attempt, outputs))

    def _refused(self, outcome: Outcome, error: Exception) -> Outcome:
        """Return the outcome to store in place of one that the store refused: its data is converted into JSON."""
        checked = self.checks.stored_as_json(outcome.outputs)
        if all(new is old for new, old in zip(checked.outputs, outcome.outputs, strict=True)):
            raise error  # it was not the data
        conversions = () if checked.notes is None else checked.notes.conversions()
        return replace(outcome, attempt=replace(outcome.attempt, conversions=conversions), outputs=checked.outputs)

    async def _in_background(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do work to its end: the caller may be cancelled, and the answer is paid for."""
        task = asyncio.ensure_future(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return await asyncio.shield(task)

    # --- its end --------------------------------------------------------------------------------------------------

    async def written(self) -> None:
        """Return when nothing is being stored any more."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    async def close(self) -> None:
        """Forget the worker. Idempotent."""
        if not self._is_open:
            return
        self._is_open = False
        await self._heartbeat.stop()
        try:
            await self.ledger.remove_worker(self._heartbeat.worker, utc_now())
        except StorageError:
            pass  # its lease expires
        finally:
            self._heartbeat.forget()
            await self.outbox.settle(is_decided=True)

    async def _beat(self) -> None:
        state = await self.ledger.refresh_run(self.id, utc_now())
        self.stop_reason = state.stop_reason

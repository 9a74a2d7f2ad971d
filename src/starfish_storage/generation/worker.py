"""A worker of a run: it holds a lease, and its slots take inputs, work on them, and hand the outcomes in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

from starfish_storage.errors import NotFoundError, StorageError
from starfish_storage.generation.ahead import Ahead
from starfish_storage.generation.attempt import Attempts, Settings
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.claiming import Claims, run_deleted, told
from starfish_storage.generation.failures import FAILING, Failures
from starfish_storage.generation.gate import Gate
from starfish_storage.generation.held import Left
from starfish_storage.generation.inputs import Feed
from starfish_storage.generation.intake import Intake
from starfish_storage.generation.lease import Heartbeat, new_worker
from starfish_storage.generation.limiting import CallLimiting
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import LiveCounts, Progress, Reporter
from starfish_storage.generation.replies import StepRules
from starfish_storage.generation.reuse import StoredAnswers
from starfish_storage.generation.sharing import Sharing
from starfish_storage.generation.spending import Spending
from starfish_storage.generation.spool import ResultSpool, RunIdentity
from starfish_storage.generation.stopping import StoppedError, Stopping
from starfish_storage.generation.storing import Outbox
from starfish_storage.generation.threads import to_the_end
from starfish_storage.generation.under_way import under_way
from starfish_storage.generation.waiting import StoreWait
from starfish_storage.interface import Storage
from starfish_storage.runs import ClaimedInput, Outcome, RunState
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.times import utc_now

logger = get_logger(__name__)

_SLOTS_A_CALL = 2  # the gate lets one of them call, while the other stores an outcome or has its next input
_REPORT_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0  # with calls that were cancelled but do not end
_LAST_SECONDS = 2.0  # for a store that does not take what is left


class RunWorker:
    """Carries out the rest of a run, as one of its workers. The ledger knows it as a `runs.Worker`.

    Args:
        storage: holds the run.
        state: where the run stands.
        function: called for each input.
        checks: turn what it returns into outputs.
        options: the options of the run.
        reporter: shows the progress.
        feed: the inputs that are not stored yet; None if all are.
        run: which run it is, for the spool.
        segment: the number of the segment that its attempts are made in.

    Attributes:
        master_job_id, worker_id: ids of the run and of this worker.
        stopping: whether the worker should stop.
        reporter: shows the progress.
        done_before: inputs that were finished when it began.
        kept_before: inputs at which it has failed, and whose earlier outcome stands.
        left: what waits in a spool when it has ended, because the store did not take it; None if nothing does.
        is_store_away: whether the store did not take something when it ended.
    """

    def __init__(
        self,
        storage: Storage,
        state: RunState,
        function: BoundFunction,
        checks: OutputChecks,
        options: Options,
        reporter: Reporter,
        feed: Feed | None,
        run: RunIdentity,
        segment: int | None = None,
    ) -> None:
        self._ledger = storage.ledger
        self._changed = asyncio.Event()
        self.stopping = Stopping(state.master_job_id, self._on_stop)
        self.master_job_id = state.master_job_id
        self._state, self._options, self.reporter = state, options, reporter
        self._waiting = waiting = StoreWait(run.place, options.patience, self.stopping, storage.setup, reporter.note)
        self._intake = Intake(self._ledger, state, feed, self.stopping, self._changed, self._waiting)
        self._worker = new_worker(state.master_job_id, segment)
        self.worker_id = self._worker.worker_id
        self._heartbeat = Heartbeat(self._ledger, self._worker, options.lease, self._beat)
        self._failures = Failures(options.max_failures)
        self._limiting = CallLimiting(self._ledger, state.master_job_id, options, self._waiting)
        self._gate = gate = Gate(options, self.stopping, self._limiting.announce, self._limiting.rate)
        self._ahead = Ahead(lambda: gate.share)
        self._spending = spending = Spending(options.max_cost, state.cost)
        parts = self._ledger, self._heartbeat, self._intake, self.stopping, self._changed, self._ahead
        self._claims = Claims(*parts, waiting, spending, _SLOTS_A_CALL * options.max_concurrency)
        self._sharing = Sharing(
            *(self._ledger, self._heartbeat, options.lease, gate, options.max_concurrency),
            *(lambda: self._claims.in_hand, self._changed, reporter.note, self.stopping.stop_alone),
        )
        self._outbox = Outbox(self._ledger, spending, self._waiting, ResultSpool(run, self._worker.worker_id))
        answers = StoredAnswers(storage, state.master_job_id, options.reuse, options.replay)
        self._settings = self._shared_settings(function, checks, answers)
        self._loop, self._began = asyncio.get_running_loop(), time.monotonic()
        self._is_cancelling = self._has_time = self.is_store_away = False
        self._errors: list[BaseException] = []
        self._counts = LiveCounts(storage, state.master_job_id)
        self.done_before = self.kept_before = 0
        self.left: Left | None = None

    def _shared_settings(self, function: BoundFunction, checks: OutputChecks, answers: StoredAnswers) -> Settings:
        return Settings(
            StepRules(self._ledger, self._outbox, self._options.reask, function.code, answers),
            self._worker,
            function,
            checks,
            self._options,
            self._gate,
            self._failures,
            self.stopping.pause,
            self._note_cost,
            self._outbox,
        )

    async def close(self) -> None:
        """Read no more inputs. Idempotent."""
        await self._intake.close()

    async def run(self) -> None:
        """Work until every input is done or the run stops; then release the unfinished inputs.

        Raises:
            StorageError: the store failed, or an input is bad.
        """
        if self._state.registered:  # of a run that has just been made there is nothing to count
            await self._counts.refresh()
        self.done_before = self._counts.done
        self._stop_at_cost()
        self._outbox.begin()
        try:
            await self._limiting.begin(self._gate)
            await self._heartbeat.start()
            self.reporter.begin(self.progress())
            await self._work()
        finally:
            await to_the_end(self._end())
        if self._errors:
            raise self._errors[0] if self.left is None else self.left.error(self.master_job_id, self._errors[0])
        if self.left is not None and self.stopping.reason != "interrupted":
            self.reporter.note(f"run {self.master_job_id!r} stopped; {self.left}")

    def interrupt(self, again: str) -> None:
        """Stop as a signal asks, and show which calls the run waits for.

        Args:
            again: how to cancel them, for people.
        """
        self.stopping.stop("interrupted")
        calls = self._gate.calls
        if calls:
            those, them = ("1 call", "it") if calls == 1 else (f"{calls:,} calls", "them")
            self.reporter.note(f"waiting for {those} in flight; {again} to cancel {them}")

    def note_stop(self, how: str, again: str) -> None:
        """Say that the run has not come to its end, how far it is, and how it continues.

        Args:
            how: what happened to it, such as ``"was interrupted"``.
            again: what continues it, for people.
        """
        progress = self.progress()
        total = "" if progress.total is None else f" of {progress.total:,}"
        more = again if self.left is None else f"{again}; {self.left}"
        self.reporter.note(f"run {self.master_job_id!r} {how}: {progress.done:,}{total} inputs are done; {more}")

    def progress(self) -> Progress:
        """Return how far the run is."""
        counts, records, awaited = self._counts.inputs, self._counts.records, self._outbox.awaited
        return Progress(
            master_job_id=self.master_job_id,
            total=self._counts.total if self._intake.is_over and counts else self._intake.told,
            done=self._counts.done,
            running=counts.get("running", 0),
            completed=records.get("completed", 0),
            filtered=records.get("filtered", 0),
            duplicate=records.get("duplicate", 0),
            failed=records.get("failed", 0),
            failed_inputs=counts.get("failed", 0),
            done_before=self.done_before,
            cost=self._spending.total,
            seconds=time.monotonic() - self._began,
            most_frequent_failure=self._failures.most_frequent,
            paused_until=self._gate.paused_until,
            pause_reason=self._gate.reason,
            waiting=0 if awaited is None else awaited.results,
            waiting_since=None if awaited is None else awaited.since,
        )

    # --- the work -------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        looked = self._start(self._sharing.look(self._state))  # while the first inputs are stored
        slots = [self._start(self._slot(looked)) for _ in range(self._claims.idle)]
        others = [looked, self._start(self._report())]
        awaited = slots
        if self._intake.is_needed:
            others.append(self._start(self._intake.store_all()))
            if not self._intake.is_endless:
                # Storing the rest takes a moment; then the run can be resumed without its inputs.
                awaited = [*slots, others[-1]]
        working = asyncio.create_task(asyncio.wait(awaited))
        out_of_time = asyncio.create_task(self.stopping.out_of_time(self._options.grace))
        try:
            await asyncio.wait({working, out_of_time}, return_when=asyncio.FIRST_COMPLETED)
            self._has_time = not out_of_time.done()
        except asyncio.CancelledError:
            self.stopping.stop("cancelled")
            raise
        finally:
            await to_the_end(self._cancel((*slots, *others, working, out_of_time)))

    def _start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(self._until_failure(part))

    async def _until_failure(self, part: Coroutine[Any, Any, None]) -> None:
        """Carry out a part of the work; its error ends the run, which raises it."""
        try:
            await part
        except asyncio.CancelledError as error:
            if not self._is_cancelling:  # a function has cancelled its own task, which nobody would notice
                self._fail(RuntimeError("a call was cancelled, but not by the run"), error)
            raise
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not self._loop.is_running():
                raise  # nobody waits any longer
            self._fail(told(error, self.master_job_id))

    async def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and wait for them, but not for ever: a function may ignore it."""
        self._is_cancelling = True
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS)
        if left:
            logger.warning(
                "%d calls were cancelled but do not end; the run abandons them, and their inputs stay pending",
                len(left),
            )

    async def _slot(self, looked: asyncio.Task[None]) -> None:
        await asyncio.wait((looked,))
        claimed: ClaimedInput | None = None
        while True:
            try:
                if claimed is None:
                    claimed = await self._claims.next()
                if claimed is None or self.stopping.is_wanted:
                    return  # the worker releases claimed inputs that were not begun when it ends
                with current().input(self.master_job_id, claimed.job_id):
                    claimed = await self._work_on(claimed)
            except StoppedError:
                return  # while the store took nothing; what was paid for is in the outbox
            if claimed is None:
                self._claims.idle += 1

    async def _work_on(self, claimed: ClaimedInput) -> ClaimedInput | None:
        """Work on an input, and return the next one if storing the outcome also claimed one."""
        attempts = Attempts(self._settings, claimed)
        try:
            outcome = await attempts.outcome()
        except StoppedError as error:
            await to_the_end(attempts.release(error))  # if an attempt was under way: it waited for the store
            return None  # the worker releases the input when it ends
        except BaseException as error:
            await to_the_end(attempts.release(error))
            raise
        self._stop_at_cost()
        is_counted = outcome.error_message is not None
        if is_counted and await self._takes_back(outcome, attempts.raised):
            await self._outbox.release(outcome.attempt, [one for one in outcome.outputs if one.data is not None])
            await attempts.stored(is_kept=True)
            self._changed.set()
            return None
        began, called = time.monotonic(), outcome.attempt.end_time - outcome.attempt.start_time
        # Not protected: the ledger finishes what it was given, even if the wait for it is cancelled. A slot claims its
        # next input itself: with those that others claim, many small groups would be made, and few full ones.
        finishing = self._outbox.finish(outcome, attempts.refused, claim_next=self._claims.may_go_on)
        del outcome  # while it waits for the store, it need not be in memory
        current().finished(finished := await finishing)
        self._ahead.note(called, time.monotonic() - began)
        if not is_counted and (found := attempts.failed_when_stored) is not None:
            await self._takes_back(found, None)
        elif not is_counted:
            self._failures.succeeded()
        self.kept_before += is_counted and finished.status not in (None, "failed")
        await attempts.stored(is_kept=finished.status is not None)
        self._changed.set()
        return finished.claimed

    async def _takes_back(self, outcome: Outcome, error: BaseException | None) -> bool:
        """Note a failure, stop the run if it is one too many, and return whether its input should run again then."""
        stop = self._failures.failed(outcome, error)
        if stop is not None and not self.stopping.is_wanted and (stop.is_certain or await self._is_work_left()):
            self._failures.reason = stop.reason
            self.stopping.stop(stop.reason, patient=True)
            with suppress(StorageError):  # the outcome matters more, and waits for the store
                await self._ledger.request_stop(self.master_job_id, stop.reason)
        return self._failures.takes_back(outcome)

    async def _is_work_left(self) -> bool:
        """Return whether there are inputs that nobody has begun."""
        with suppress(StorageError):
            counts = await self._ledger.count_inputs(self.master_job_id)
            return not self._intake.is_over or counts.get("pending", 0) > 0
        return True  # as nearly always

    # --- stopping -------------------------------------------------------------------------------------------------

    def _on_stop(self) -> None:
        self._changed.set()
        self._gate.wake_all()

    def _stop_for(self, reason: str) -> None:
        """Stop because the ledger says so."""
        is_failing = reason.startswith(FAILING)
        if is_failing and self._failures.reason is None:
            self._failures.reason = reason
        self.stopping.stop(reason, patient=is_failing)

    def _fail(self, error: BaseException, cause: BaseException | None = None) -> None:
        if cause is not None:
            error.__cause__ = cause
        self._errors.append(error)
        self.stopping.stop(type(error).__name__)

    async def _await_paid_calls(self) -> None:
        """Wait for the calls of steps that have outlived their attempts, within the grace; tell of the others."""
        calls, seconds = under_way(self._ledger), self._options.grace if self._has_time else 0
        await calls.wait_and_tell(self.master_job_id, seconds, lambda: self.stopping.is_forced, self.reporter.note)

    async def _end(self) -> None:
        await self._await_paid_calls()
        await self._heartbeat.stop()
        is_away, is_decided = self._outbox.has_left or self._waiting.is_spent, False
        try:
            async with asyncio.timeout(_LAST_SECONDS if is_away else None):
                if self._failures.again:
                    await self._ledger.reset_inputs(self.master_job_id, ["failed"], job_ids=self._failures.again)
                await self._ledger.remove_worker(self._heartbeat.worker, utc_now())
                is_decided = True
                await self._counts.refresh(exactly=True)
        except (StorageError, TimeoutError) as error:
            logger.warning("could not remove worker %s: %s", self._worker.worker_id, type(error).__name__)
            if not is_away:
                self._errors.append(error)  # behind the error that ended the run, if any
        finally:
            self._heartbeat.forget()
            self.left = await self._outbox.settle(is_decided=is_decided)
            self.is_store_away = self.left is not None or not is_decided
            self.reporter.end(self.progress())

    # --- costs and counts -----------------------------------------------------------------------------------------

    def _note_cost(self, cost: float) -> None:
        """Add the cost of a call, and stop at the limit. Any thread may call this."""
        self._spending.report(cost)
        if self._spending.is_over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_at_cost)

    def _stop_at_cost(self) -> None:
        if self._spending.is_over:
            self.stopping.stop(f"max_cost {self._options.max_cost:g} reached", patient=True)

    async def _beat(self) -> None:
        """Refresh the counts, obey stops by others, release dead workers: every second, in the heartbeat's thread."""
        try:
            state = await self._ledger.refresh_run(self.master_job_id, utc_now())
        except NotFoundError:
            self._loop.call_soon_threadsafe(self._fail, run_deleted(self.master_job_id))
            return
        self._spending.compare(state.cost)
        await self._counts.refresh()
        await self._limiting.look()
        await self._sharing.look(state)
        self._ahead.look(self._sharing.living, self._counts.inputs.get("pending", 0))
        if state.stop_reason is not None:
            self._loop.call_soon_threadsafe(self._stop_for, state.stop_reason)
        self._loop.call_soon_threadsafe(self._stop_at_cost)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self.reporter.update(self.progress())

"""The engine of a run: slots that claim inputs, have them worked on, and store what came of each."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from starfish_storage.errors import NotFoundError
from starfish_storage.generation.calling import BoundFunction
from starfish_storage.generation.inputs import Feed
from starfish_storage.generation.lease import Heartbeat, new_worker, release_dead
from starfish_storage.generation.options import Options
from starfish_storage.generation.outcomes import OutputChecks
from starfish_storage.generation.progress import Progress, Reporter
from starfish_storage.generation.work import Settings, StoppedError, Work
from starfish_storage.interface import Storage
from starfish_storage.models import utc_now
from starfish_storage.runs import ClaimedInput, RunState

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5  # while other workers are at the last inputs
_REPORT_SECONDS = 0.2
_ENOUGH_AHEAD = 5_000  # inputs stored and not begun, of a source that may have no end
OPEN = frozenset({"pending", "running"})
"""The statuses of inputs that are not finished."""


class Engine:
    """Carries out what is left of a run, as one of its workers.

    Args:
        storage: where the run is.
        state: where it stands.
        function: what is called for each input.
        checks: what is done with what it returns.
        options: how.
        reporter: shows the progress.
    """

    def __init__(
        self,
        storage: Storage,
        state: RunState,
        function: BoundFunction,
        checks: OutputChecks,
        options: Options,
        reporter: Reporter,
    ) -> None:
        self._storage = storage
        self._ledger = storage.ledger
        self._state = state
        self._options = options
        self._reporter = reporter
        self._total: int | None = None
        self._worker = new_worker(state.master_job_id, options.lease)
        self._heartbeat = Heartbeat(self._ledger, self._worker, options.lease, self._beat)
        self._settings = Settings(
            self._ledger,
            self._worker.worker_id,
            function,
            checks,
            options,
            self._pause,
            self._note_cost,
            self._note_stored,
        )
        self._loop = asyncio.get_running_loop()
        self._ready: deque[ClaimedInput] = deque()
        self._claiming = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._forced = asyncio.Event()
        self._slots: list[asyncio.Task[None]] = []
        self._idle = 0
        self._fed = True
        self._errors: list[BaseException] = []
        self._spent_elsewhere = state.cost
        self._logged = self._stored = 0.0
        self._began = time.monotonic()
        self._counts: dict[str, int] = {}
        self._records: dict[str, int] = {}
        self.done_before = 0
        self.stop_reason: str | None = None

    async def run(self, feed: Feed | None) -> None:
        """Work until every input is done, or the run is stopped; then give back what is unfinished.

        Args:
            feed: stores the inputs ahead of the work; None if they are stored.

        Raises:
            StorageError: the store failed, or an input is bad.
        """
        await release_dead(self._ledger, self._state.master_job_id)
        await self._look()
        self.done_before = self._done()
        self._stop_at_cost()
        await self._heartbeat.start()
        self._fed = feed is None
        self._total = None if feed is None else feed.length
        self._reporter.begin(self.progress())
        try:
            await self._work(feed)
        finally:
            await asyncio.shield(self._end())
        if self._errors:
            raise self._errors[0]

    def stop(self, reason: str, *, patient: bool = False) -> None:
        """Start nothing new. Idempotent: the first reason stays.

        Args:
            reason: why.
            patient: what is in flight may end, however long it takes; otherwise within its grace.
        """
        if self.stop_reason is None:
            self.stop_reason = reason
            self._stopping.set()
            self._changed.set()
        if not patient:
            self._hurrying.set()

    def force(self) -> None:
        """Cancel what is in flight."""
        self.stop("interrupted")
        self._forced.set()

    def wake(self) -> None:
        """Look again for inputs."""
        self._changed.set()

    async def make_room(self) -> None:
        """Wait while many inputs are pending that nobody has come to yet."""
        while not self._stopping.is_set():
            counts = await self._ledger.count_inputs(self._state.master_job_id)
            if counts.get("pending", 0) < _ENOUGH_AHEAD:
                return
            await asyncio.sleep(_POLL_SECONDS)

    def progress(self) -> Progress:
        """Return how far the run is."""
        counts, records = self._counts, self._records
        stored = sum(counts.values())
        return Progress(
            master_job_id=self._state.master_job_id,
            total=stored if self._fed else self._total,
            done=self._done(),
            running=counts.get("running", 0),
            completed=records.get("completed", 0),
            filtered=records.get("filtered", 0),
            duplicate=records.get("duplicate", 0),
            failed=records.get("failed", 0),
            failed_inputs=counts.get("failed", 0),
            done_before=self.done_before,
            cost=self._cost(),
            seconds=time.monotonic() - self._began,
        )

    # --- the work -------------------------------------------------------------------------------------------------

    async def _work(self, feed: Feed | None) -> None:
        if feed is not None:
            feed.connect(self.wake, self.make_room)
        feeding = None if feed is None else asyncio.create_task(self._feeding(feed))
        self._slots = [asyncio.create_task(self._slot()) for _ in range(self._options.max_concurrency)]
        watching = asyncio.create_task(self._watch())
        reporting = asyncio.create_task(self._report())
        try:
            await asyncio.wait(self._slots)
        except asyncio.CancelledError:
            self.stop("cancelled")
            raise
        finally:
            others = [task for task in (feeding, watching, reporting) if task is not None]
            for task in (*self._slots, *others):
                task.cancel()
            await asyncio.gather(*self._slots, *others, return_exceptions=True)

    async def _feeding(self, feed: Feed) -> None:
        try:
            await feed.run()
        except Exception as error:  # noqa: BLE001 (raised when the work has ended)
            self._fail(error)
        finally:
            self._fed = True
            self._changed.set()

    async def _slot(self) -> None:
        claimed: ClaimedInput | None = None
        try:
            while True:
                claimed = claimed or await self._next()
                if claimed is None:
                    return
                claimed = await self._work_on(claimed)
        except Exception as error:  # noqa: BLE001 (raised when the work has ended)
            self._fail(error)

    async def _work_on(self, claimed: ClaimedInput) -> ClaimedInput | None:
        """Work on an input, and return the next one, if one was claimed with the storing of this."""
        work = Work(self._settings, claimed)
        try:
            outcome = await work.outcome()
        except StoppedError:
            return None  # given back when the worker ends
        except asyncio.CancelledError:
            await asyncio.shield(work.release())
            raise
        self._stop_at_cost()
        # Not shielded: what was handed in is carried out, also when the wait for it is cancelled.
        go_on = not self._stopping.is_set() and not self._ready
        finished = await self._ledger.finish_input(outcome, claim_next=go_on)
        self._note_stored(outcome.attempt.cost)
        return finished.claimed

    async def _next(self) -> ClaimedInput | None:
        """Return a claimed input; None when there is nothing left to do, or the run is stopped."""
        self._idle += 1
        try:
            async with self._claiming:
                while not self._stopping.is_set():
                    if self._ready:
                        return self._ready.popleft()
                    self._changed.clear()
                    fed = self._fed  # before the look: what is stored after it is announced
                    self._ready.extend(await self._claim(self._idle))
                    if not self._ready:
                        if fed and await self._is_over():
                            return None
                        await self._wait_for_change()
            return None
        finally:
            self._idle -= 1

    async def _claim(self, most: int) -> list[ClaimedInput]:
        """Claim an input for every idle slot: each is begun at once."""
        worker = self._worker
        try:
            return await self._ledger.claim_inputs(worker.master_job_id, worker.worker_id, most, utc_now())
        except NotFoundError:
            # This process was stopped for so long that its worker was taken for dead, and its inputs were given away.
            await self._heartbeat.renew()
            return []

    async def _is_over(self) -> bool:
        counts = await self._ledger.count_inputs(self._state.master_job_id)
        return not any(counts.get(status) for status in OPEN)

    async def _wait_for_change(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), _POLL_SECONDS)
        except TimeoutError:
            pass  # another worker may have changed something

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt at an input."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError

    # --- stopping -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Cancel what is in flight once that is wanted, or the grace is over."""
        await self._hurrying.wait()
        try:
            await asyncio.wait_for(self._forced.wait(), self._options.grace)
        except TimeoutError:
            logger.warning("calls still in flight after %g s of grace are cancelled", self._options.grace)
        for slot in self._slots:
            slot.cancel()

    def _fail(self, error: BaseException) -> None:
        self._errors.append(error)
        self.stop(f"{type(error).__name__}")

    async def _end(self) -> None:
        await self._heartbeat.stop()
        try:
            await self._ledger.remove_worker(self._heartbeat.worker, utc_now())
            await self._look()
        finally:
            self._reporter.end(self.progress())

    # --- costs and counts -----------------------------------------------------------------------------------------

    def _note_cost(self, cost: float) -> None:
        self._logged += cost

    def _note_stored(self, cost: float) -> None:
        self._stored += cost
        self._changed.set()

    def _cost(self) -> float:
        return self._spent_elsewhere + self._logged

    def _stop_at_cost(self) -> None:
        limit = self._options.max_cost
        if limit is not None and self._cost() >= limit:
            self.stop(f"max_cost {limit:g} reached", patient=True)

    async def _beat(self) -> None:
        """Called every second, in the heartbeat's thread: the live counts, the wishes of others, and the dead."""
        stored = self._stored
        state = await self._ledger.refresh_run(self._state.master_job_id, utc_now())
        self._spent_elsewhere = max(0.0, state.cost - stored)
        await self._look()
        if await release_dead(self._ledger, self._state.master_job_id):
            self._loop.call_soon_threadsafe(self.wake)
        if state.stop_reason is not None:
            self._loop.call_soon_threadsafe(self.stop, state.stop_reason)
        self._loop.call_soon_threadsafe(self._stop_at_cost)

    async def _look(self) -> None:
        master_job_id = self._state.master_job_id
        self._counts = await self._ledger.count_inputs(master_job_id)
        self._records = await self._storage.count_records_for_master_job(master_job_id)

    def _done(self) -> int:
        return sum(number for status, number in self._counts.items() if status not in OPEN)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._reporter.update(self.progress())

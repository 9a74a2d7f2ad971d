"""What is asked of workers from outside: to rest, before an upgrade say; to stop; and how to share limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starfish_storage.errors import InvalidInputError, NotFoundError, shorten
from starfish_storage.generation.lease import is_dead
from starfish_storage.interface import Storage
from starfish_storage.runs import Worker, WorkingWorker, this_actor
from starfish_storage.user_modules import refuse_in_import

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain stands.

    Attributes:
        since: since when no input is claimed (UTC).
        working: the workers that are alive and still have inputs; none: all are at rest.
    """

    since: datetime
    working: Sequence[WorkingWorker]

    @property
    def is_done(self) -> bool:
        """Whether nobody is at an input any more."""
        return not self.working


async def drain(
    storage: Storage,
    master_job_id: str | None = None,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 (not a limit of one await: the drain stands when it is over)
    look: Callable[[Drained], object] | None = None,
) -> Drained:
    """Have no input claimed any more, and wait until no worker is at one. Workers stay alive and claim nothing.

    `end_drain` and a migration end it; until then it also stands where this call has timed out or was cancelled.

    Args:
        storage: the store, set up.
        master_job_id: the run; None for all runs of the store, those that are made later too.
        timeout: for how long to wait at most, in seconds; None: as long as it takes.
        look: called with how it stands, at first and whenever that has changed.

    Raises:
        NotFoundError: there is no such run.
        InvalidInputError: the timeout is negative.
    """
    refuse_in_import("calls drain()")
    if timeout is not None and not timeout >= 0:
        raise InvalidInputError(f"timeout {timeout} cannot be used: give 0 seconds or more.")
    since = await storage.ledger.begin_drain(master_job_id)
    end = None if timeout is None else time.monotonic() + timeout
    before: Drained | None = None
    while True:
        now = await storage.ledger.now()
        working = await storage.ledger.list_working(master_job_id)
        stands = Drained(since, [one for one in working if not is_dead(one.worker, now)])
        if look is not None and stands != before:
            look(stands)
        before = stands
        left = None if end is None else end - time.monotonic()
        if stands.is_done or (left is not None and left <= 0):
            return stands
        await asyncio.sleep(_LOOK_SECONDS if left is None else min(left, _LOOK_SECONDS))  # workers tell nobody


async def stop_worker(storage: Storage, worker_id: str, reason: str | None = None) -> Worker:
    """Ask one worker to stop: it claims nothing more, finishes and stores what it has under way, and ends.

    It sees that within about a second. Other workers of its run go on; if it is the last one, the run is ``cancelled``
    and can be resumed.

    Args:
        storage: the store, set up.
        worker_id: the worker, or the beginning of its id.
        reason: why; None: who asks.

    Raises:
        NotFoundError: there is no such worker, or it has ended.
        InvalidInputError: several workers have ids that begin so.
    """
    refuse_in_import("calls stop_worker()")
    ledger = storage.ledger
    now, workers = await ledger.now(), [one.worker for one in await ledger.list_all_workers()]
    meant = [one for one in workers if worker_id and one.worker_id.startswith(worker_id)]
    meant = [one for one in meant if one.worker_id == worker_id] or meant
    if len(meant) > 1:
        raise InvalidInputError(f"{len(meant)} workers have ids that begin with {shorten(worker_id)}: give more of it.")
    if not meant:
        raise NotFoundError("worker", worker_id, "it has ended, or there never was one; 'show RUN' lists those at work")
    (worker,) = meant
    if is_dead(worker, now):
        raise NotFoundError("worker", worker.worker_id, "it has died; other workers and 'resume' take over its inputs")
    return await ledger.stop_worker(worker.worker_id, reason or f"stopped by {this_actor()}")


async def set_priority(storage: Storage, master_job_id: str, priority: int) -> int:
    """Set the weight of a run's share in limits that runs share, also while it is under way; return what it was.

    While several runs use one limit, each gets a share by its priority: a run of priority 3 makes three calls where one
    of priority 1 makes one. What a run does not use goes to the others.

    Args:
        storage: the store, set up.
        master_job_id: the run.
        priority: from 1, the usual one, to 1000.

    Raises:
        NotFoundError: there is no such run.
        InvalidInputError: the priority cannot be used.
    """
    refuse_in_import("calls set_priority()")
    return await storage.ledger.set_priority(master_job_id, priority)


async def end_drain(storage: Storage, master_job_id: str | None = None) -> None:
    """Have inputs claimed again; workers that are alive go on within a second. Idempotent.

    Args:
        storage: the store, set up.
        master_job_id: the run; None for every drain of the store and of its runs.
    """
    refuse_in_import("calls end_drain()")
    await storage.ledger.end_drain(master_job_id)

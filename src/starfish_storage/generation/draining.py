"""Bringing the workers of a store to rest, before an upgrade say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starfish_storage.errors import InvalidInputError
from starfish_storage.generation.lease import is_dead
from starfish_storage.interface import Storage
from starfish_storage.runs.drains import WorkingWorker
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


async def end_drain(storage: Storage, master_job_id: str | None = None) -> None:
    """Have inputs claimed again; workers that are alive go on within a second. Idempotent.

    Args:
        storage: the store, set up.
        master_job_id: the run; None for every drain of the store and of its runs.
    """
    refuse_in_import("calls end_drain()")
    await storage.ledger.end_drain(master_job_id)

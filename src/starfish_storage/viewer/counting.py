"""The numbers of runs that take long to count, each counted when it may have changed and never while a page waits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from starfish_storage.interface import Storage, StoreSize
from starfish_storage.runs import CallCounts, ErrorGroup, RunProgress, StepTotal, Timeline, TimelineOf
from starfish_storage.viewer.gathering import Gathered, Gathering, WaitingTime

Value = TypeVar("Value")

_RECENT = 200  # records that tell how fast a run goes now
_LONGEST_WALK = 5.0  # seconds in which the data of a store is looked at
_SIZE_STAYS = 60.0  # seconds
_LEVELS = 24  # of a small picture


@dataclass(frozen=True, slots=True)
class CountedRun:
    """A run and what is known of it by now.

    Attributes:
        progress: how far it is; without its inputs, if they are being counted for the first time.
        knows_inputs: whether it has them.
        rate: inputs a second, of late; None if that is not known, or it has ended.
        levels: how many records it began in each of equal spans of time; None while that is counted for the first time.
    """

    progress: RunProgress
    knows_inputs: bool
    rate: float | None = None
    levels: Sequence[float] | None = None

    @property
    def left(self) -> timedelta | None:
        """How long it takes at this rate."""
        return self.progress.time_left(self.rate) if self.knows_inputs else None


class RunNumbers:
    """Counts what is shown of runs.

    Args:
        storage: the store.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._gathering = Gathering()

    async def counted(self, progress: RunProgress, patience: WaitingTime, *, with_levels: bool = False) -> CountedRun:
        """Count the inputs of a run, its rate if it goes on, and its records over time."""
        run, ledger = progress.job.master_job_id, self._storage.ledger
        inputs = await self._get("inputs", progress, lambda: ledger.count_inputs(run), patience)
        rate = None
        if not progress.is_over:
            rate = await self._get("rate", progress, lambda: _rate(self._storage, run), patience)
        found = await self.timeline(progress, "records", patience, buckets=_LEVELS) if with_levels else None
        return CountedRun(
            progress if inputs is None else replace(progress, inputs=inputs.value),
            inputs is not None,
            None if rate is None else rate.value,
            None if found is None else found.value.levels(_LEVELS),
        )

    async def timeline(
        self, progress: RunProgress, of: TimelineOf, patience: WaitingTime, *, buckets: int = 120
    ) -> Gathered[Timeline] | None:
        """Count what a run did over time."""
        run = progress.job.master_job_id
        count = self._storage.ledger.get_timeline
        return await self._get(f"{of} in {buckets}", progress, lambda: count(run, of=of, buckets=buckets), patience)

    async def errors(self, progress: RunProgress, patience: WaitingTime) -> Gathered[list[ErrorGroup]] | None:
        """Group the failures of a run by kind."""
        run = progress.job.master_job_id
        return await self._get("errors", progress, lambda: self._storage.ledger.list_errors(run), patience)

    async def steps(self, progress: RunProgress, patience: WaitingTime) -> Gathered[list[StepTotal]] | None:
        """Add up the paid steps of a run."""
        run = progress.job.master_job_id
        return await self._get("steps", progress, lambda: self._storage.ledger.count_steps(run), patience)

    async def calls(self, progress: RunProgress, patience: WaitingTime) -> Gathered[CallCounts] | None:
        """Add up the requests of a run."""
        run = progress.job.master_job_id
        return await self._get("calls", progress, lambda: self._storage.ledger.count_calls(run), patience)

    async def size(self, patience: WaitingTime) -> Gathered[StoreSize] | None:
        """Measure the store; None while it is measured. `StorageError` if its data cannot be reached."""
        version = time.monotonic() // _SIZE_STAYS
        measure = self._storage.measure_size
        return await self._gathering.get("size", version, lambda: measure(seconds=_LONGEST_WALK), patience)

    async def _get(
        self, what: str, progress: RunProgress, count: Callable[[], Awaitable[Value]], patience: WaitingTime
    ) -> Gathered[Value] | None:
        return await self._gathering.get((what, progress.job.master_job_id), _version(progress), count, patience)


def _version(progress: RunProgress) -> Hashable:
    """Return what changes whenever the numbers of a run may have changed."""
    job = progress.job
    changed = (job.creation_time, job.last_update_time, job.status, progress.state, *sorted(progress.records.items()))
    return changed if progress.is_over else (*changed, int(time.monotonic()))


async def _rate(storage: Storage, master_job_id: str) -> float | None:
    """Return how many inputs end in a second, of the newest records: a run that was resumed stood still before."""
    newest = await storage.get_records_for_master_job(master_job_id, limit=_RECENT)
    ends = sorted(one.end_time for one in newest)
    inputs = len({one.job_id for one in newest})
    seconds = (ends[-1] - ends[0]).total_seconds() if ends else 0
    return (inputs - 1) / seconds if seconds > 0 and inputs > 1 else None

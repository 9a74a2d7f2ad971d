"""How far a run is: counts, money, and how fast it goes now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from starfish_storage.interface import Storage
from starfish_storage.models import GenerationMasterJob
from starfish_storage.runs import RunState

_UNFINISHED = ("pending", "running")
_RECENT = 200  # records that tell how fast a run goes now


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run at a moment.

    Attributes:
        job: the master job.
        state: what its ledger says; None if it has none, as of a pipeline that logs by itself.
        records: how many records are in each status.
        inputs: how many inputs are in each status.
        rate: inputs a second, of late; None if that is not known.
    """

    job: GenerationMasterJob
    state: RunState | None
    records: Mapping[str, int]
    inputs: Mapping[str, int]
    rate: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.job.status not in _UNFINISHED

    @property
    def done(self) -> int:
        """How many inputs have ended; of a run without a ledger, how many records were kept."""
        if self.state is None:
            return self.records.get("completed", 0)
        return sum(count for status, count in self.inputs.items() if status not in _UNFINISHED)

    @property
    def total(self) -> int | None:
        """How many there are to do; None while that is not known."""
        if self.state is not None and not self.state.inputs_complete:
            return None
        return self.job.target_record_count or None

    @property
    def left(self) -> timedelta | None:
        """How long it takes at this rate."""
        if self.total is None or not self.rate or self.is_over:
            return None
        return timedelta(seconds=max(0, self.total - self.done) / self.rate)

    @property
    def forecast(self) -> float | None:
        """What it costs in the end, if the rest costs as much as what is done."""
        if self.state is None or self.total is None or not self.done or self.is_over:
            return None
        return self.state.cost / self.done * max(self.total, self.done)


async def progress_of(storage: Storage, job: GenerationMasterJob, *, with_rate: bool) -> RunProgress:
    """Look at a run."""
    run = job.master_job_id
    state = await storage.ledger.get_run(run)
    return RunProgress(
        job,
        state,
        await storage.count_records_for_master_job(run),
        {} if state is None else await storage.ledger.count_inputs(run),
        await _rate(storage, run) if with_rate and job.status in _UNFINISHED else None,
    )


async def _rate(storage: Storage, master_job_id: str) -> float | None:
    """Return how many inputs end in a second, of the newest records: a run that was resumed stood still before."""
    newest = await storage.get_records_for_master_job(master_job_id, limit=_RECENT)
    ends = sorted(one.end_time for one in newest)
    inputs = len({one.job_id for one in newest})
    seconds = (ends[-1] - ends[0]).total_seconds() if ends else 0
    return (inputs - 1) / seconds if seconds > 0 and inputs > 1 else None

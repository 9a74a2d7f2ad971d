"""How far a run is. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from starfish_storage.runs.inputs import RunState

if TYPE_CHECKING:
    from starfish_storage.models import GenerationMasterJob

UNFINISHED = ("pending", "running")
"""Statuses of runs and inputs that have not ended."""

_NOT_DONE = (*UNFINISHED, "cancelled")  # those that were cancelled are not among the inputs any more


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run at a moment.

    Attributes:
        job: the master job.
        state: what its ledger says; None if it has none, as of a pipeline that logs by itself.
        records: how many records are in each status; the master job's own counts are a little behind while it runs.
        inputs: how many inputs are in each status; empty if that was not counted.
    """

    job: GenerationMasterJob
    state: RunState | None
    records: Mapping[str, int]
    inputs: Mapping[str, int]

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.job.status not in UNFINISHED

    @property
    def done(self) -> int:
        """How many inputs have ended; of a run without a ledger, how many records were kept."""
        if self.state is None:
            return self.records.get("completed", 0)
        return sum(count for status, count in self.inputs.items() if status not in _NOT_DONE)

    @property
    def total(self) -> int | None:
        """How many there are to do; None while that is not known."""
        if self.state is not None and not self.state.inputs_complete:
            return None
        return self.job.target_record_count or None

    @property
    def stop_reason(self) -> str | None:
        """Why somebody asked its workers to stop, if that is how it ended or is about to."""
        if self.state is None or (self.is_over and self.job.status != "cancelled"):
            return None
        return self.state.stop_reason

    @property
    def forecast(self) -> float | None:
        """What it costs in the end, if the rest costs as much as what is done; None while that is not known."""
        if self.state is None or self.total is None or not self.done or self.is_over:
            return None
        return self.state.cost / self.done * max(self.total, self.done)

    def paused_at(self, time: datetime) -> datetime | None:
        """Return when its calls go on after a limit of the provider; None if they are not paused at that time."""
        until = None if self.state is None or self.is_over else self.state.paused_until
        return until if until is not None and until > time else None

    def time_left(self, rate: float | None) -> timedelta | None:
        """Return how long it takes at so many inputs a second; None if that is not known, or it has ended."""
        if self.total is None or not rate or self.is_over:
            return None
        return timedelta(seconds=max(0, self.total - self.done) / rate)

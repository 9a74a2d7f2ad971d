"""What workers ask of the store beside storing outcomes, as changes that share a group with others."""

from __future__ import annotations

from dataclasses import dataclass, field

from starfish_storage.interface.rows import ClaimedInputRow
from starfish_storage.metadata.ledger_writer import claim_inputs, refresh_run
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs import Budget


@dataclass(slots=True, eq=False, repr=False)
class Claiming:
    """The claim of inputs that a worker asks for; `apply` may be called again after it was taken back.

    Attributes:
        master_job_id: the run.
        worker_id: the worker.
        limit: how many inputs at most.
        now: the time.
        budget: what the run may cost.
        claimed: the rows of what was claimed.
    """

    master_job_id: str
    worker_id: str
    limit: int
    now: str
    budget: Budget | None
    claimed: list[ClaimedInputRow] = field(default_factory=list[ClaimedInputRow])

    def apply(self, writer: RowWriter) -> None:
        """Claim them."""
        self.claimed = claim_inputs(writer, self.master_job_id, self.worker_id, self.limit, self.now, self.budget)


@dataclass(slots=True, eq=False, repr=False)
class Refreshing:
    """Bringing the record counts of a run up to date.

    Attributes:
        master_job_id: the run.
        now: the time.
        run: the row of the run; None if the group was written at once.
    """

    master_job_id: str
    now: str
    run: Row | None = None

    def apply(self, writer: RowWriter) -> None:
        """Bring them up to date."""
        self.run = refresh_run(writer, self.master_job_id, self.now)

"""The contract of a run's ledger: its inputs and who works on them, and the run as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfish_storage.interface.actions import ActionLedger
from starfish_storage.interface.attempts import AttemptLedger
from starfish_storage.interface.calls import CallLedger
from starfish_storage.interface.comparing import ComparisonLedger
from starfish_storage.interface.control import ControlLedger
from starfish_storage.interface.drains import DrainLedger
from starfish_storage.interface.limits import LimitLedger
from starfish_storage.interface.outcomes import OutcomeLedger
from starfish_storage.interface.progress import ProgressLedger
from starfish_storage.interface.verifications import VerificationLedger
from starfish_storage.interface.waking import WakingLedger
from starfish_storage.runs import Budget, ClaimedInput, ErrorGroup, RunInput, RunState, Segment, StoredInput, Worker

if TYPE_CHECKING:
    from starfish_storage.models import Record


class InputLedger(ABC):
    """The inputs of a run, and the claims of workers on them.

    A run is a master job. Each input is an execution job of it, ``pending`` until a worker claims it and ``running``
    while one holds it. A claim holds as long as its worker's lease.
    """

    @abstractmethod
    async def start_run(self, master_job_id: str) -> None:
        """Make a master job a run. Idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such master job.
        """

    @abstractmethod
    async def get_run(self, master_job_id: str) -> RunState | None:
        """Return where a run stands, or None if the master job is not a run, or does not exist.

        Raises nothing of its own.
        """

    @abstractmethod
    def check_input(self, given: RunInput) -> None:
        """Raise if `register_inputs` would refuse an input. Changes nothing: no I/O. Idempotent. Not durable.

        Raises:
            InvalidDataError: the input is not a JSON object.
            InvalidInputError: it holds a secret that would not be stored.
        """

    @abstractmethod
    async def register_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> int:
        """Store inputs as pending execution jobs, unless they are there; return how many are new. Durable.

        All or none of them. Idempotent: the id of an execution job follows from the run, the position and the input.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidDataError: an input is not a JSON object.
            InvalidInputError: an input is refused, for example because it holds a secret.
        """

    @abstractmethod
    async def unregistered_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> list[int]:
        """Return the positions of the given inputs that are not stored, or were cancelled. Changes nothing.

        Raises:
            InvalidDataError: an input is not a JSON object.
            InvalidInputError: an input is refused, as in `register_inputs`.
        """

    @abstractmethod
    async def complete_inputs(self, master_job_id: str) -> int:
        """Note that there are no more inputs, and set the run's target to their number, which is returned. Durable.

        Inputs that were cancelled do not count. Idempotent.

        Raises:
            ParentNotFoundError: there is no such run.
        """

    @abstractmethod
    async def reopen_inputs(self, master_job_id: str) -> None:
        """Note that there may be more inputs after all. Idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such run.
        """

    @abstractmethod
    async def list_inputs(
        self, master_job_id: str, *, first: int = 0, after: StoredInput | None = None, limit: int
    ) -> list[StoredInput]:
        """Return inputs of a run by position. Changes nothing. Raises nothing of its own.

        Args:
            master_job_id: the run.
            first: the position from which on.
            after: the last input of the page before, in place of ``first``.
            limit: how many at most.
        """

    @abstractmethod
    async def append_inputs(self, master_job_id: str, inputs: Sequence[RunInput], registered: int) -> bool:
        """Store inputs as `register_inputs` does, unless others were stored since; return whether that was done.

        So of processes that append the same inputs, one does. Durable. Not idempotent.

        Args:
            master_job_id: the run.
            inputs: the inputs, at positions from ``registered`` on.
            registered: what `RunState.registered` was.

        Raises as `register_inputs`.
        """

    @abstractmethod
    async def cancel_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """Mark inputs that are gone from the list of the run, and their records, as ``cancelled``; return how many.

        All or none of them. What they were stands in their error messages, and data and versions stay. Inputs that are
        running stay as they are, and so do cancelled ones. Idempotent. Durable.

        Raises:
            NotFoundError: there is no such input.
            InvalidInputError: it belongs to another run.
        """

    @abstractmethod
    async def restore_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """Take `cancel_inputs` back; return how many inputs are no longer cancelled.

        A completed output whose unique key another one has by now becomes a ``duplicate``. Idempotent. Durable.

        Raises as `cancel_inputs`.
        """

    @abstractmethod
    async def count_inputs(self, master_job_id: str) -> dict[str, int]:
        """Return how many inputs are in each status that occurs. Every execution job of a run counts as one.

        Raises nothing of its own.
        """

    @abstractmethod
    async def now(self) -> datetime:
        """Return the time by the clock that decides about leases: one clock for all machines at a store (UTC).

        Raises nothing of its own.
        """

    @abstractmethod
    async def save_worker(self, worker: Worker, lease: float | None = None) -> Worker:
        """Note a worker, or renew its lease; return it as it is noted. Idempotent. Durable.

        Args:
            worker: the worker; if it is noted already, its start time stays.
            lease: for how many seconds from now, by the clock of `now`, it holds its claims; a new worker starts now,
                by that clock. None: use the times that the worker carries.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidInputError: a worker of another run has this id.
        """

    @abstractmethod
    async def list_workers(self, master_job_id: str) -> list[Worker]:
        """Return the workers of a run by start time, also those whose lease has expired. Raises nothing of its own."""

    @abstractmethod
    async def remove_worker(self, worker: Worker, now: datetime, *, died: bool = False) -> int:
        """Forget a worker and return its unfinished inputs to ``pending``; return how many. Idempotent. Durable.

        Raises nothing of its own.

        Args:
            worker: the worker.
            now: the time.
            died: the worker did not end by itself: each of its inputs gets an ``interrupted`` attempt, with the usage
                of its steps. Nothing happens if the worker has renewed its lease since it was listed, so a caller
                that saw the lease expired by the clock of `now` is safe.
        """

    @abstractmethod
    async def release_unowned_inputs(self, master_job_id: str, now: datetime) -> int:
        """Put ``running`` inputs of unknown workers back to ``pending``, as after a repair; return how many.

        Idempotent. Durable. Raises nothing of its own.
        """

    @abstractmethod
    async def claim_input(self, master_job_id: str, job_id: str, worker_id: str, now: datetime) -> ClaimedInput | None:
        """Claim one input, if it is pending; return None if it is not, or if none may be claimed. Durable.

        Not idempotent. No two workers, in whatever processes, claim the same input.

        Args:
            master_job_id: the run.
            job_id: the input.
            worker_id: who claims.
            now: the time.

        Raises:
            NotFoundError: the worker is not noted for this run, because it was taken for dead.
        """

    @abstractmethod
    async def claim_inputs(
        self, master_job_id: str, worker_id: str, limit: int, now: datetime, budget: Budget | None = None
    ) -> list[ClaimedInput]:
        """Claim up to so many pending inputs, in the order of their positions. Durable. Not idempotent.

        No two workers, in whatever processes, claim the same input; nor do they claim more together than a budget
        allows them.

        Args:
            master_job_id: the run.
            worker_id: who claims.
            limit: how many at most.
            now: the time.
            budget: what the run may cost; None for no limit.

        Raises:
            NotFoundError: the worker is not noted for this run, because it was taken for dead.
        """


class RunLedger(
    InputLedger,
    AttemptLedger,
    OutcomeLedger,
    CallLedger,
    ComparisonLedger,
    VerificationLedger,
    ProgressLedger,
    ControlLedger,
    DrainLedger,
    LimitLedger,
    ActionLedger,
    WakingLedger,
):
    """Everything that a run keeps beyond its jobs and records."""

    @abstractmethod
    async def refresh_run(self, master_job_id: str, now: datetime) -> RunState:
        """Bring the record counts of a run up to date with its records, and return where the run stands.

        Idempotent. Durable.

        Raises:
            NotFoundError: there is no such run.
        """

    @abstractmethod
    async def request_stop(self, master_job_id: str, reason: str | None, *, action: str | None = None) -> None:
        """Ask every worker of a run to stop, or with None, take that back. Idempotent. Durable.

        Args:
            master_job_id: the run.
            reason: why.
            action: what to note among the actions, such as ``"cancel"``; None: nobody asks for it.

        Raises:
            NotFoundError: there is no such run.
        """

    @abstractmethod
    async def pause_run(self, master_job_id: str, seconds: float, reason: str) -> datetime:
        """Ask every worker of a run to begin no call for so long, and return until when. Idempotent. Durable.

        By `InputLedger.now`. A pause that ends later stands, with its reason.

        Raises:
            NotFoundError: there is no such run.
            InvalidInputError: ``seconds`` is not a finite number of 0 or more, or longer than a year.
        """

    @abstractmethod
    async def add_segment(self, master_job_id: str, identity: dict[str, Any]) -> Segment:
        """Store what a run is made of from now on, as its next segment. Not idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidDataError: the identity is not a JSON object.
        """

    @abstractmethod
    async def list_segments(self, master_job_id: str, *, newest: int | None = None) -> list[Segment]:
        """Return the segments of a run by number, or so many of the newest ones.

        Raises:
            InvalidInputError: ``newest`` is negative, or is not an integer.
        """

    @abstractmethod
    async def list_errors(self, master_job_id: str) -> list[ErrorGroup]:
        """Return the failures of a run by kind, the most frequent first. Raises nothing of its own."""

    @abstractmethod
    async def search_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        error_text: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """Return records of a master job, newest first, whose error holds a text, whatever its case in ASCII.

        Raises:
            InvalidInputError: ``limit`` or ``offset`` is negative, or is not an integer.
            InvalidStatusError: a status is unknown.
        """

# Made by scripts/make_sync.py from starfish_storage.interface.ledger: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfish_storage import portal
from starfish_storage.interface import ledger as asynchronous
from starfish_storage.runs import Budget, ClaimedInput, ErrorGroup, RunInput, RunState, Segment, StoredInput, Worker
from starfish_storage.sync.actions import ActionLedger
from starfish_storage.sync.attempts import AttemptLedger
from starfish_storage.sync.calls import CallLedger
from starfish_storage.sync.comparing import ComparisonLedger
from starfish_storage.sync.control import ControlLedger
from starfish_storage.sync.drains import DrainLedger
from starfish_storage.sync.face import Face
from starfish_storage.sync.limits import LimitLedger
from starfish_storage.sync.outcomes import OutcomeLedger
from starfish_storage.sync.progress import ProgressLedger
from starfish_storage.sync.verifications import VerificationLedger
from starfish_storage.sync.waking import WakingLedger

if TYPE_CHECKING:
    from starfish_storage.models import Record


class InputLedger(Face):
    """The inputs of a run, and the claims of workers on them.

    A run is a master job. Each input is an execution job of it, ``pending`` until a worker claims it and ``running``
    while one holds it. A claim holds as long as its worker's lease.
    """

    @property
    def _called(self) -> asynchronous.InputLedger:
        return self._asynchronous

    def start_run(self, master_job_id: str) -> None:
        """Make a master job a run. Idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such master job.
        """
        return portal.call(self._called.start_run(master_job_id))

    def get_run(self, master_job_id: str) -> RunState | None:
        """Return where a run stands, or None if the master job is not a run, or does not exist.

        Raises nothing of its own.
        """
        return portal.call(self._called.get_run(master_job_id))

    def check_input(self, given: RunInput) -> None:
        """Raise if `register_inputs` would refuse an input. Changes nothing: no I/O. Idempotent. Not durable.

        Raises:
            InvalidDataError: the input is not a JSON object.
            InvalidInputError: it holds a secret that would not be stored.
        """
        return self._called.check_input(given)

    def register_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> int:
        """Store inputs as pending execution jobs, unless they are there; return how many are new. Durable.

        All or none of them. Idempotent: the id of an execution job follows from the run, the position and the input.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidDataError: an input is not a JSON object.
            InvalidInputError: an input is refused, for example because it holds a secret.
        """
        return portal.call(self._called.register_inputs(master_job_id, inputs))

    def unregistered_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> list[int]:
        """Return the positions of the given inputs that are not stored, or were cancelled. Changes nothing.

        Raises:
            InvalidDataError: an input is not a JSON object.
            InvalidInputError: an input is refused, as in `register_inputs`.
        """
        return portal.call(self._called.unregistered_inputs(master_job_id, inputs))

    def complete_inputs(self, master_job_id: str) -> int:
        """Note that there are no more inputs, and set the run's target to their number, which is returned. Durable.

        Inputs that were cancelled do not count. Idempotent.

        Raises:
            ParentNotFoundError: there is no such run.
        """
        return portal.call(self._called.complete_inputs(master_job_id))

    def reopen_inputs(self, master_job_id: str) -> None:
        """Note that there may be more inputs after all. Idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such run.
        """
        return portal.call(self._called.reopen_inputs(master_job_id))

    def list_inputs(
        self, master_job_id: str, *, first: int = 0, after: StoredInput | None = None, limit: int
    ) -> list[StoredInput]:
        """Return inputs of a run by position. Changes nothing. Raises nothing of its own.

        Args:
            master_job_id: the run.
            first: the position from which on.
            after: the last input of the page before, in place of ``first``.
            limit: how many at most.
        """
        return portal.call(self._called.list_inputs(master_job_id, first=first, after=after, limit=limit))

    def append_inputs(self, master_job_id: str, inputs: Sequence[RunInput], registered: int) -> bool:
        """Store inputs as `register_inputs` does, unless others were stored since; return whether that was done.

        So of processes that append the same inputs, one does. Durable. Not idempotent.

        Args:
            master_job_id: the run.
            inputs: the inputs, at positions from ``registered`` on.
            registered: what `RunState.registered` was.

        Raises as `register_inputs`.
        """
        return portal.call(self._called.append_inputs(master_job_id, inputs, registered))

    def cancel_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """Mark inputs that are gone from the list of the run, and their records, as ``cancelled``; return how many.

        All or none of them. What they were stands in their error messages, and data and versions stay. Inputs that are
        running stay as they are, and so do cancelled ones. Idempotent. Durable.

        Raises:
            NotFoundError: there is no such input.
            InvalidInputError: it belongs to another run.
        """
        return portal.call(self._called.cancel_inputs(master_job_id, job_ids, now))

    def restore_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """Take `cancel_inputs` back; return how many inputs are no longer cancelled.

        A completed output whose unique key another one has by now becomes a ``duplicate``. Idempotent. Durable.

        Raises as `cancel_inputs`.
        """
        return portal.call(self._called.restore_inputs(master_job_id, job_ids, now))

    def count_inputs(self, master_job_id: str) -> dict[str, int]:
        """Return how many inputs are in each status that occurs. Every execution job of a run counts as one.

        Raises nothing of its own.
        """
        return portal.call(self._called.count_inputs(master_job_id))

    def now(self) -> datetime:
        """Return the time by the clock that decides about leases: one clock for all machines at a store (UTC).

        Raises nothing of its own.
        """
        return portal.call(self._called.now())

    def save_worker(self, worker: Worker, lease: float | None = None) -> Worker:
        """Note a worker, or renew its lease; return it as it is noted. Idempotent. Durable.

        Args:
            worker: the worker; if it is noted already, its start time stays.
            lease: for how many seconds from now, by the clock of `now`, it holds its claims; a new worker starts now,
                by that clock. None: use the times that the worker carries.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidInputError: a worker of another run has this id.
        """
        return portal.call(self._called.save_worker(worker, lease))

    def list_workers(self, master_job_id: str) -> list[Worker]:
        """Return the workers of a run by start time, also those whose lease has expired. Raises nothing of its own."""
        return portal.call(self._called.list_workers(master_job_id))

    def remove_worker(self, worker: Worker, now: datetime, *, died: bool = False) -> int:
        """Forget a worker and return its unfinished inputs to ``pending``; return how many. Idempotent. Durable.

        Raises nothing of its own.

        Args:
            worker: the worker.
            now: the time.
            died: the worker did not end by itself: each of its inputs gets an ``interrupted`` attempt, with the usage
                of its steps. Nothing happens if the worker has renewed its lease since it was listed, so a caller
                that saw the lease expired by the clock of `now` is safe.
        """
        return portal.call(self._called.remove_worker(worker, now, died=died))

    def release_unowned_inputs(self, master_job_id: str, now: datetime) -> int:
        """Put ``running`` inputs of unknown workers back to ``pending``, as after a repair; return how many.

        Idempotent. Durable. Raises nothing of its own.
        """
        return portal.call(self._called.release_unowned_inputs(master_job_id, now))

    def claim_input(self, master_job_id: str, job_id: str, worker_id: str, now: datetime) -> ClaimedInput | None:
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
        return portal.call(self._called.claim_input(master_job_id, job_id, worker_id, now))

    def claim_inputs(
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
        return portal.call(self._called.claim_inputs(master_job_id, worker_id, limit, now, budget))


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

    def __init__(self, asynchronous: asynchronous.RunLedger) -> None:
        super().__init__(asynchronous)

    @property
    def asynchronous(self) -> asynchronous.RunLedger:
        """The asynchronous object that this one calls, for code in an event loop."""
        return self._asynchronous

    @property
    def _called(self) -> asynchronous.RunLedger:
        return self._asynchronous

    def refresh_run(self, master_job_id: str, now: datetime) -> RunState:
        """Bring the record counts of a run up to date with its records, and return where the run stands.

        Idempotent. Durable.

        Raises:
            NotFoundError: there is no such run.
        """
        return portal.call(self._called.refresh_run(master_job_id, now))

    def request_stop(self, master_job_id: str, reason: str | None, *, action: str | None = None) -> None:
        """Ask every worker of a run to stop, or with None, take that back. Idempotent. Durable.

        Args:
            master_job_id: the run.
            reason: why.
            action: what to note among the actions, such as ``"cancel"``; None: nobody asks for it.

        Raises:
            NotFoundError: there is no such run.
        """
        return portal.call(self._called.request_stop(master_job_id, reason, action=action))

    def pause_run(self, master_job_id: str, seconds: float, reason: str) -> datetime:
        """Ask every worker of a run to begin no call for so long, and return until when. Idempotent. Durable.

        By `InputLedger.now`. A pause that ends later stands, with its reason.

        Raises:
            NotFoundError: there is no such run.
            InvalidInputError: ``seconds`` is not a finite number of 0 or more, or longer than a year.
        """
        return portal.call(self._called.pause_run(master_job_id, seconds, reason))

    def add_segment(self, master_job_id: str, identity: dict[str, Any]) -> Segment:
        """Store what a run is made of from now on, as its next segment. Not idempotent. Durable.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidDataError: the identity is not a JSON object.
        """
        return portal.call(self._called.add_segment(master_job_id, identity))

    def list_segments(self, master_job_id: str, *, newest: int | None = None) -> list[Segment]:
        """Return the segments of a run by number, or so many of the newest ones.

        Raises:
            InvalidInputError: ``newest`` is negative, or is not an integer.
        """
        return portal.call(self._called.list_segments(master_job_id, newest=newest))

    def list_errors(self, master_job_id: str) -> list[ErrorGroup]:
        """Return the failures of a run by kind, the most frequent first. Raises nothing of its own."""
        return portal.call(self._called.list_errors(master_job_id))

    def search_records(
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
        return portal.call(self._called.search_records(master_job_id, status_filter, error_text, limit, offset))

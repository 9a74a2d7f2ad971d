"""The contract of a run's ledger: inputs and who works on them, attempts, paid steps, and what came of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from starfish_storage.models import Record
from starfish_storage.runs import (
    Attempt,
    ClaimedInput,
    ErrorGroup,
    Finished,
    InputAccount,
    Outcome,
    RunInput,
    RunState,
    Step,
    Worker,
)


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
        """Return the positions of the given inputs that are not stored. Changes nothing.

        Raises:
            InvalidDataError: an input is not a JSON object.
            InvalidInputError: an input is refused, as in `register_inputs`.
        """

    @abstractmethod
    async def complete_inputs(self, master_job_id: str) -> int:
        """Note that there are no more inputs, and set the run's target to their number, which is returned. Durable.

        Idempotent.

        Raises:
            ParentNotFoundError: there is no such run.
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
    async def claim_inputs(self, master_job_id: str, worker_id: str, limit: int, now: datetime) -> list[ClaimedInput]:
        """Claim up to so many pending inputs, in the order of their positions. Durable. Not idempotent.

        No two workers, in whatever processes, claim the same input.

        Raises:
            NotFoundError: the worker is not noted for this run, because it was taken for dead.
        """

    @abstractmethod
    async def finish_input(self, outcome: Outcome, *, claim_next: bool = False) -> Finished:
        """Store the outcome of an input in one step: its attempt, its records with their data, its end. Durable.

        Not idempotent.

        If outputs have a ``unique_key``, the first completed record of each key in the run stays ``completed`` and
        the others become ``duplicate``. Records of an earlier outcome that this outcome does not replace become
        ``cancelled``.

        If the worker no longer holds the input, only the attempt is stored, as ``superseded``. If the worker was taken
        for dead, this attempt replaces its ``interrupted`` one.

        Args:
            outcome: the outcome.
            claim_next: claim the next input for the same worker in the same step.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidDataError: the data of an output is not JSON; nothing is stored.
            InvalidInputError: the attempt is at another input, or has a value that cannot be stored, such as a
                negative number of tokens, or a cost that is not a finite number.
            InvalidStatusError: the attempt is neither ``completed`` nor ``failed``, or an output has a status that
                `Output` does not allow.
        """

    @abstractmethod
    async def release_input(self, attempt: Attempt) -> None:
        """Store an attempt that was stopped and return its input to ``pending``. Durable. Not idempotent.

        The input stays as it is if the attempt's worker does not hold it.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidInputError: it belongs to another run, or a value of the attempt cannot be stored.
        """

    @abstractmethod
    async def reset_inputs(
        self,
        master_job_id: str,
        statuses: Sequence[str],
        *,
        error_text: str | None = None,
        error_type: str | None = None,
        job_ids: Sequence[str] | None = None,
    ) -> int:
        """Put ended inputs back to ``pending``, so that they run again; return how many. Durable. Idempotent.

        Args:
            master_job_id: the run.
            statuses: those in one of these statuses of an execution job.
            error_text: only those whose error holds this text, whatever the case of its ASCII letters.
            error_type: only those whose last attempt raised this class.
            job_ids: only these.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidStatusError: a status is unknown.
        """


class AttemptLedger(ABC):
    """What was tried and paid for each input."""

    @abstractmethod
    async def save_attempt(self, attempt: Attempt) -> int:
        """Store an attempt after which the input stays claimed, and return its number. Durable. Not idempotent.

        The store numbers attempts in the order in which it stores them, and ignores the number of the given one. If
        its worker was taken for dead, the attempt replaces the ``interrupted`` one.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidInputError: it belongs to another run, or a value of the attempt cannot be stored.
        """

    @abstractmethod
    async def list_attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts at an input by number. Raises nothing of its own."""

    @abstractmethod
    async def account_for_inputs(self, job_ids: Sequence[str]) -> dict[str, InputAccount]:
        """Return the inputs of these execution jobs with what was paid for each, by the id of the job.

        Raises nothing of its own.

        Jobs that do not exist are left out. Execution jobs that are not inputs of a run are included.
        """

    @abstractmethod
    async def save_step(self, step: Step) -> None:
        """Store the result of a paid step, replacing an earlier one of that name. Idempotent. Durable.

        Raises:
            ParentNotFoundError: the execution job does not exist.
            InvalidDataError: the result is not JSON.
        """

    @abstractmethod
    async def get_step(self, job_id: str, name: str) -> Step | None:
        """Return the stored result of a step, or None. Raises nothing of its own."""

    @abstractmethod
    async def list_steps(self, job_id: str) -> list[Step]:
        """Return the stored steps of an input by attempt, those of one attempt by the time they were stored.

        Raises nothing of its own.

        Times alone cannot order them: the attempts may come from machines whose clocks differ.
        """


class RunLedger(InputLedger, AttemptLedger):
    """Everything that a run keeps beyond its jobs and records."""

    @abstractmethod
    async def refresh_run(self, master_job_id: str, now: datetime) -> RunState:
        """Bring the record counts of a run up to date with its records, and return where the run stands.

        Idempotent. Durable.

        Raises:
            NotFoundError: there is no such run.
        """

    @abstractmethod
    async def request_stop(self, master_job_id: str, reason: str | None) -> None:
        """Ask every worker of a run to stop, or with None, take that back. Idempotent. Durable.

        Raises:
            NotFoundError: there is no such run.
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

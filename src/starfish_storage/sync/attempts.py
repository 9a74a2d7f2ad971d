# Made by scripts/make_sync.py from starfish_storage.interface.attempts: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.attempts`."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage import portal
from starfish_storage.interface import attempts as asynchronous
from starfish_storage.runs import Attempt, InputAccount, RecordOrigin, StatusStep, Step, StepTotal, Usage
from starfish_storage.sync.face import Face


class AttemptLedger(Face):
    """What was tried and paid for each input."""

    @property
    def _called(self) -> asynchronous.AttemptLedger:
        return self._asynchronous

    def save_attempt(self, attempt: Attempt) -> int:
        """Store an attempt after which the input stays claimed, and return its number. Durable. Not idempotent.

        The store numbers attempts in the order in which it stores them, and ignores the number of the given one. The
        attempt replaces an ``interrupted`` one that stands for it, as in `OutcomeLedger.finish_input`.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidInputError: it belongs to another run, or a value of the attempt cannot be stored.
        """
        return portal.call(self._called.save_attempt(attempt))

    def add_usage(self, job_id: str, number: int, usage: Sequence[Usage]) -> None:
        """Add to a stored attempt what a call of it used that has outlived it. Durable. Not idempotent.

        The totals of the run count it too.

        Raises:
            NotFoundError: there is no such attempt.
            InvalidInputError: a number is negative or not a number.
        """
        return portal.call(self._called.add_usage(job_id, number, usage))

    def list_attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts at an input by number. Raises nothing of its own."""
        return portal.call(self._called.list_attempts(job_id))

    def account_for_inputs(self, job_ids: Sequence[str]) -> dict[str, InputAccount]:
        """Return the inputs of these execution jobs with what was paid for each, by the id of the job.

        Raises nothing of its own.

        Jobs that do not exist are left out. Execution jobs that are not inputs of a run are included.
        """
        return portal.call(self._called.account_for_inputs(job_ids))

    def find_segments(self, record_uids: Sequence[str]) -> dict[str, int]:
        """Return the number of the segment that each of these records was made in, by their uids.

        Raises nothing of its own.

        It is that of the attempt whose output the record is. Records that do not exist, or whose attempt names no
        segment, are left out.
        """
        return portal.call(self._called.find_segments(record_uids))

    def find_origins(self, record_uids: Sequence[str]) -> dict[str, RecordOrigin]:
        """Return what each of these records came of, by their uids; those that do not exist are left out.

        Raises nothing of its own.
        """
        return portal.call(self._called.find_origins(record_uids))

    def find_failures(self, record_uids: Sequence[str]) -> dict[str, str]:
        """Return the kinds of failures that these records are of, by their uids, as `RunLedger.list_errors` has them.

        Raises nothing of its own.

        Records that do not exist, or did not fail, are left out.
        """
        return portal.call(self._called.find_failures(record_uids))

    def save_step(self, step: Step) -> int:
        """Store a reply to a paid step, and return its number. Durable. Not idempotent.

        The store numbers the replies to each call in the order in which it stores them, and ignores the number of the
        given one: no reply is ever overwritten. The calls of a step are told apart by its name and its request.

        Raises:
            ParentNotFoundError: the execution job does not exist.
            InvalidDataError: the result is not JSON.
            InvalidInputError: a value cannot be stored.
            InvalidStatusError: the status is unknown.
        """
        return portal.call(self._called.save_step(step))

    def list_replies(self, job_id: str, name: str, call: int = 1, request_key: str = "") -> list[Step]:
        """Return the stored replies to one call of a step, the oldest first, whatever their status.

        Raises nothing of its own.

        Calls of requests are numbered among those of the same ``request_key``; other steps have an empty one.
        """
        return portal.call(self._called.list_replies(job_id, name, call, request_key))

    def mark_step(
        self,
        job_id: str,
        name: str,
        call: int,
        reply: int,
        status: StatusStep,
        reason: str | None = None,
        rejected_by: str | None = None,
        request_key: str = "",
    ) -> None:
        """Set the status of a stored reply, why, and whose code rejected it. Idempotent. Durable.

        Raises:
            NotFoundError: there is no such reply.
            InvalidStatusError: the status is unknown.
        """
        return portal.call(self._called.mark_step(job_id, name, call, reply, status, reason, rejected_by, request_key))

    def forget_steps(self, master_job_id: str, names: Sequence[str], job_ids: Sequence[str] | None = None) -> int:
        """Mark all replies to the steps of these names as ``forgotten``; return how many. Durable. Idempotent.

        A reply that was rejected keeps its reason.

        Args:
            master_job_id: the run.
            names: of the steps.
            job_ids: of these inputs only.

        Raises:
            ParentNotFoundError: there is no such run.
        """
        return portal.call(self._called.forget_steps(master_job_id, names, job_ids))

    def count_steps(self, master_job_id: str) -> list[StepTotal]:
        """Return what the steps of a run add up to, by name. Raises nothing of its own."""
        return portal.call(self._called.count_steps(master_job_id))

    def count_conversions(self, master_job_id: str) -> dict[str, int]:
        """Return how many values of each kind were converted in all attempts of a run. Raises nothing of its own."""
        return portal.call(self._called.count_conversions(master_job_id))

    def list_steps(self, job_id: str) -> list[Step]:
        """Return all stored replies of an input by attempt, those of one attempt by the time they were stored.

        Raises nothing of its own.

        Times alone cannot order them: the attempts may come from machines whose clocks differ.
        """
        return portal.call(self._called.list_steps(job_id))

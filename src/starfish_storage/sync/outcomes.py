# Made by scripts/make_sync.py from starfish_storage.interface.outcomes: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.outcomes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starfish_storage import portal
from starfish_storage.interface import outcomes as asynchronous
from starfish_storage.runs import Attempt, Budget, Finished, Outcome, Output, RecordVersion, Replace
from starfish_storage.sync.face import Face


class OutcomeLedger(Face):
    """What came of the inputs of a run. Nothing that was paid for is overwritten: see `list_versions`."""

    @property
    def _called(self) -> asynchronous.OutcomeLedger:
        return self._asynchronous

    def finish_input(self, outcome: Outcome, *, claim_next: bool = False, budget: Budget | None = None) -> Finished:
        """Store the outcome of an input in one step: its attempt, its records with their data, its end. Durable.

        Not idempotent.

        If outputs have a ``unique_key``, the first completed record of each key in the run stays ``completed`` and
        the others become ``duplicate``.

        Of an input that had ended before, the earlier outcome stands if this one is ``failed`` and the earlier one was
        not: then the input ends again as it had, and outputs of this outcome that have data become versions of their
        records. Otherwise, or if `reset_inputs` was told so, this one takes its place: outputs that it replaces become
        versions, and records that it has no output for become ``cancelled``.

        If the worker no longer holds the input and another has it, or had it, the attempt is stored as ``superseded``,
        and its outputs that have data as versions of their records; while the input is ``pending``, the outcome is
        stored all the same. If the worker was taken for dead, or has stored before what the attempt cost (as
        ``interrupted``, with `runs.WAITS_FOR_STORE`), this attempt replaces that one.

        Args:
            outcome: the outcome.
            claim_next: claim the next input for the same worker in the same step.
            budget: what the run may cost, for that claim; None for no limit.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidDataError: the data of an output is not JSON; nothing is stored.
            InvalidInputError: the attempt is at another input, or has a value that cannot be stored, such as a
                negative number of tokens, or a cost that is not a finite number.
            InvalidStatusError: the attempt is neither ``completed`` nor ``failed``, or an output has a status that
                `Output` does not allow.
        """
        return portal.call(self._called.finish_input(outcome, claim_next=claim_next, budget=budget))

    def keep_attempt(self, attempt: Attempt, outputs: Sequence[Output], *, release: bool = False) -> int:
        """Store an attempt that did not end its input, with outputs that it had made before, and return its number.

        Durable. Not idempotent. As `save_attempt`, or with ``release`` as `release_input`; the outputs that have data
        become versions of their records, also of records that do not exist yet.

        Args:
            attempt: the attempt.
            outputs: what it had made, in order.
            release: return the input to ``pending``.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidDataError: the data of an output is not JSON; nothing is stored.
            InvalidInputError: it belongs to another run, or a value cannot be stored.
            InvalidStatusError: an output has a status that `Output` does not allow.
        """
        return portal.call(self._called.keep_attempt(attempt, outputs, release=release))

    def release_input(self, attempt: Attempt) -> None:
        """Store an attempt that was stopped and return its input to ``pending``. Durable. Not idempotent.

        The input stays as it is if the attempt's worker does not hold it.

        Raises:
            NotFoundError: the execution job does not exist any more.
            InvalidInputError: it belongs to another run, or a value of the attempt cannot be stored.
        """
        return portal.call(self._called.release_input(attempt))

    def reset_inputs(
        self,
        master_job_id: str,
        statuses: Sequence[str],
        *,
        error_text: str | None = None,
        error_type: str | None = None,
        job_ids: Sequence[str] | None = None,
        failed_outputs: bool = False,
        replace: Replace = "better",
    ) -> int:
        """Put ended inputs back to ``pending``, so that they run again; return how many. Durable. Idempotent.

        What came of them stays visible meanwhile.

        Args:
            master_job_id: the run.
            statuses: those in one of these statuses of an execution job.
            error_text: only those whose error holds this text, whatever the case of its ASCII letters.
            error_type: only those whose last attempt raised this class.
            job_ids: only these.
            failed_outputs: also those, whatever their status, of which an output failed or its record is lost;
                ``error_text`` is then also looked for in the errors of outputs.
            replace: with ``"better"``, what came of them stands until they have a better outcome; with ``"always"``,
                until they have another one.

        Raises:
            ParentNotFoundError: there is no such run.
            InvalidStatusError: a status is unknown, or ``replace`` is.
        """
        return portal.call(
            self._called.reset_inputs(
                master_job_id,
                statuses,
                error_text=error_text,
                error_type=error_type,
                job_ids=job_ids,
                failed_outputs=failed_outputs,
                replace=replace,
            )
        )

    def settle_outputs(
        self,
        master_job_id: str,
        job_id: str,
        outputs: Sequence[Output],
        *,
        judged: Mapping[str, datetime] | None = None,
    ) -> Finished:
        """Judge the stored outputs of an ended input anew, in one step and without an attempt. Durable. Idempotent.

        Their records get the statuses, errors and unique keys given; their data stays. The status of the input follows,
        but stays ``failed`` if the attempt that made the outputs failed.

        Args:
            master_job_id: the run.
            job_id: the input.
            outputs: one for each of its records that is not ``cancelled``, in order; their data is not used.
            judged: which records were judged, by their uids, and when each was last changed: a verdict on other
                outputs is not stored. None: whatever records there are.

        Returns:
            How it stands; without a status if the input is pending or running, or its records are others than those
            that were judged, and nothing was stored.

        Raises:
            NotFoundError: the execution job does not exist.
            InvalidInputError: it belongs to another run, or does not have so many records.
            InvalidStatusError: an output has a status that `Output` does not allow.
        """
        return portal.call(self._called.settle_outputs(master_job_id, job_id, outputs, judged=judged))

    def list_versions(self, record_uid: str) -> list[RecordVersion]:
        """Return the outputs of a record that are kept, by number, the current one among them.

        Raises nothing of its own.
        """
        return portal.call(self._called.list_versions(record_uid))

    def get_version_data(self, record_uid: str, number: int) -> dict[str, Any] | None:
        """Return the data of a version of a record, the current one or another; None if it has no data.

        Raises:
            NotFoundError: the record has no such version.
            DataLostError: its data is missing.
            StoreDamagedError: its data is not what was saved.
        """
        return portal.call(self._called.get_version_data(record_uid, number))

    def restore_version(self, record_uid: str, number: int) -> None:
        """Make a version the current one of its record; the current one becomes a version. Idempotent. Durable.

        A version that was ``completed`` becomes ``duplicate`` if another record of the run has its unique key by now.
        The status and counts of the input follow. An edit whose data is replaced so is not withdrawn: its author can
        do that with `AnnotationStore.withdraw` in place of this.

        Raises:
            NotFoundError: the record has no such version.
            InvalidInputError: the input is pending or running.
            DataLostError: the data of the version is missing.
            StoreDamagedError: the data of the version is not what was saved.
        """
        return portal.call(self._called.restore_version(record_uid, number))

    def remove_versions(self, older_than: datetime, *, dry_run: bool = False) -> list[RecordVersion]:
        """Remove the versions of all records that stopped being current before a time, with their data; return them.

        Idempotent. Durable. Current outputs stay. It is done in portions: what a call that fails has removed stays so.

        Args:
            older_than: the time.
            dry_run: remove nothing.

        Raises nothing of its own.
        """
        return portal.call(self._called.remove_versions(older_than, dry_run=dry_run))

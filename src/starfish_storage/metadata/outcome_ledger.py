"""What came of the inputs of a run, over the database of the metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from starfish_storage.errors import NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.outcomes import OutcomeLedger
from starfish_storage.metadata import ledger_rows, ledger_writer, selecting, values
from starfish_storage.metadata.attempt_ledger import SQLAttemptLedger
from starfish_storage.metadata.earlier import EarlierOutcomeError, keep
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.planning import Planning
from starfish_storage.metadata.reopening import ENDED, EndedInputs, reset_inputs
from starfish_storage.metadata.restoring import outputs_of, plan_restoring
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import whole_versions
from starfish_storage.metadata.settling import Settling
from starfish_storage.metadata.stored_data import decoded, dropping, read_stored
from starfish_storage.metadata.unique_keys import names_of_keys
from starfish_storage.runs import Attempt, Budget, ClaimedInput, Finished, Outcome, Output, RecordVersion, Replace
from starfish_storage.statuses import EXECUTION_JOB_STATUSES
from starfish_storage.times import utc_now

_NO_VERSION = "no version"


class SQLOutcomeLedger(SQLAttemptLedger, OutcomeLedger):
    """See `OutcomeLedger`, whatever the engine."""

    async def finish_input(
        self, outcome: Outcome, *, claim_next: bool = False, budget: Budget | None = None
    ) -> Finished:
        """See `OutcomeLedger.finish_input`."""
        now = values.timestamp("now", utc_now())
        attempt = ledger_rows.outcome_row(outcome)
        planning = Planning(self._database, self._data, outcome, attempt, now, claim_next, budget)
        while True:
            operation, finishing = await planning.planned()
            try:
                await self._database.write(operation)
            except EarlierOutcomeError:
                planning.note_changed(finishing.came_to)
            except ledger_writer.ClaimLostError:
                await self._keep_superseded(planning)
                return Finished()
            else:
                break
        claimed = None if finishing.claimed is None else self._read(ledger_rows.claimed_input, finishing.claimed)
        return Finished(finishing.status, list(finishing.statuses), claimed)

    async def _keep_superseded(self, planning: Planning) -> None:
        """Store the attempt of an outcome that comes too late, and its outputs as versions: they were paid for."""
        late = dataclasses.replace(planning.outcome.attempt, status="superseded")
        await self._keep_outputs(planning, late, ledger_writer.save_attempt)

    async def keep_attempt(self, attempt: Attempt, outputs: Sequence[Output], *, release: bool = False) -> int:
        """See `OutcomeLedger.keep_attempt`."""
        now, row = values.timestamp("now", utc_now()), ledger_rows.attempt_row(attempt, 1)
        for output in outputs:
            ledger_rows.check_output(output)
        worker_id = values.text("worker_id", attempt.worker_id)
        claimed = ClaimedInput(attempt.job_id, attempt.master_job_id, 0, {}, 0)
        planning = Planning(self._database, self._data, Outcome(claimed, worker_id, attempt, outputs), row, now)
        save = ledger_writer.release_input if release else ledger_writer.save_attempt
        return await self._keep_outputs(planning, attempt, save)

    async def _keep_outputs(
        self, planning: Planning, attempt: Attempt, save: Callable[[RowWriter, Attempt, str], int]
    ) -> int:
        """Store an attempt, and the outputs that are planned as versions; return its number."""
        versions, writes = planning.kept_outputs()
        numbers: list[int] = []

        def apply(writer: RowWriter) -> list[Change]:
            number = save(writer, attempt, planning.now)
            numbers[:] = [number]  # once more, if the group is tried again
            undo = keep(writer, [row._replace(number=number) for row in versions], is_new=True)
            return [("delete_attempt", (attempt.job_id, number)), *undo]

        await self._database.write(WriteOperation(apply, data=writes))
        return numbers[0]

    async def release_input(self, attempt: Attempt) -> None:
        """See `InputLedger.release_input`."""
        now = values.timestamp("now", utc_now())
        ledger_rows.attempt_row(attempt, 1)  # refused here, if at all
        values.text("worker_id", attempt.worker_id)
        await self._write(lambda writer: ledger_writer.release_input(writer, attempt, now))

    async def reset_inputs(
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
        """See `OutcomeLedger.reset_inputs`."""
        check_id("master_job_id", master_job_id)
        known = selecting.status_filter("execution-job status", statuses, EXECUTION_JOB_STATUSES)
        selection = EndedInputs(
            tuple(status for status in known if status in ENDED),
            None if error_text is None else values.lower("error_text", error_text),
            error_type,
            None if job_ids is None else frozenset(job_ids),
            failed_outputs,
            values.status("way to replace outcomes", replace, get_args(Replace)) == "better",
        )
        now = values.timestamp("now", utc_now())
        if not selection.statuses and not failed_outputs:
            return 0
        return await self._write(lambda writer: reset_inputs(writer, master_job_id, selection, now))

    async def settle_outputs(
        self,
        master_job_id: str,
        job_id: str,
        outputs: Sequence[Output],
        *,
        judged: Mapping[str, datetime] | None = None,
    ) -> Finished:
        """See `OutcomeLedger.settle_outputs`."""
        now = values.timestamp("now", utc_now())
        for output in outputs:
            ledger_rows.check_output(output)
        seen = None
        if judged is not None:
            seen = {uid: values.timestamp("last_update_time", changed) for uid, changed in judged.items()}
        settling = Settling(check_id("master_job_id", master_job_id), check_id("job_id", job_id), outputs, seen, now)
        decides = names_of_keys(master_job_id, [one.unique_key for one in outputs])
        await self._database.write(WriteOperation(settling.apply, decides=decides))
        return Finished(settling.status, list(settling.statuses))

    async def list_versions(self, record_uid: str) -> list[RecordVersion]:
        """See `OutcomeLedger.list_versions`."""
        current, versions = await outputs_of(self._database, values.text("record_uid", record_uid))
        found = [self._read(ledger_rows.record_version, one.version) for one in versions]
        if current is not None:
            found.append(self._read(ledger_rows.current_version, current))
        return sorted(found, key=lambda one: one.number)

    async def get_version_data(self, record_uid: str, number: int) -> dict[str, Any] | None:
        """See `OutcomeLedger.get_version_data`."""
        current, versions = await outputs_of(self._database, values.text("record_uid", record_uid))
        if current is not None and current.number == number:
            place, digest = current.place, current.record.data_sha256
        else:
            place, digest = next(
                ((one.place, one.version.data_sha256) for one in versions if one.version.number == number),
                (_NO_VERSION, None),
            )
        if place == _NO_VERSION:
            raise _no_version(record_uid, number)
        if place is None:
            return None
        return decoded(await read_stored(self._database, self._data, place, digest), self._data.to_reference(place))

    async def restore_version(self, record_uid: str, number: int) -> None:
        """See `OutcomeLedger.restore_version`."""
        now = values.timestamp("now", utc_now())
        while True:
            current, versions = await outputs_of(self._database, values.text("record_uid", record_uid))
            if current is not None and current.number == number:
                return
            wanted = next((one for one in versions if one.version.number == number), None)
            if wanted is None:
                raise _no_version(record_uid, number)
            try:
                await self._database.write(await plan_restoring(self._database, self._data, current, wanted, now))
            except EarlierOutcomeError:
                continue
            return

    async def remove_versions(self, older_than: datetime, *, dry_run: bool = False) -> list[RecordVersion]:
        """See `OutcomeLedger.remove_versions`."""
        moment = values.timestamp("older_than", older_than)
        removed: list[RecordVersion] = []
        after = ("", 0)
        while page := whole_versions(await self._all("page_of_old_versions", (moment, *after))):
            rows = [one.version for one in page]
            if not dry_run:
                await self._database.write(dropping(self._database, self._data, page))
            removed += [self._read(ledger_rows.record_version, row) for row in rows]
            after = rows[-1].id
        return removed


def _no_version(record_uid: str, number: int) -> NotFoundError:
    remedy = "list_versions lists those of a record, as 'starfish-storage record UID --versions' does"
    return NotFoundError("version", f"{record_uid} {number}", remedy)

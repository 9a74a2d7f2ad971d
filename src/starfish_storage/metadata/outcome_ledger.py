"""What came of the inputs of a run, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from starfish_storage.codec import content_digest, encode
from starfish_storage.identifiers import check_id
from starfish_storage.interface import DataWrite
from starfish_storage.interface.outcomes import OutcomeLedger
from starfish_storage.interface.rows import RecordRow
from starfish_storage.keys import record_key
from starfish_storage.metadata import ledger_rows, ledger_writer, selecting, values
from starfish_storage.metadata.attempt_ledger import SQLAttemptLedger
from starfish_storage.metadata.finishing import Finishing
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.reopening import ENDED, EndedInputs, reset_inputs
from starfish_storage.metadata.settling import Settling
from starfish_storage.metadata.unique_keys import names_of_keys
from starfish_storage.models import EXECUTION_JOB_STATUSES, RECORD_STATUSES, StatusRecord, utc_now
from starfish_storage.runs import Attempt, Finished, Outcome, Output, output_record_uid


class SQLOutcomeLedger(SQLAttemptLedger, OutcomeLedger):
    """See `OutcomeLedger`, whatever the engine."""

    async def finish_input(self, outcome: Outcome, *, claim_next: bool = False) -> Finished:
        """See `InputLedger.finish_input`."""
        now = values.timestamp("now", utc_now())
        attempt = ledger_rows.outcome_row(outcome)
        records, writes = self._records(outcome, attempt.start_time, now)
        keys = [one.unique_key for one in outcome.outputs]
        unique = keys if any(key is not None for key in keys) else ()
        finishing = Finishing(outcome, attempt, records, unique, now, claim_next)
        # With unique keys, what a record is saved as is known in the transaction only.
        decides = names_of_keys(outcome.claimed.master_job_id, unique)
        operation = WriteOperation(
            finishing.apply,
            records=() if unique else records,
            data=writes,
            decides=decides,
            batch=("finish_inputs", finishing),
        )
        try:
            await self._database.write(operation)
        except ledger_writer.ClaimLostError:
            await self.save_attempt(replace(outcome.attempt, status="superseded"))
            return Finished()
        claimed = None if finishing.claimed is None else self._read(ledger_rows.claimed_input, finishing.claimed)
        return Finished(finishing.status, list(finishing.statuses), claimed)

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
        )
        now = values.timestamp("now", utc_now())
        if not selection.statuses and not failed_outputs:
            return 0
        return await self._write(lambda writer: reset_inputs(writer, master_job_id, selection, now))

    async def settle_outputs(self, master_job_id: str, job_id: str, outputs: Sequence[Output]) -> Finished:
        """See `OutcomeLedger.settle_outputs`."""
        now = values.timestamp("now", utc_now())
        for output in outputs:
            ledger_rows.check_output(output)
        settling = Settling(check_id("master_job_id", master_job_id), check_id("job_id", job_id), outputs, now)
        decides = names_of_keys(master_job_id, [one.unique_key for one in outputs])
        await self._database.write(WriteOperation(settling.apply, decides=decides))
        return Finished(settling.status, list(settling.statuses))

    def _records(self, outcome: Outcome, start: str, now: str) -> tuple[list[RecordRow], list[DataWrite]]:
        """Return the rows of an outcome's records and the writes of their data."""
        records: list[RecordRow] = []
        writes: list[DataWrite] = []
        job_id, master_job_id = outcome.claimed.job_id, outcome.claimed.master_job_id
        for number, output in enumerate(outcome.outputs):
            uid = output_record_uid(job_id, number)
            state: StatusRecord = values.status("record status", output.status, RECORD_STATUSES)
            key = digest = None
            if output.data is not None:
                payload = encode(output.data, f"data of record {uid!r}")
                key, digest = record_key(uid), content_digest(payload)
                writes.append(self._data.write(key, payload))
            error = values.optional_text("error_message", output.error_message)
            records.append(
                RecordRow(
                    record_uid=uid,
                    job_id=job_id,
                    master_job_id=master_job_id,
                    status=state,
                    output_ref=key,
                    start_time=start,
                    end_time=now,
                    last_update_time=now,
                    error_message=error,
                    data_sha256=digest,
                )
            )
        return records, writes

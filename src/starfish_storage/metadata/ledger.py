"""The ledger of runs, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from starfish_storage.codec import content_digest, encode
from starfish_storage.errors import SEE_DAMAGE, InvalidInputError, StoreDamagedError, shorten
from starfish_storage.identifiers import check_id
from starfish_storage.interface import DataHandler, DataWrite, RunLedger
from starfish_storage.interface.rows import RecordRow, RegisteredInputRow
from starfish_storage.keys import record_key
from starfish_storage.metadata import ledger_rows, ledger_writer, selecting, values
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.finishing import Finishing
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import Row, only_values
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.models import EXECUTION_JOB_STATUSES, RECORD_STATUSES, Record, StatusRecord, utc_now
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
    output_record_uid,
)

Result = TypeVar("Result")
Stored = TypeVar("Stored", bound=Row)
RefuseInput = Callable[[RunInput], None]
"""Raises for an input that is not to be stored."""

_MOST_CLAIMED = 1000  # at once: bounds the transaction


class SQLRunLedger(RunLedger):
    """Keeps runs in the database of the metadata, whatever the engine.

    Args:
        database: runs the queries, and commits what is written.
        data: where record data lies.
        codec: turns rows of records into models.
        refuse_input: raises for an input that is not to be stored.
    """

    def __init__(
        self, database: Database, data: DataHandler, codec: RowCodec, refuse_input: RefuseInput | None
    ) -> None:
        self._database = database
        self._data = data
        self._codec = codec
        self._queries = database.queries
        self._refuse_input = refuse_input

    # --- inputs ---------------------------------------------------------------------------------------------------

    async def start_run(self, master_job_id: str) -> None:
        """See `InputLedger.start_run`."""
        check_id("master_job_id", master_job_id)
        await self._write(lambda writer: ledger_writer.start_run(writer, master_job_id))

    async def get_run(self, master_job_id: str) -> RunState | None:
        """See `InputLedger.get_run`."""
        row = await self._first("get_run", (values.text("master_job_id", master_job_id),))
        return None if row is None else self._read(ledger_rows.run_state, row)

    def check_input(self, given: RunInput) -> None:
        """See `InputLedger.check_input`."""
        if self._refuse_input is not None:
            self._refuse_input(given)
        given.encoded()
        given.digest()

    async def register_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> int:
        """See `InputLedger.register_inputs`."""
        given = self._registered_rows(master_job_id, inputs)
        return await self._write(lambda writer: ledger_writer.register_inputs(writer, master_job_id, given))

    async def unregistered_inputs(self, master_job_id: str, inputs: Sequence[RunInput]) -> list[int]:
        """See `InputLedger.unregistered_inputs`."""
        given = self._registered_rows(master_job_id, inputs)
        found = await self._database.all_of("list_known_inputs", [row.job_id for row in given])
        there = set(only_values(found))
        return [row.position for row in given if row.job_id not in there]

    async def complete_inputs(self, master_job_id: str) -> int:
        """See `InputLedger.complete_inputs`."""
        check_id("master_job_id", master_job_id)
        return await self._write(lambda writer: ledger_writer.complete_inputs(writer, master_job_id))

    async def count_inputs(self, master_job_id: str) -> dict[str, int]:
        """See `InputLedger.count_inputs`."""
        parameters = (values.text("master_job_id", master_job_id),)
        return await self._database.all(self._queries["count_inputs"], parameters, dict)

    async def now(self) -> datetime:
        """See `InputLedger.now`."""
        self._database.check_open()
        return await self._database.now()

    async def save_worker(self, worker: Worker, lease: float | None = None) -> Worker:
        """See `InputLedger.save_worker`."""
        row = ledger_rows.worker_row(worker)
        saved = await self._write(lambda writer: ledger_writer.save_worker(writer, row, lease))
        return ledger_rows.worker(saved)

    async def list_workers(self, master_job_id: str) -> list[Worker]:
        """See `InputLedger.list_workers`."""
        found = await self._all("list_workers", (values.text("master_job_id", master_job_id),))
        return [self._read(ledger_rows.worker, row) for row in found]

    async def remove_worker(self, worker: Worker, now: datetime, *, died: bool = False) -> int:
        """See `InputLedger.remove_worker`."""
        row, moment = ledger_rows.worker_row(worker), values.timestamp("now", now)
        return await self._write(lambda writer: ledger_writer.remove_worker(writer, row, moment, died=died))

    async def release_unowned_inputs(self, master_job_id: str, now: datetime) -> int:
        """See `InputLedger.release_unowned_inputs`."""
        moment = values.timestamp("now", now)
        parameters = (values.text("master_job_id", master_job_id),)
        if not await self._all("list_unowned_inputs", parameters):
            return 0  # as nearly always
        return await self._write(lambda writer: ledger_writer.release_unowned_inputs(writer, *parameters, moment))

    async def claim_inputs(self, master_job_id: str, worker_id: str, limit: int, now: datetime) -> list[ClaimedInput]:
        """See `InputLedger.claim_inputs`."""
        check_id("master_job_id", master_job_id)
        most = min(values.integer("limit", limit), _MOST_CLAIMED)
        if most < 0:
            raise InvalidInputError(f"limit {most} cannot be used: give 0 or more.")
        values.text("worker_id", worker_id)
        moment = values.timestamp("now", now)
        found = await self._write(
            lambda writer: ledger_writer.claim_inputs(writer, master_job_id, worker_id, most, moment)
        )
        claimed = [self._read(ledger_rows.claimed_input, row) for row in found]
        return sorted(claimed, key=lambda one: one.position)

    async def finish_input(self, outcome: Outcome, *, claim_next: bool = False) -> Finished:
        """See `InputLedger.finish_input`."""
        now = values.timestamp("now", utc_now())
        attempt = ledger_rows.outcome_row(outcome)
        records, writes = self._records(outcome, attempt.start_time, now)
        keys = [one.unique_key for one in outcome.outputs]
        unique = keys if any(key is not None for key in keys) else ()
        finishing = Finishing(outcome, attempt, records, unique, now, claim_next)
        # With unique keys, what a record is saved as is known in the transaction only.
        decides = [f"unique key {key!a} in {outcome.claimed.master_job_id}" for key in set(unique) if key is not None]
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
    ) -> int:
        """See `InputLedger.reset_inputs`."""
        check_id("master_job_id", master_job_id)
        known = selecting.status_filter("execution-job status", statuses, EXECUTION_JOB_STATUSES)
        ended = [status for status in known if status not in ("pending", "running")]
        wanted = None if job_ids is None else frozenset(job_ids)
        text = None if error_text is None else _lower("error_text", error_text)
        now = values.timestamp("now", utc_now())

        def is_meant(writer: RowWriter, job_id: str, error: str | None, attempts: int) -> bool:
            if wanted is not None and job_id not in wanted:
                return False
            if text is not None and text not in _lower("error", error or ""):
                return False
            if error_type is None:
                return True
            return writer.first_value("get_error_type", (job_id, attempts)) == error_type

        if not ended:
            return 0
        return await self._write(lambda writer: ledger_writer.reset_inputs(writer, master_job_id, ended, is_meant, now))

    # --- attempts -------------------------------------------------------------------------------------------------

    async def save_attempt(self, attempt: Attempt) -> int:
        """See `AttemptLedger.save_attempt`."""
        now = values.timestamp("now", utc_now())
        ledger_rows.attempt_row(attempt, 1)  # refused here, if at all
        return await self._write(lambda writer: ledger_writer.save_attempt(writer, attempt, now))

    async def list_attempts(self, job_id: str) -> list[Attempt]:
        """See `AttemptLedger.list_attempts`."""
        found = await self._all("list_attempts", (values.text("job_id", job_id),))
        return [self._read(ledger_rows.attempt, row) for row in found]

    async def account_for_inputs(self, job_ids: Sequence[str]) -> dict[str, InputAccount]:
        """See `AttemptLedger.account_for_inputs`."""
        wanted = [values.text("job_id", job_id) for job_id in job_ids]
        found = await self._database.all_of("account_for_inputs", wanted)
        accounts = [self._read(ledger_rows.input_account, row) for row in found]
        return {account.job_id: account for account in accounts}

    async def save_step(self, step: Step) -> None:
        """See `AttemptLedger.save_step`."""
        row = ledger_rows.step_row(step)
        await self._database.write(
            WriteOperation(lambda writer: ledger_writer.save_step(writer, row), batch=("save_steps", row))
        )

    async def get_step(self, job_id: str, name: str) -> Step | None:
        """See `AttemptLedger.get_step`."""
        row = await self._first("get_step", (values.text("job_id", job_id), values.text("name", name)))
        return None if row is None else self._read(ledger_rows.step, row)

    async def list_steps(self, job_id: str) -> list[Step]:
        """See `AttemptLedger.list_steps`."""
        found = await self._all("list_steps", (values.text("job_id", job_id),))
        steps = [self._read(ledger_rows.step, row) for row in found]
        return sorted(steps, key=lambda one: (one.attempt, one.saved_when))

    # --- the run as a whole ---------------------------------------------------------------------------------------

    async def refresh_run(self, master_job_id: str, now: datetime) -> RunState:
        """See `RunLedger.refresh_run`."""
        check_id("master_job_id", master_job_id)
        moment = values.timestamp("now", now)
        row = await self._write(lambda writer: ledger_writer.refresh_run(writer, master_job_id, moment))
        return self._read(ledger_rows.run_state, row)

    async def request_stop(self, master_job_id: str, reason: str | None) -> None:
        """See `RunLedger.request_stop`."""
        check_id("master_job_id", master_job_id)
        text = values.optional_text("reason", reason)
        await self._write(lambda writer: ledger_writer.request_stop(writer, master_job_id, text))

    async def list_errors(self, master_job_id: str) -> list[ErrorGroup]:
        """See `RunLedger.list_errors`."""
        given = values.text("master_job_id", master_job_id)
        return await self._database.all(
            self._queries["list_errors"], (given, given), lambda found: [ErrorGroup(*row) for row in found]
        )

    async def search_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        error_text: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """See `RunLedger.search_records`."""
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        page = selecting.page(limit, offset)
        each = (values.text("master_job_id", master_job_id),)
        name, rest = "list_records", ()
        if error_text is not None:
            name, rest = "search_records", (_lower("error_text", error_text),)
        parameters = tuple(value for status in statuses for value in (*each, status, *rest))
        return await self._database.all(
            self._queries.merged(name, len(statuses)),
            (*parameters, *page),
            lambda found: [self._read(self._codec.record, row) for row in found],
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _write(self, change: Callable[[RowWriter], Result]) -> Result:
        """Make row changes in a group, and return their result."""
        results: list[Result] = []

        def apply(writer: RowWriter) -> None:
            results[:] = [change(writer)]  # once more, if the group is tried again

        await self._database.write(WriteOperation(apply))
        return results[0]

    async def _first(self, query: str, parameters: Row) -> Row | None:
        return await self._database.first(self._queries[query], parameters)

    async def _all(self, query: str, parameters: Row) -> list[Row]:
        return await self._database.all_at_once(self._queries[query], parameters)

    def _registered_rows(self, master_job_id: str, inputs: Sequence[RunInput]) -> list[RegisteredInputRow]:
        check_id("master_job_id", master_job_id)
        moment = values.timestamp("now", utc_now())
        for one in inputs:
            self.check_input(one)
        return [ledger_rows.registered_row(master_job_id, one, moment) for one in inputs]

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

    def _read(self, convert: Callable[[Stored], Result], row: Stored) -> Result:
        try:
            return convert(row)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # Not chained: the parsers' messages quote what stands in the row.
            kind = type(error).__name__
        own_id, *_ = row
        reason = f"the row of {shorten(own_id)} cannot be read ({kind}); {SEE_DAMAGE}"
        raise StoreDamagedError(self._database.place, reason)


def _lower(name: str, value: object) -> str:
    """Return text in lower case as SQLite has it: that of ASCII."""
    return values.text(name, value).encode().lower().decode()

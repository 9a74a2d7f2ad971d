"""The ledger of runs, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from starfish_storage.errors import InvalidInputError, NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface import DataHandler, RunLedger
from starfish_storage.interface.rows import RegisteredInputRow
from starfish_storage.metadata import call_rows, input_list, ledger_rows, ledger_writer, selecting, values
from starfish_storage.metadata.action_ledger import SQLActionLedger
from starfish_storage.metadata.call_ledger import SQLCallLedger
from starfish_storage.metadata.claiming import Claiming, Refreshing
from starfish_storage.metadata.comparison_ledger import SQLComparisonLedger
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.drain_ledger import SQLDrainLedger
from starfish_storage.metadata.earlier import EarlierOutcomeError
from starfish_storage.metadata.limit_ledger import SQLLimitLedger
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.outcome_ledger import SQLOutcomeLedger
from starfish_storage.metadata.progress_ledger import SQLProgressLedger
from starfish_storage.metadata.row import Row, only_values
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.unique_keys import names_of_keys
from starfish_storage.metadata.verification_ledger import SQLVerificationLedger
from starfish_storage.metadata.waking_ledger import SQLWakingLedger
from starfish_storage.runs import (
    Budget,
    ClaimedInput,
    ErrorGroup,
    RunInput,
    RunState,
    Segment,
    StoredInput,
    Worker,
)
from starfish_storage.runs.inputs import job_ids_from
from starfish_storage.statuses import RECORD_STATUSES
from starfish_storage.times import utc_now

if TYPE_CHECKING:
    from starfish_storage.models import Record

Result = TypeVar("Result")
Stored = TypeVar("Stored", bound=Row)
RefuseInput = Callable[[RunInput], None]
"""Raises for an input that is not to be stored."""

_MOST_CLAIMED = 1000  # at once: bounds the transaction


class SQLRunLedger(
    SQLOutcomeLedger,
    SQLCallLedger,
    SQLComparisonLedger,
    SQLVerificationLedger,
    SQLProgressLedger,
    SQLDrainLedger,
    SQLLimitLedger,
    SQLActionLedger,
    SQLWakingLedger,
    RunLedger,
):
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
        super().__init__(database, data, codec)
        self._refuse_input = refuse_input
        self._noted: set[str] = set()  # workers whose leases can be renewed

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
        found = await self._database.all_of("list_present_inputs", [row.job_id for row in given])
        there = set(only_values(found))
        return [row.position for row in given if row.job_id not in there]

    async def complete_inputs(self, master_job_id: str) -> int:
        """See `InputLedger.complete_inputs`."""
        check_id("master_job_id", master_job_id)
        return await self._write(lambda writer: ledger_writer.complete_inputs(writer, master_job_id))

    async def reopen_inputs(self, master_job_id: str) -> None:
        """See `InputLedger.reopen_inputs`."""
        check_id("master_job_id", master_job_id)
        await self._write(lambda writer: input_list.reopen_inputs(writer, master_job_id))

    async def list_inputs(
        self, master_job_id: str, *, first: int = 0, after: StoredInput | None = None, limit: int
    ) -> list[StoredInput]:
        """See `InputLedger.list_inputs`."""
        values.text("master_job_id", master_job_id)
        start, end = job_ids_from(master_job_id, values.integer("first", first))
        page = (start if after is None else after.job_id, end, master_job_id, values.integer("limit", limit))
        return await self._database.all(
            self._queries["list_inputs"], page, lambda found: [StoredInput(*row) for row in found]
        )

    async def append_inputs(self, master_job_id: str, inputs: Sequence[RunInput], registered: int) -> bool:
        """See `InputLedger.append_inputs`."""
        given = self._registered_rows(master_job_id, inputs)
        return await self._write(lambda writer: input_list.append_inputs(writer, master_job_id, given, registered))

    async def cancel_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """See `InputLedger.cancel_inputs`."""
        moment = values.timestamp("now", now)
        return await self._write(lambda writer: input_list.cancel_inputs(writer, master_job_id, job_ids, moment))

    async def restore_inputs(self, master_job_id: str, job_ids: Sequence[str], now: datetime) -> int:
        """See `InputLedger.restore_inputs`."""
        moment = values.timestamp("now", now)
        given = [values.text("job_id", job_id) for job_id in job_ids]
        while True:
            keys = only_values(await self._database.all_of("list_keys_of_inputs", given)) if given else []
            restoring = input_list.InputRestoring(master_job_id, given, frozenset(keys), moment)
            try:
                await self._database.write(
                    WriteOperation(restoring.apply, decides=names_of_keys(master_job_id, restoring.decided))
                )
            except EarlierOutcomeError:
                continue
            return restoring.restored

    async def count_inputs(self, master_job_id: str) -> dict[str, int]:
        """See `InputLedger.count_inputs`."""
        return await self._inputs(values.text("master_job_id", master_job_id))

    async def now(self) -> datetime:
        """See `InputLedger.now`."""
        self._database.check_open()
        return await self._database.now()

    async def save_worker(self, worker: Worker, lease: float | None = None) -> Worker:
        """See `InputLedger.save_worker`."""
        row = ledger_rows.worker_row(worker)
        saved = None
        if row.worker_id not in self._noted:
            self._database.expect_worker()
        elif lease is not None:
            saved = await self._database.renew_lease(row.worker_id, row.master_job_id, lease)
        if saved is None:
            saved = await self._write(lambda writer: ledger_writer.save_worker(writer, row, lease))
            self._noted.add(row.worker_id)
        return ledger_rows.worker(saved)

    async def list_workers(self, master_job_id: str) -> list[Worker]:
        """See `InputLedger.list_workers`."""
        found = await self._all("list_workers", (values.text("master_job_id", master_job_id),))
        return [self._read(ledger_rows.worker, row) for row in found]

    async def remove_worker(self, worker: Worker, now: datetime, *, died: bool = False) -> int:
        """See `InputLedger.remove_worker`."""
        row, moment = ledger_rows.worker_row(worker), values.timestamp("now", now)
        self._noted.discard(row.worker_id)
        return await self._write(lambda writer: ledger_writer.remove_worker(writer, row, moment, died=died))

    async def release_unowned_inputs(self, master_job_id: str, now: datetime) -> int:
        """See `InputLedger.release_unowned_inputs`."""
        moment = values.timestamp("now", now)
        parameters = (values.text("master_job_id", master_job_id),)
        if not await self._all("list_unowned_inputs", parameters):
            return 0  # as nearly always
        return await self._write(lambda writer: ledger_writer.release_unowned_inputs(writer, *parameters, moment))

    async def claim_input(self, master_job_id: str, job_id: str, worker_id: str, now: datetime) -> ClaimedInput | None:
        """See `InputLedger.claim_input`."""
        check_id("master_job_id", master_job_id)
        given = (values.text("job_id", job_id), values.text("worker_id", worker_id), values.timestamp("now", now))
        found = await self._write(lambda writer: ledger_writer.claim_input(writer, master_job_id, *given))
        return None if found is None else self._read(ledger_rows.claimed_input, found)

    async def claim_inputs(
        self, master_job_id: str, worker_id: str, limit: int, now: datetime, budget: Budget | None = None
    ) -> list[ClaimedInput]:
        """See `InputLedger.claim_inputs`."""
        check_id("master_job_id", master_job_id)
        most = min(values.integer("limit", limit), _MOST_CLAIMED)
        if most < 0:
            raise InvalidInputError(f"limit {most} cannot be used: give 0 or more.")
        values.text("worker_id", worker_id)
        moment = values.timestamp("now", now)
        claiming = Claiming(master_job_id, worker_id, most, moment, budget)
        await self._database.write(WriteOperation(claiming.apply, batch=("claim_inputs", claiming)))
        claimed = [self._read(ledger_rows.claimed_input, row) for row in claiming.claimed]
        return sorted(claimed, key=lambda one: one.position)

    # --- the run as a whole ---------------------------------------------------------------------------------------

    async def refresh_run(self, master_job_id: str, now: datetime) -> RunState:
        """See `RunLedger.refresh_run`."""
        check_id("master_job_id", master_job_id)
        moment = values.timestamp("now", now)
        refreshing = Refreshing(master_job_id, moment)
        await self._database.write(WriteOperation(refreshing.apply, batch=("refresh_run", refreshing)))
        row = refreshing.run or await self._first("get_run", (master_job_id,))
        if row is None:
            raise NotFoundError("run", master_job_id, ledger_writer.NEW_RUN)
        return self._read(ledger_rows.run_state, row)

    async def request_stop(self, master_job_id: str, reason: str | None, *, action: str | None = None) -> None:
        """See `RunLedger.request_stop`."""
        check_id("master_job_id", master_job_id)
        text = values.optional_text("reason", reason)
        await self._write(lambda writer: ledger_writer.request_stop(writer, master_job_id, text, action))

    async def pause_run(self, master_job_id: str, seconds: float, reason: str) -> datetime:
        """See `RunLedger.pause_run`."""
        check_id("master_job_id", master_job_id)
        pause, text = ledger_rows.pause(seconds), values.text("reason", reason)
        until = await self._write(lambda writer: ledger_writer.pause_run(writer, master_job_id, pause, text))
        return datetime.fromisoformat(until)

    async def add_segment(self, master_job_id: str, identity: dict[str, Any]) -> Segment:
        """See `RunLedger.add_segment`."""
        check_id("master_job_id", master_job_id)
        text = values.json_text("identity of a segment", identity)
        row = await self._write(lambda writer: ledger_writer.add_segment(writer, master_job_id, text))
        return self._read(call_rows.segment, row)

    async def list_segments(self, master_job_id: str, *, newest: int | None = None) -> list[Segment]:
        """See `RunLedger.list_segments`."""
        of = values.text("master_job_id", master_job_id)
        if newest is None:
            found = await self._all("list_segments", (of,))
        else:
            found = await self._all("list_newest_segments", (of, values.whole("newest", newest, 0, 2**31)))
        return sorted((self._read(call_rows.segment, row) for row in found), key=lambda one: one.number)

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
            name, rest = "search_records", (values.lower("error_text", error_text),)
        parameters = tuple(value for status in statuses for value in (*each, status, *rest))
        return await self._database.all(
            self._queries.merged(name, len(statuses)),
            (*parameters, *page),
            lambda found: [self._read(self._codec.record, row) for row in found],
        )

    # --- parts ----------------------------------------------------------------------------------------------------

    def _registered_rows(self, master_job_id: str, inputs: Sequence[RunInput]) -> list[RegisteredInputRow]:
        check_id("master_job_id", master_job_id)
        moment = values.timestamp("now", utc_now())
        for one in inputs:
            self.check_input(one)
        return [ledger_rows.registered_row(master_job_id, one, moment) for one in inputs]

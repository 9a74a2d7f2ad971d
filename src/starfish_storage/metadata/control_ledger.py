"""What is asked of workers and runs, over the database of the metadata."""

from __future__ import annotations

from starfish_storage.errors import NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.control import ControlLedger
from starfish_storage.interface.rows import WorkerRow
from starfish_storage.metadata import ledger_rows, values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.ledger_access import LedgerAccess
from starfish_storage.metadata.ledger_writer import NEW_RUN
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs.drains import WorkingWorker
from starfish_storage.runs.inputs import Worker
from starfish_storage.runs.limits import check_priority


class SQLControlLedger(LedgerAccess, ControlLedger):
    """See `ControlLedger`, whatever the engine."""

    async def list_all_workers(self) -> list[WorkingWorker]:
        """See `ControlLedger.list_all_workers`."""
        return [self._read(_working, row) for row in await self._all("list_working", ())]

    async def stop_worker(self, worker_id: str, reason: str) -> Worker:
        """See `ControlLedger.stop_worker`."""
        given, why = values.text("worker_id", worker_id), values.text("reason", reason)

        def stop(writer: RowWriter) -> WorkerRow:
            row = writer.first_as(WorkerRow, "get_worker", (given,))
            if row is None:
                raise NotFoundError("worker", given, "it has ended, or there never was one")
            if row.stop_reason is not None:
                return row
            writer.execute("stop_worker", (why, given))
            note_action(writer, "stop", "worker", given, f"of run {row.master_job_id}: {why}")
            return row._replace(stop_reason=why)

        return ledger_rows.worker(await self._write(stop))

    async def set_priority(self, master_job_id: str, priority: int) -> int:
        """See `ControlLedger.set_priority`."""
        check_id("master_job_id", master_job_id)
        weight = check_priority(priority)

        def change(writer: RowWriter) -> int:
            before: int | None = writer.first_value("lock_priority", (master_job_id,))
            if before is None:
                raise NotFoundError("run", master_job_id, NEW_RUN)
            if before != weight:
                writer.execute("set_priority", (weight, master_job_id))
                note_action(writer, "priority", "run", master_job_id, f"{weight}; it was {before}")
            return before

        return await self._write(change)


def _working(row: Row) -> WorkingWorker:
    *worker, inputs = row
    return WorkingWorker(ledger_rows.worker(WorkerRow(*worker)), inputs)

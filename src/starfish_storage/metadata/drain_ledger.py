"""What is being drained, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from starfish_storage.errors import NotFoundError
from starfish_storage.identifiers import check_id
from starfish_storage.interface.drains import DrainLedger
from starfish_storage.metadata import values
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.control_ledger import SQLControlLedger
from starfish_storage.metadata.ledger_writer import NEW_RUN
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.runs.drains import WorkingWorker

DRAIN = "drain"
"""The setting that says since when a store is being drained; of a run, its id follows after a space."""


class SQLDrainLedger(SQLControlLedger, DrainLedger):
    """See `DrainLedger`, whatever the engine."""

    async def begin_drain(self, master_job_id: str | None = None) -> datetime:
        """See `DrainLedger.begin_drain`."""
        name = _setting_of(master_job_id)

        def begin(writer: RowWriter) -> str:
            writer.need_store_alone()  # so that no claim is under way
            if master_job_id is not None and writer.first("get_run", (master_job_id,)) is None:
                raise NotFoundError("run", master_job_id, NEW_RUN)
            if writer.first_value("get_setting", (name,)) is None:
                note_action(writer, "drain", "store" if master_job_id is None else "run", master_job_id)
            writer.execute("add_setting", (name, values.timestamp("the time of a drain", writer.now())))
            return writer.first_value("get_setting", (name,))

        return datetime.fromisoformat(await self._write(begin))

    async def end_drain(self, master_job_id: str | None = None) -> None:
        """See `DrainLedger.end_drain`."""
        name = _setting_of(master_job_id)
        if not await self.list_drains():
            return

        def end(writer: RowWriter) -> None:
            note_action(writer, "end drain", "store" if master_job_id is None else "run", master_job_id)
            if master_job_id is None:
                writer.execute("end_drains")
            else:
                writer.execute("forget_setting", (name,))

        await self._write(end)

    async def list_drains(self) -> Mapping[str | None, datetime]:
        """See `DrainLedger.list_drains`."""
        found = await self._database.all_at_once(self._queries["list_drains"], ())
        return {name.partition(" ")[2] or None: datetime.fromisoformat(since) for name, since in found}

    async def list_working(self, master_job_id: str | None = None) -> list[WorkingWorker]:
        """See `DrainLedger.list_working`."""
        working = await self.list_all_workers()
        return [one for one in working if one.inputs and master_job_id in (None, one.worker.master_job_id)]


def _setting_of(master_job_id: str | None) -> str:
    return DRAIN if master_job_id is None else f"{DRAIN} {check_id('master_job_id', master_job_id)}"

"""Transfers of whole rows, over the database of the metadata."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starfish_storage.codec import content_digest
from starfish_storage.identifiers import check_id
from starfish_storage.interface import DataHandler, DataWrite
from starfish_storage.interface.annotation_rows import AnnotationRow
from starfish_storage.interface.rows import (
    AttemptRow,
    ExecutionJobRow,
    MasterJobRow,
    ProjectRow,
    RecordRow,
    RunRow,
    SegmentRow,
    StepRow,
    WholeExecutionJobRow,
    WholeRecordRow,
)
from starfish_storage.interface.transfer import RowTransfer
from starfish_storage.interface.version_rows import RecordVersionRow, StandingOutcomeRow, WholeVersionRow
from starfish_storage.keys import check_request_config_name, record_key, version_key, version_named_by
from starfish_storage.metadata import rows as text_rows
from starfish_storage.metadata import transfer_writer, values
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import Change, Row, only_values
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.stored_data import dropping, read_stored
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, RECORD_STATUSES


class SQLRowTransfer(RowTransfer):
    """See `RowTransfer`, whatever the engine.

    Args:
        database: runs the queries, and commits what is written.
        data: where record data lies.
        identity: finds out which store it is.
    """

    def __init__(self, database: Database, data: DataHandler, identity: Callable[[], Awaitable[str]]) -> None:
        self._database = database
        self._data = data
        self._identity = identity
        self._queries = database.queries

    async def identity(self) -> str:
        """See `RowTransfer.identity`."""
        self._database.check_open()
        return await self._identity()

    # --- reading --------------------------------------------------------------------------------------------------

    async def list_projects(self, *, after: str = "", limit: int) -> list[ProjectRow]:
        """See `RowTransfer.list_projects`."""
        found = await self._database.all(self._queries["page_of_projects"], (after, limit), list)
        return list(map(ProjectRow._make, found))

    async def get_project(self, project_id: str) -> ProjectRow | None:
        """See `RowTransfer.get_project`."""
        row = await self._database.first(self._queries["get_project"], (values.text("project_id", project_id),))
        return None if row is None else ProjectRow._make(row)

    async def list_master_job_ids(self, project_id: str) -> list[str]:
        """See `RowTransfer.list_master_job_ids`."""
        parameters = (values.text("project_id", project_id),)
        found = await self._database.all(self._queries["list_master_job_ids_of_project"], parameters, list)
        return sorted(only_values(found))

    async def list_master_job_order(self) -> list[str]:
        """See `RowTransfer.list_master_job_order`."""
        return only_values(await self._database.all(self._queries["every_master_job_id"], (), list))

    async def get_master_job(self, master_job_id: str) -> MasterJobRow | None:
        """See `RowTransfer.get_master_job`."""
        parameters = (values.text("master_job_id", master_job_id),)
        row = await self._database.first(self._queries["get_master_job"], parameters)
        return None if row is None else MasterJobRow._make(row)

    async def list_execution_jobs(
        self, master_job_id: str, *, after: WholeExecutionJobRow | None = None, limit: int
    ) -> list[WholeExecutionJobRow]:
        """See `RowTransfer.list_execution_jobs`."""
        position = () if after is None else (after.job.creation_time, after.job.job_id)
        found = await self._page("whole_execution_jobs", master_job_id, EXECUTION_JOB_STATUSES, position, limit)
        return list(map(_whole_execution_job, found))

    async def get_execution_jobs(self, job_ids: Sequence[str]) -> list[WholeExecutionJobRow]:
        """See `RowTransfer.get_execution_jobs`."""
        found = await self._database.all_of("whole_execution_jobs_of", job_ids)
        return list(map(_whole_execution_job, found))

    async def list_records(
        self, master_job_id: str, *, after: WholeRecordRow | None = None, limit: int
    ) -> list[WholeRecordRow]:
        """See `RowTransfer.list_records`."""
        position = () if after is None else (after.record.start_time, after.record.record_uid)
        found = await self._page("scan_records", master_job_id, RECORD_STATUSES, position, limit)
        return text_rows.whole_records(found)

    async def get_records(self, record_uids: Sequence[str]) -> list[WholeRecordRow]:
        """See `RowTransfer.get_records`."""
        found = await self._database.all_of("whole_records_of", record_uids)
        return [row._replace(place=None) for row in text_rows.whole_records(found)]

    async def get_run(self, master_job_id: str) -> RunRow | None:
        """See `RowTransfer.get_run`."""
        parameters = (values.text("master_job_id", master_job_id),)
        row = await self._database.first(self._queries["whole_run"], parameters)
        if row is None:
            return None
        run = RunRow._make(row)
        return run._replace(inputs_complete=bool(run.inputs_complete))  # a number in every engine

    async def list_segments(self, master_job_id: str) -> list[SegmentRow]:
        """See `RowTransfer.list_segments`."""
        parameters = (values.text("master_job_id", master_job_id),)
        return list(map(SegmentRow._make, await self._database.all(self._queries["list_segments"], parameters, list)))

    async def get_attempts(self, job_ids: Sequence[str]) -> list[AttemptRow]:
        """See `RowTransfer.get_attempts`."""
        return list(map(AttemptRow._make, await self._database.all_of("whole_attempts_of", job_ids)))

    async def get_steps(self, job_ids: Sequence[str]) -> list[StepRow]:
        """See `RowTransfer.get_steps`."""
        return list(map(StepRow._make, await self._database.all_of("whole_steps_of", job_ids)))

    async def get_standing(self, job_ids: Sequence[str]) -> list[StandingOutcomeRow]:
        """See `RowTransfer.get_standing`."""
        return list(map(StandingOutcomeRow._make, await self._database.all_of("whole_standing_of", job_ids)))

    async def get_versions(self, job_ids: Sequence[str]) -> list[WholeVersionRow]:
        """See `RowTransfer.get_versions`."""
        return text_rows.whole_versions(await self._database.all_of("whole_versions_of", job_ids))

    async def read_version(self, row: WholeVersionRow) -> bytes | None:
        """See `RowTransfer.read_version`."""
        if row.place is None:
            return None
        return await read_stored(self._database, self._data, row.place, row.version.data_sha256)

    async def list_annotations(
        self, master_job_id: str, *, after: AnnotationRow | None = None, limit: int
    ) -> list[AnnotationRow]:
        """See `RowTransfer.list_annotations`."""
        place = ("", "") if after is None else after.place
        parameters = (values.text("master_job_id", master_job_id), *place, limit)
        found = await self._database.all(self._queries["list_annotations_of_run"], parameters, list)
        return list(map(AnnotationRow._make, found))

    async def get_annotations(self, record_uids: Sequence[str]) -> list[AnnotationRow]:
        """See `RowTransfer.get_annotations`."""
        return list(map(AnnotationRow._make, await self._database.all_of("list_annotations", record_uids)))

    # --- writing --------------------------------------------------------------------------------------------------

    async def put_project(self, row: ProjectRow) -> None:
        """See `RowTransfer.put_project`."""
        await self._write(lambda writer: writer.save_project(row))

    async def put_master_job(self, row: MasterJobRow) -> None:
        """See `RowTransfer.put_master_job`."""
        check_id("master_job_id", row.master_job_id)
        check_request_config_name(row.request_config_ref, row.request_config_ref)
        await self._write(lambda writer: transfer_writer.put_master_job(writer, row))

    async def put_execution_jobs(self, rows: Sequence[WholeExecutionJobRow]) -> None:
        """See `RowTransfer.put_execution_jobs`."""
        await self._write(lambda writer: transfer_writer.put_execution_jobs(writer, rows))

    async def put_records(self, rows: Sequence[WholeRecordRow], writes: Sequence[DataWrite | None]) -> None:
        """See `RowTransfer.put_records`."""
        given: list[RecordRow] = []
        for row, write in zip(rows, writes, strict=True):
            check_id("record_uid", row.record.record_uid)
            key = None if write is None else write.key
            digest = None if write is None else content_digest(write.payload or b"")
            given.append(row.record._replace(output_ref=key, data_sha256=digest))
        beside = [((row.unique_key,), row.numbers) for row in rows]
        await self._database.write(
            WriteOperation(
                lambda writer: transfer_writer.put_records(writer, given, beside),
                data=[write for write in writes if write is not None],
            )
        )

    async def put_run(self, row: RunRow) -> None:
        """See `RowTransfer.put_run`."""
        await self._write(lambda writer: transfer_writer.put_run(writer, row))

    async def put_segments(self, rows: Sequence[SegmentRow]) -> None:
        """See `RowTransfer.put_segments`."""
        await self._write(lambda writer: transfer_writer.put_segments(writer, rows))

    async def put_attempts(self, rows: Sequence[AttemptRow]) -> None:
        """See `RowTransfer.put_attempts`."""
        await self._write(lambda writer: transfer_writer.put_attempts(writer, rows))

    async def put_steps(self, rows: Sequence[StepRow]) -> None:
        """See `RowTransfer.put_steps`."""
        await self._write(lambda writer: transfer_writer.put_steps(writer, rows))

    async def put_standing(self, rows: Sequence[StandingOutcomeRow], gone: Sequence[str] = ()) -> None:
        """See `RowTransfer.put_standing`."""
        await self._write(lambda writer: transfer_writer.put_standing(writer, rows, gone))

    async def put_version(self, row: RecordVersionRow, payload: bytes | None) -> None:
        """See `RowTransfer.put_version`."""
        check_id("record_uid", row.record_uid)
        place = digest = None
        writes: list[DataWrite] = []
        if payload is not None:
            key, digest = record_key(row.record_uid), content_digest(payload)
            # The same for two copies at a time: neither leaves behind what the other has written over.
            named = version_named_by(f"{row.number} {digest}")
            place = version_key(key, named) if self._database.overwrites_data else key
            writes = [self._data.write(place, payload)]
        put = row._replace(output_ref=place, data_sha256=digest)
        await self._database.write(WriteOperation(lambda writer: transfer_writer.put_version(writer, put), data=writes))

    async def put_annotations(self, rows: Sequence[AnnotationRow]) -> None:
        """See `RowTransfer.put_annotations`."""
        await self._write(lambda writer: transfer_writer.put_annotations(writer, rows))

    async def remove_versions(self, rows: Sequence[WholeVersionRow]) -> None:
        """See `RowTransfer.remove_versions`."""
        await self._database.write(dropping(self._database, self._data, rows))

    # --- parts ----------------------------------------------------------------------------------------------------

    async def _page(
        self, name: str, master_job_id: str, statuses: Sequence[str], position: Row, limit: int
    ) -> list[Row]:
        repeated = [value for status in statuses for value in (master_job_id, status, *position)]
        text = self._queries.merged(f"{name}_after" if position else name, len(statuses))
        return await self._database.all(text, (*repeated, limit, 0), list)

    async def _write(self, change: Callable[[RowWriter], Sequence[Change] | None]) -> None:
        await self._database.write(WriteOperation(change))


def _whole_execution_job(found: Row) -> WholeExecutionJobRow:
    *columns, counts, position = found
    return WholeExecutionJobRow(ExecutionJobRow._make(columns), counts, position)

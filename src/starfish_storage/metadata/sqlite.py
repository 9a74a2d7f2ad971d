"""Metadata in SQLite: the facade over the writer, the readers and the row codec."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from starfish_storage.codec import content_digest
from starfish_storage.errors import SEE_DAMAGE, InvalidInputError, StoreDamagedError, shorten
from starfish_storage.identifiers import check_id
from starfish_storage.interface import DataHandler, DataWrite, MetadataHandler, RowLogHandler, RunLedger
from starfish_storage.metadata import rows
from starfish_storage.metadata.connection import DATABASE_FILE, Durability
from starfish_storage.metadata.driver import Row
from starfish_storage.metadata.group_commit import GroupCommit
from starfish_storage.metadata.ledger import SQLiteRunLedger
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row_writer import owner_uid
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.session import Session
from starfish_storage.models import (
    EXECUTION_JOB_STATUSES,
    MASTER_JOB_STATUSES,
    RECORD_STATUSES,
    GenerationJob,
    GenerationMasterJob,
    Project,
    Record,
)

Model = TypeVar("Model")

_READS_IN_A_ROW = 50


class SQLiteMetadataHandler(MetadataHandler):
    """Keeps rows in ``metadata.db`` below a root directory, and commits data with them.

    Args:
        root: absolute path of the directory of the database; it must exist at `setup`.
        data: where the data lies.
        row_log: where row changes are noted, to rebuild a lost database from.
        codec: turns models into rows and back.
        durability: ``"power"``: a commit survives a power cut. ``"process"``: it survives a kill -9 and may be lost
            at a power cut, never torn.
        vfs: name of the SQLite file layer; tests pass one that counts or fails.
        data_elsewhere: the data lies in another directory than the database.
    """

    def __init__(
        self,
        root: str,
        data: DataHandler,
        row_log: RowLogHandler,
        codec: RowCodec,
        durability: Durability = "power",
        vfs: str | None = None,
        *,
        data_elsewhere: bool = False,
    ) -> None:
        self._path = f"{root}/{DATABASE_FILE}"
        self._data = data
        self._codec = codec
        self._queries = sqlite_queries()
        self._reads = 0
        open_commit = partial(
            GroupCommit, data=data, row_log=row_log, durability=durability, vfs=vfs, data_elsewhere=data_elsewhere
        )
        self._session = Session(root, open_commit, data, vfs)
        self._ledger = SQLiteRunLedger(self._session, data, codec, self._path)

    @property
    def ledger(self) -> RunLedger:
        """See `MetadataHandler.ledger`."""
        return self._ledger

    async def setup(self) -> None:
        """See `MetadataHandler.setup`."""
        await self._session.open()

    async def close(self) -> None:
        """See `MetadataHandler.close`."""
        await self._session.close()

    def check_open(self) -> None:
        """See `MetadataHandler.check_open`."""
        self._session.readers()

    # --- projects -------------------------------------------------------------------------------------------------

    async def save_project(self, project_data: Project) -> None:
        """See `ProjectContract.save_project`."""
        row = self._codec.project_row(project_data)
        await self._session.write(WriteOperation(lambda writer: writer.save_project(row)))

    async def get_project(self, project_id: str) -> Project | None:
        """See `ProjectContract.get_project`."""
        await self._give_way()
        return self._get("get_project", project_id, self._codec.project)

    async def list_projects(self, limit: int | None = None, offset: int | None = None) -> list[Project]:
        """See `ProjectContract.list_projects`."""
        parameters = rows.page(limit, offset)
        return await self._list(self._queries["list_projects"], parameters, self._codec.project)

    async def delete_project(self, project_id: str, cascade: bool = False) -> None:
        """See `ProjectContract.delete_project`."""
        check_id("project_id", project_id)
        await self._session.write(
            WriteOperation(lambda writer: writer.delete_project(project_id, cascade), removals=(0, 0))
        )

    # --- master jobs ----------------------------------------------------------------------------------------------

    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None:
        """See `MasterJobContract.log_master_job_start`."""
        row = self._codec.master_job_row(job_data)
        await self._session.write(WriteOperation(lambda writer: writer.insert_master_job(row)))

    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None:
        """See `MasterJobContract.log_master_job_end`."""
        row: Row = (
            rows.status("master-job status", final_status, MASTER_JOB_STATUSES),
            rows.optional_json_text("summary", summary),
            rows.optional_timestamp("end_time", end_time),
            rows.timestamp("update_time", update_time),
            *rows.four_counts(summary, "summary"),
            check_id("master_job_id", master_job_id),
        )
        await self._session.write(WriteOperation(lambda writer: writer.end_master_job(row)))

    async def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> None:
        """See `MasterJobContract.update_master_job_status`."""
        row: Row = (
            rows.status("master-job status", status, MASTER_JOB_STATUSES),
            rows.timestamp("update_time", update_time),
            check_id("master_job_id", master_job_id),
        )
        await self._session.write(WriteOperation(lambda writer: writer.update_master_job_status(row)))

    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None:
        """See `MasterJobContract.get_master_job`."""
        await self._give_way()
        return self._get("get_master_job", master_job_id, self._codec.master_job)

    async def list_master_jobs(
        self,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationMasterJob]:
        """See `MasterJobContract.list_master_jobs`."""
        statuses = rows.status_filter("master-job status", status_filter, MASTER_JOB_STATUSES)
        name = "list_master_jobs" if project_id is None else "list_master_jobs_of_project"
        each = () if project_id is None else (rows.text("project_id", project_id),)
        return await self._merge(name, each, statuses, (), rows.page(limit, offset), self._codec.master_job)

    async def delete_master_job(self, master_job_id: str) -> None:
        """See `MasterJobContract.delete_master_job`."""
        check_id("master_job_id", master_job_id)
        await self._session.write(
            WriteOperation(lambda writer: writer.delete_master_job(master_job_id), removals=(0, 0))
        )

    # --- execution jobs -------------------------------------------------------------------------------------------

    async def log_execution_job_start(self, job_data: GenerationJob) -> None:
        """See `ExecutionJobContract.log_execution_job_start`."""
        row = self._codec.execution_job_row(job_data)
        await self._session.write(WriteOperation(lambda writer: writer.save_execution_job(row)))

    async def log_execution_job_end(
        self,
        job_id: str,
        final_status: str,
        counts: dict[str, int],
        end_time: datetime,
        update_time: datetime,
        error_message: str | None = None,
    ) -> None:
        """See `ExecutionJobContract.log_execution_job_end`."""
        row: Row = (
            rows.status("execution-job status", final_status, EXECUTION_JOB_STATUSES),
            rows.optional_json_text("counts", counts),
            rows.optional_timestamp("end_time", end_time),
            rows.timestamp("update_time", update_time),
            rows.optional_text("error_message", error_message),
            *rows.four_counts(counts, "counts"),
            check_id("job_id", job_id),
        )
        await self._session.write(WriteOperation(lambda writer: writer.end_execution_job(row)))

    async def get_execution_job(self, job_id: str) -> GenerationJob | None:
        """See `ExecutionJobContract.get_execution_job`."""
        await self._give_way()
        return self._get("get_execution_job", job_id, self._codec.execution_job)

    async def list_execution_jobs(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs`."""
        statuses = rows.status_filter("execution-job status", status_filter, EXECUTION_JOB_STATUSES)
        each = (rows.text("master_job_id", master_job_id),)
        page = rows.page(limit, offset)
        return await self._merge("list_execution_jobs", each, statuses, (), page, self._codec.execution_job)

    async def list_execution_jobs_by_master_id_and_config_hash(
        self, master_job_id: str, config_hash: str, job_status: str
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs_by_master_id_and_config_hash`."""
        parameters = (
            rows.text("master_job_id", master_job_id),
            rows.status("execution-job status", job_status, EXECUTION_JOB_STATUSES),
            rows.text("config_hash", config_hash),
        )
        # An input has a job or two: fetched on the spot, as single rows are.
        await self._give_way()
        found = self._session.readers().all_at_once(self._queries["list_execution_jobs_of_input"], parameters)
        return self._converted(found, self._codec.execution_job)

    async def completed_config_hashes(self, master_job_id: str) -> set[str]:
        """See `ExecutionJobContract.completed_config_hashes`."""
        parameters = (rows.text("master_job_id", master_job_id),)
        return await self._session.readers().all(
            self._queries["completed_config_hashes"], parameters, lambda found: {row[0] for row in found}
        )

    # --- records --------------------------------------------------------------------------------------------------

    async def log_record_metadata(self, record_data: Record) -> None:
        """See `RecordContract.log_record_metadata`."""
        row = self._codec.record_row(record_data)
        refers_to = () if row[4] is None else (row[4],)
        await self._session.write(WriteOperation(lambda writer: writer.save_record(row), refers_to=refers_to))

    async def get_record_metadata(self, record_uid: str) -> Record | None:
        """See `RecordContract.get_record_metadata`."""
        await self._give_way()
        return self._get("get_record", record_uid, self._codec.record)

    async def get_records_for_master_job(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """See `RecordContract.get_records_for_master_job`."""
        statuses = rows.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (rows.text("master_job_id", master_job_id),)
        return await self._merge("list_records", each, statuses, (), rows.page(limit, offset), self._codec.record)

    async def count_records_for_master_job(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> dict[str, int]:
        """See `RecordContract.count_records_for_master_job`."""
        statuses = rows.status_filter("record status", status_filter, RECORD_STATUSES)
        parameters = (rows.text("master_job_id", master_job_id),)
        counts = dict(self._session.readers().all_at_once(self._queries["count_records"], parameters))
        return {status: counts[status] for status in statuses if status in counts}

    async def list_record_metadata(self, master_job_uuid: str, job_uuid: str) -> list[Record]:
        """See `RecordContract.list_record_metadata`."""
        parameters = (rows.text("job_uuid", job_uuid), rows.text("master_job_uuid", master_job_uuid))
        return await self._list(self._queries["list_records_of_job"], parameters, self._codec.record)

    async def iter_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: Record | None = None,
        batch_size: int = 1000,
    ) -> AsyncIterator[Record]:
        """See `RecordContract.iter_records`."""
        statuses = rows.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (rows.text("master_job_id", master_job_id),)
        page = rows.page(batch_size, None)
        if page[0] < 1:
            raise InvalidInputError(f"batch_size {batch_size} cannot be used: give 1 or more.")
        name, position = "list_records", ()
        while True:
            if after is not None:
                name, position = "list_records_after", rows.position(after)
            batch = await self._merge(name, each, statuses, position, page, self._codec.record)
            for record in batch:
                yield record
            if len(batch) < batch_size:
                return
            after = batch[-1]

    # --- data -----------------------------------------------------------------------------------------------------

    async def save_data(self, kind: str, id: str, write: DataWrite) -> None:
        """See `MetadataHandler.save_data`."""
        await self._session.write(WriteOperation(lambda writer: writer.note_data(kind, id, write), data=(write,)))

    async def save_records(self, records: Sequence[Record], writes: Sequence[DataWrite]) -> None:
        """See `MetadataHandler.save_records`."""
        codec = self._codec
        given = [
            codec.record_row(record, write.key, content_digest(write.payload or b""))
            for record, write in zip(records, writes, strict=True)
        ]
        await self._session.write(WriteOperation(records=given, data=writes))

    async def get_journaled_data(self, key: str) -> bytes | None:
        """See `MetadataHandler.get_journaled_data`."""
        row = self._session.readers().first(self._queries["get_journaled_data"], (key,))
        return None if row is None else row[0]

    async def recount(self) -> None:
        """See `MetadataHandler.recount`."""
        await self._session.write(WriteOperation(lambda writer: writer.recount()))

    async def get_data_digests(self, keys: Sequence[str]) -> dict[str, str]:
        """See `MetadataHandler.get_data_digests`."""
        readers = self._session.readers()
        if len(keys) == 1:  # on the spot, as single rows are
            return _digests(keys, readers.first)
        return await readers.in_pool(partial(_digests, keys, readers.first))

    async def get_referrer(self, key: str) -> str | None:
        """See `MetadataHandler.get_referrer`."""
        first = self._session.readers().first
        if first(self._queries["get_data_digest"], (owner_uid(key), key, key)) is not None:
            return "record"
        job = first(self._queries["get_master_job_of_request_config"], (key,))
        return None if job is None else "master job"

    # --- reading --------------------------------------------------------------------------------------------------

    async def _give_way(self) -> None:
        """Let other tasks run now and then: reading on the spot never waits, and a loop of it would starve them."""
        self._reads += 1
        if self._reads % _READS_IN_A_ROW == 0:
            await asyncio.sleep(0)

    def _get(self, query: str, id: str, convert: Callable[[Row], Model]) -> Model | None:
        row = self._session.readers().first(self._queries[query], (rows.text("id", id),))
        return None if row is None else self._converted([row], convert)[0]

    async def _list(self, query: str, parameters: Row, convert: Callable[[Row], Model]) -> list[Model]:
        return await self._session.readers().all(query, parameters, lambda found: self._converted(found, convert))

    def _converted(self, found: Sequence[Row], convert: Callable[[Row], Model]) -> list[Model]:
        converted: list[Model] = []
        try:
            for row in found:
                converted.append(convert(row))  # noqa: PERF401 (how far it came tells which row is damaged)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # Not chained: the parsers' messages quote what stands in the row.
            raise StoreDamagedError(
                self._path,
                f"the row of {shorten(found[len(converted)][0])} cannot be read ({type(error).__name__}); {SEE_DAMAGE}",
            ) from None
        return converted

    async def _merge(
        self,
        name: str,
        each: Row,
        statuses: Sequence[str],
        position: Row,
        page: Row,
        convert: Callable[[Row], Model],
    ) -> list[Model]:
        """Run a list over statuses; ``each`` and ``position`` stand before and behind every status."""
        repeated = tuple(value for status in statuses for value in (*each, status, *position))
        return await self._list(self._queries.merged(name, len(statuses)), (*repeated, *page), convert)


def _digests(keys: Sequence[str], first: Callable[[str, Row], Row | None]) -> dict[str, str]:
    query = sqlite_queries()["get_data_digest"]
    found = {key: first(query, (owner_uid(key), key, key)) for key in keys}
    return {key: row[1] for key, row in found.items() if row is not None and row[1] is not None}

"""Metadata in a relational database: models to rows, rows to named queries, whatever the engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from starfish_storage.codec import content_digest
from starfish_storage.errors import SEE_DAMAGE, StoreDamagedError, shorten
from starfish_storage.identifiers import check_id
from starfish_storage.interface import (
    AnnotationStore,
    DataHandler,
    DataWrite,
    MetadataHandler,
    RecordRow,
    RowTransfer,
    RunLedger,
    ScannedRecord,
)
from starfish_storage.metadata import rows, selecting, values
from starfish_storage.metadata.annotation_store import SQLAnnotationStore
from starfish_storage.metadata.completed_hashes import completed_hashes
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.deleting import Deleting
from starfish_storage.metadata.ledger import RefuseInput, SQLRunLedger
from starfish_storage.metadata.operations import NOTE_DATA, SAVE_ROWS, WriteOperation
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_transfer import SQLRowTransfer
from starfish_storage.metadata.rows import RowCodec
from starfish_storage.metadata.shuffling import Shuffled
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, MASTER_JOB_STATUSES, RECORD_STATUSES

if TYPE_CHECKING:
    from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record

Model = TypeVar("Model")

_UNREADABLE = (ValueError, TypeError, AttributeError, RecursionError)


class SQLMetadataHandler(MetadataHandler):
    """Keeps rows in a database; what differs between engines is in the database and in the subclasses.

    Args:
        database: runs the queries, and commits what is written.
        data: where the data lies.
        codec: turns models into rows and back.
        refuse_input: raises for an input of a run that is not to be stored.
    """

    def __init__(
        self, database: Database, data: DataHandler, codec: RowCodec, refuse_input: RefuseInput | None
    ) -> None:
        self._database = database
        self._data = data
        self._codec = codec
        self._queries = database.queries
        self._ledger = SQLRunLedger(database, data, codec, refuse_input)
        self._annotations = SQLAnnotationStore(database, data, codec)
        self._deleting = Deleting(database)
        self._transfer = SQLRowTransfer(database, data, self._identity)

    @property
    def ledger(self) -> RunLedger:
        """See `MetadataHandler.ledger`."""
        return self._ledger

    @property
    def annotations(self) -> AnnotationStore:
        """See `MetadataHandler.annotations`."""
        return self._annotations

    @property
    def transfer(self) -> RowTransfer:
        """See `MetadataHandler.transfer`."""
        return self._transfer

    async def setup(self) -> None:
        """See `MetadataHandler.setup`."""
        await self._database.open()

    async def close(self) -> None:
        """See `MetadataHandler.close`."""
        await self._database.close()

    def check_open(self) -> None:
        """See `MetadataHandler.check_open`."""
        self._database.check_open()

    # --- projects -------------------------------------------------------------------------------------------------

    async def save_project(self, project_data: Project) -> None:
        """See `ProjectContract.save_project`."""
        row = self._codec.project_row(project_data)
        await self._database.write(WriteOperation(lambda writer: writer.save_project(row)))

    async def get_project(self, project_id: str) -> Project | None:
        """See `ProjectContract.get_project`."""
        return await self._get("get_project", project_id, self._codec.project)

    async def list_projects(self, limit: int | None = None, offset: int | None = None) -> list[Project]:
        """See `ProjectContract.list_projects`."""
        parameters = selecting.page(limit, offset)
        return await self._list(self._queries["list_projects"], parameters, self._codec.project)

    async def delete_project(self, project_id: str, cascade: bool = False) -> None:
        """See `ProjectContract.delete_project`."""
        await self._deleting.delete_project(project_id, cascade)

    # --- master jobs ----------------------------------------------------------------------------------------------

    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None:
        """See `MasterJobContract.log_master_job_start`."""
        row = self._codec.master_job_row(job_data)
        await self._database.write(WriteOperation(lambda writer: writer.insert_master_job(row)))

    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None:
        """See `MasterJobContract.log_master_job_end`."""
        row = self._codec.master_job_end_row(master_job_id, final_status, summary, end_time, update_time)
        await self._database.write(WriteOperation(lambda writer: writer.end_master_job(row)))

    async def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> None:
        """See `MasterJobContract.update_master_job_status`."""
        known = values.status("master-job status", status, MASTER_JOB_STATUSES)
        moment = values.timestamp("update_time", update_time)
        check_id("master_job_id", master_job_id)
        await self._database.write(
            WriteOperation(lambda writer: writer.update_master_job_status(master_job_id, known, moment))
        )

    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None:
        """See `MasterJobContract.get_master_job`."""
        return await self._get("get_master_job", master_job_id, self._codec.master_job)

    async def get_newest_master_job(self) -> GenerationMasterJob | None:
        """See `MasterJobContract.get_newest_master_job`."""
        row = await self._database.first(self._queries["newest_master_job"], ())
        return None if row is None else self._converted([row], self._codec.master_job)[0]

    async def list_master_jobs(
        self,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationMasterJob]:
        """See `MasterJobContract.list_master_jobs`."""
        statuses = selecting.status_filter("master-job status", status_filter, MASTER_JOB_STATUSES)
        name = "list_master_jobs" if project_id is None else "list_master_jobs_of_project"
        each = () if project_id is None else (values.text("project_id", project_id),)
        return await self._merge(name, each, statuses, (), selecting.page(limit, offset), self._codec.master_job)

    async def delete_master_job(self, master_job_id: str) -> None:
        """See `MasterJobContract.delete_master_job`."""
        await self._deleting.delete_master_job(master_job_id)

    # --- execution jobs -------------------------------------------------------------------------------------------

    async def log_execution_job_start(self, job_data: GenerationJob) -> None:
        """See `ExecutionJobContract.log_execution_job_start`."""
        row = self._codec.execution_job_row(job_data)
        await self._database.write(
            WriteOperation(lambda writer: writer.save_execution_job(row), batch=("save_execution_jobs", row))
        )

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
        row = self._codec.execution_job_end_row(job_id, final_status, counts, end_time, update_time, error_message)
        await self._database.write(
            WriteOperation(lambda writer: writer.end_execution_job(row), batch=("end_execution_jobs", row))
        )

    async def get_execution_job(self, job_id: str) -> GenerationJob | None:
        """See `ExecutionJobContract.get_execution_job`."""
        return await self._get("get_execution_job", job_id, self._codec.execution_job)

    async def list_execution_jobs(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs`."""
        statuses = selecting.status_filter("execution-job status", status_filter, EXECUTION_JOB_STATUSES)
        each = (values.text("master_job_id", master_job_id),)
        page = selecting.page(limit, offset)
        return await self._merge("list_execution_jobs", each, statuses, (), page, self._codec.execution_job)

    async def list_execution_jobs_by_master_id_and_config_hash(
        self, master_job_id: str, config_hash: str, job_status: str
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs_by_master_id_and_config_hash`."""
        parameters = (
            values.text("master_job_id", master_job_id),
            values.status("execution-job status", job_status, EXECUTION_JOB_STATUSES),
            values.text("config_hash", config_hash),
        )
        # An input has a job or two: fetched on the spot, as single rows are.
        found = await self._database.all_at_once(self._queries["list_execution_jobs_of_input"], parameters)
        return self._converted(found, self._codec.execution_job)

    async def completed_config_hashes(self, master_job_id: str) -> set[str]:
        """See `ExecutionJobContract.completed_config_hashes`."""
        return await completed_hashes(self._database, values.text("master_job_id", master_job_id))

    # --- records --------------------------------------------------------------------------------------------------

    async def log_record_metadata(self, record_data: Record) -> None:
        """See `RecordContract.log_record_metadata`."""
        row = self._codec.record_row(record_data)
        await self._database.write(
            WriteOperation(
                lambda writer: writer.save_record(row),
                refers_to=() if row.output_ref is None else (row.output_ref,),
                batch=(SAVE_ROWS, row),
            )
        )

    async def get_record_metadata(self, record_uid: str) -> Record | None:
        """See `RecordContract.get_record_metadata`."""
        return await self._get("get_record", record_uid, self._codec.record)

    async def get_records_for_master_job(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """See `RecordContract.get_records_for_master_job`."""
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (values.text("master_job_id", master_job_id),)
        return await self._merge("list_records", each, statuses, (), selecting.page(limit, offset), self._codec.record)

    async def count_records_for_master_job(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> dict[str, int]:
        """See `RecordContract.count_records_for_master_job`."""
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        parameters = (values.text("master_job_id", master_job_id),)
        counts = dict(await self._database.all_at_once(self._queries["count_records"], parameters))
        return {status: counts[status] for status in statuses if status in counts}

    async def list_record_metadata(self, master_job_uuid: str, job_uuid: str) -> list[Record]:
        """See `RecordContract.list_record_metadata`."""
        parameters = (values.text("job_uuid", job_uuid), values.text("master_job_uuid", master_job_uuid))
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
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (values.text("master_job_id", master_job_id),)
        page = (selecting.batch_size(batch_size), 0)
        name, position = "list_records", ()
        while True:
            if after is not None:
                name, position = "list_records_after", selecting.position(after)
            batch = await self._merge(name, each, statuses, position, page, self._codec.record)
            for record in batch:
                yield record
            if len(batch) < batch_size:
                return
            after = batch[-1]

    async def list_record_rows(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: ScannedRecord | None = None,
        batch_size: int,
        backwards: bool = False,
        seed: int | None = None,
    ) -> tuple[list[RecordRow], list[str | None]]:
        """See `MetadataHandler.list_record_rows`."""
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (values.text("master_job_id", master_job_id),)
        page = (selecting.batch_size(batch_size), 0)
        position = () if after is None else selecting.scan_position(after)
        if seed is not None:
            asked = Shuffled(selecting.seed(seed), after and after.record_uid, backwards, batch_size)
            return await self._list_shuffled(master_job_id, statuses, asked)
        ends = ("scan_records_back", "scan_records_before") if backwards else ("scan_records", "scan_records_after")
        name = ends[0 if after is None else 1]
        return await self._database.all(*self._merged(name, each, statuses, position, page), rows.placed_records)

    # --- data -----------------------------------------------------------------------------------------------------

    async def save_data(self, kind: str, id: str, write: DataWrite) -> None:
        """See `MetadataHandler.save_data`."""
        await self._database.write(
            WriteOperation(
                lambda writer: writer.note_data(kind, id, write), data=(write,), batch=(NOTE_DATA, (id, write))
            )
        )

    async def save_records(self, records: Sequence[Record], writes: Sequence[DataWrite]) -> None:
        """See `MetadataHandler.save_records`."""
        codec = self._codec
        given = [
            codec.record_row(record, write.key, content_digest(write.payload or b""))
            for record, write in zip(records, writes, strict=True)
        ]
        await self._database.write(WriteOperation(records=given, data=writes))

    async def recount(self) -> None:
        """See `MetadataHandler.recount`."""
        await self._database.write(WriteOperation(lambda writer: writer.recount()))

    @abstractmethod
    async def _list_shuffled(
        self, master_job_id: str, statuses: Sequence[str], asked: Shuffled
    ) -> tuple[list[RecordRow], list[str | None]]:
        """See `MetadataHandler.list_record_rows`, with a seed."""

    # --- reading --------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _identity(self) -> str:
        """See `RowTransfer.identity`."""

    async def _get(self, query: str, id: str, convert: Callable[[Row], Model]) -> Model | None:
        row = await self._database.first(self._queries[query], (values.text("id", id),))
        if row is None:
            return None
        try:
            return convert(row)
        except _UNREADABLE:
            return self._converted([row], convert)[0]

    async def _list(self, query: str, parameters: Row, convert: Callable[[Row], Model]) -> list[Model]:
        return await self._database.all(query, parameters, lambda found: self._converted(found, convert))

    def _converted(self, found: Sequence[Row], convert: Callable[[Row], Model]) -> list[Model]:
        converted: list[Model] = []
        try:
            for row in found:
                converted.append(convert(row))  # noqa: PERF401 (how far it came tells which row is damaged)
        except _UNREADABLE as error:
            # Not chained: the parsers' messages quote what stands in the row.
            own_id, *_ = found[len(converted)]
            reason = f"the row of {shorten(own_id)} cannot be read ({type(error).__name__}); {SEE_DAMAGE}"
            raise StoreDamagedError(self._database.place, reason) from None
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
        """Run a list over statuses, and convert its rows one by one."""
        return await self._list(*self._merged(name, each, statuses, position, page), convert)

    def _merged(
        self, name: str, each: Row, statuses: Sequence[str], position: Row, page: Row
    ) -> tuple[str, tuple[Any, ...]]:
        """Return a list over statuses and its parameters; ``each`` and ``position`` stand beside every status."""
        repeated = tuple(value for status in statuses for value in (*each, status, *position))
        return self._queries.merged(name, len(statuses)), (*repeated, *page)

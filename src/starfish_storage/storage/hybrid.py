"""A storage made of a metadata handler and a data handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfish_storage.codec import encode
from starfish_storage.errors import InvalidInputError, shorten
from starfish_storage.html_tables import ShownRecords
from starfish_storage.identifiers import check_id
from starfish_storage.interface import (
    AnnotationStore,
    DataHandler,
    DataWrite,
    MetadataHandler,
    RunLedger,
    Storage,
    StoreSize,
    StoreTransfer,
)
from starfish_storage.keys import (
    check_record_key,
    check_request_config_key,
    master_job_of,
    record_key,
    request_config_key,
)
from starfish_storage.storage.data_reading import DataReading
from starfish_storage.storage.measuring import measured
from starfish_storage.storage.scan_calls import ScanCalls
from starfish_storage.storage.search_calls import SearchCalls
from starfish_storage.storage.secret_guard import SecretGuard
from starfish_storage.storage.store_transfer import HybridTransfer
from starfish_storage.times import utc_now

if TYPE_CHECKING:
    from starfish_storage.models import GenerationJob, GenerationMasterJob, Project, Record


class HybridStorage(SearchCalls, ScanCalls, Storage):
    """Keeps rows in one place and JSON data in another, and joins them in one durable step.

    Args:
        metadata: keeps the rows; it was given ``data``, to set it up and to commit both together.
        data: keeps the JSON.
        storage_uri: the URI of the two together.
        capabilities: what the two can do together.
        guard: keeps secrets off the disk; the metadata was given its `refuse_in_input`.
    """

    def __init__(
        self,
        metadata: MetadataHandler,
        data: DataHandler,
        storage_uri: str,
        capabilities: frozenset[str],
        guard: SecretGuard,
    ) -> None:
        self._metadata_handler = metadata
        self._data_handler = data
        self._storage_uri = storage_uri
        self._capabilities = capabilities
        self._guard = guard
        self._reading = DataReading(metadata, data)
        self._transfer = HybridTransfer(metadata, data, self._reading)
        SearchCalls.__init__(self, metadata, storage_uri, self._reading)
        ScanCalls.__init__(self, metadata, self._reading)

    @property
    def storage_uri(self) -> str:
        """See `Storage.storage_uri`."""
        return self._storage_uri

    @property
    def metadata(self) -> MetadataHandler:
        """The handler of the rows, for maintenance."""
        return self._metadata_handler

    @property
    def data(self) -> DataHandler:
        """The handler of the data, for maintenance."""
        return self._data_handler

    @property
    def ledger(self) -> RunLedger:
        """See `Storage.ledger`."""
        return self._metadata_handler.ledger

    @property
    def annotations(self) -> AnnotationStore:
        """See `Storage.annotations`."""
        return self._metadata_handler.annotations

    @property
    def transfer(self) -> StoreTransfer:
        """See `Storage.transfer`."""
        return self._transfer

    async def measure_size(self, *, seconds: float | None = None) -> StoreSize:
        """See `SizeContract.measure_size`."""
        if seconds is not None and not seconds >= 0:
            raise InvalidInputError(f"seconds {seconds} cannot be used: give 0 or more, or None for no limit.")
        rows = await self._metadata_handler.measure_rows()
        found = await asyncio.to_thread(measured, self._data_handler.sizes(), seconds)
        return StoreSize(rows, *found, utc_now(), await self._metadata_handler.measure_unused())

    @property
    def capabilities(self) -> frozenset[str]:
        """See `Storage.capabilities`."""
        return self._capabilities

    async def setup(self) -> None:
        """See `Storage.setup`."""
        await self._metadata_handler.setup()
        self._reading.open()

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._search.close()
        await self._reading.close()
        await self._metadata_handler.close()
        self._data_handler.close()

    # --- data -----------------------------------------------------------------------------------------------------

    def generate_request_config_path(self, master_job_id: str) -> str:
        """See `Storage.generate_request_config_path`."""
        return self._data_handler.to_reference(request_config_key(master_job_id))

    async def save_request_config(self, config_ref: str, config_data: dict[str, Any]) -> str:
        """See `Storage.save_request_config`."""
        self._metadata_handler.check_open()
        data = self._data_handler
        key = data.to_key(config_ref)
        name = master_job_of(key)
        payload = encode(self._guard.request_config(name, config_data), f"request configuration {shorten(name)}")
        await self._metadata_handler.save_data("master_job_id", name, data.write(key, payload))
        return data.to_reference(key)

    async def get_request_config(self, config_ref: str) -> dict[str, Any]:
        """See `Storage.get_request_config`."""
        self._metadata_handler.check_open()
        return await self._reading.read(check_request_config_key(self._data_handler.to_key(config_ref)))

    async def save_record_data(self, record_uid: str, master_job_id: str, job_id: str, data: dict[str, Any]) -> str:
        """See `Storage.save_record_data`."""
        self._metadata_handler.check_open()
        key = record_key(record_uid)
        check_id("master_job_id", master_job_id)
        check_id("job_id", job_id)
        payload = encode(data, f"data of record {record_uid!r}")
        await self._metadata_handler.save_data("record_uid", record_uid, self._data_handler.write(key, payload))
        return self._data_handler.to_reference(key)

    async def get_record_data(self, output_ref: str) -> dict[str, Any]:
        """See `Storage.get_record_data`."""
        self._metadata_handler.check_open()
        return await self._reading.read(check_record_key(self._data_handler.to_key(output_ref)))

    async def get_records_data(self, output_refs: Sequence[str]) -> list[dict[str, Any]]:
        """See `Storage.get_records_data`."""
        self._metadata_handler.check_open()
        keys = [check_record_key(self._data_handler.to_key(reference)) for reference in _as_list(output_refs)]
        return await self._reading.read_many(keys)

    async def save_record(self, record: Record, data: dict[str, Any]) -> str:
        """See `Storage.save_record`."""
        self._metadata_handler.check_open()
        write = self._prepared(record, data)
        await self._metadata_handler.save_records((self._guard.record(record),), (write,))
        return self._refer(record, write)

    async def save_records(self, pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[str]:
        """See `Storage.save_records`."""
        self._metadata_handler.check_open()
        checked = _checked_pairs(pairs)
        records = [record for record, _ in checked]
        writes = [self._prepared(record, data) for record, data in checked]
        clean = [self._guard.record(record) for record in records]
        if not records:
            return []
        await self._metadata_handler.save_records(clean, writes)
        return [self._refer(record, write) for record, write in zip(records, writes, strict=True)]

    def _prepared(self, record: Record, data: dict[str, Any]) -> DataWrite:
        """Return the write of a record's data, which nothing has been done of yet."""
        try:
            uid = record.record_uid
        except AttributeError as error:
            raise InvalidInputError(f"a Record is needed, not {type(record).__name__}.") from error
        return self._data_handler.write(record_key(uid), encode(data, f"data of record {uid!r}"))

    def _refer(self, record: object, write: DataWrite) -> str:
        """Set and return the reference of a record whose data has been saved."""
        from starfish_storage.models import Record  # which takes long to import, and reading does without

        reference = self._data_handler.to_reference(write.key)
        if isinstance(record, Record):
            # Past the validation of assignments, which costs more than the rest of the bookkeeping of a save.
            vars(record)["output_ref"] = reference
            record.model_fields_set.add("output_ref")
        else:
            setattr(record, "output_ref", reference)  # noqa: B010 (an object with a record's attributes, of any class)
        return reference

    # --- metadata: handed on as they are --------------------------------------------------------------------------

    async def save_project(self, project_data: Project) -> None:
        """See `ProjectContract.save_project`."""
        await self._metadata_handler.save_project(project_data)

    async def get_project(self, project_id: str) -> Project | None:
        """See `ProjectContract.get_project`."""
        return await self._metadata_handler.get_project(project_id)

    async def list_projects(self, limit: int | None = None, offset: int | None = None) -> list[Project]:
        """See `ProjectContract.list_projects`."""
        return await self._metadata_handler.list_projects(limit, offset)

    async def delete_project(self, project_id: str, cascade: bool = False) -> None:
        """See `ProjectContract.delete_project`."""
        await self._metadata_handler.delete_project(project_id, cascade)
        await self._search.forget_deleted()

    async def log_master_job_start(self, job_data: GenerationMasterJob) -> None:
        """See `MasterJobContract.log_master_job_start`."""
        await self._metadata_handler.log_master_job_start(job_data)

    async def log_master_job_end(
        self,
        master_job_id: str,
        final_status: str,
        summary: dict[str, Any] | None,
        end_time: datetime,
        update_time: datetime,
    ) -> None:
        """See `MasterJobContract.log_master_job_end`."""
        await self._metadata_handler.log_master_job_end(master_job_id, final_status, summary, end_time, update_time)

    async def update_master_job_status(self, master_job_id: str, status: str, update_time: datetime) -> None:
        """See `MasterJobContract.update_master_job_status`."""
        await self._metadata_handler.update_master_job_status(master_job_id, status, update_time)

    async def get_master_job(self, master_job_id: str) -> GenerationMasterJob | None:
        """See `MasterJobContract.get_master_job`."""
        return await self._metadata_handler.get_master_job(master_job_id)

    async def get_newest_master_job(self) -> GenerationMasterJob | None:
        """See `MasterJobContract.get_newest_master_job`."""
        return await self._metadata_handler.get_newest_master_job()

    async def list_master_jobs(
        self,
        project_id: str | None = None,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationMasterJob]:
        """See `MasterJobContract.list_master_jobs`."""
        return await self._metadata_handler.list_master_jobs(project_id, status_filter, limit, offset)

    async def delete_master_job(self, master_job_id: str) -> None:
        """See `MasterJobContract.delete_master_job`."""
        await self._metadata_handler.delete_master_job(master_job_id)
        await self._search.forget_deleted()

    async def log_execution_job_start(self, job_data: GenerationJob) -> None:
        """See `ExecutionJobContract.log_execution_job_start`."""
        await self._metadata_handler.log_execution_job_start(self._guard.execution_job(job_data))

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
        await self._metadata_handler.log_execution_job_end(
            job_id, final_status, counts, end_time, update_time, self._guard.error_message(error_message)
        )

    async def get_execution_job(self, job_id: str) -> GenerationJob | None:
        """See `ExecutionJobContract.get_execution_job`."""
        return await self._metadata_handler.get_execution_job(job_id)

    async def list_execution_jobs(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs`."""
        return await self._metadata_handler.list_execution_jobs(master_job_id, status_filter, limit, offset)

    async def list_execution_jobs_by_master_id_and_config_hash(
        self, master_job_id: str, config_hash: str, job_status: str
    ) -> list[GenerationJob]:
        """See `ExecutionJobContract.list_execution_jobs_by_master_id_and_config_hash`."""
        return await self._metadata_handler.list_execution_jobs_by_master_id_and_config_hash(
            master_job_id, config_hash, job_status
        )

    async def completed_config_hashes(self, master_job_id: str) -> set[str]:
        """See `ExecutionJobContract.completed_config_hashes`."""
        return await self._metadata_handler.completed_config_hashes(master_job_id)

    async def log_record_metadata(self, record_data: Record) -> None:
        """See `RecordContract.log_record_metadata`."""
        await self._metadata_handler.log_record_metadata(self._guard.record(record_data))

    async def get_record_metadata(self, record_uid: str) -> Record | None:
        """See `RecordContract.get_record_metadata`."""
        return await self._metadata_handler.get_record_metadata(record_uid)

    async def get_records_for_master_job(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        """See `RecordContract.get_records_for_master_job`."""
        handler = self._metadata_handler
        return ShownRecords(await handler.get_records_for_master_job(master_job_id, status_filter, limit, offset))

    async def count_records_for_master_job(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> dict[str, int]:
        """See `RecordContract.count_records_for_master_job`."""
        return await self._metadata_handler.count_records_for_master_job(master_job_id, status_filter)

    async def list_record_metadata(self, master_job_uuid: str, job_uuid: str) -> list[Record]:
        """See `RecordContract.list_record_metadata`."""
        return ShownRecords(await self._metadata_handler.list_record_metadata(master_job_uuid, job_uuid))

    def iter_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: Record | None = None,
        batch_size: int = 1000,
    ) -> AsyncIterator[Record]:
        """See `RecordContract.iter_records`."""
        return self._metadata_handler.iter_records(master_job_id, status_filter, after=after, batch_size=batch_size)


def _as_list(references: Sequence[str]) -> list[str]:
    try:
        if not isinstance(references, str):
            return list(references)
    except TypeError:
        pass
    raise InvalidInputError("get_records_data takes a list of references; for one, call get_record_data.")


def _checked_pairs(pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[tuple[Record, dict[str, Any]]]:
    try:
        return [(record, data) for record, data in pairs]
    except (TypeError, ValueError) as error:
        raise InvalidInputError("save_records takes pairs of a record and its data.") from error

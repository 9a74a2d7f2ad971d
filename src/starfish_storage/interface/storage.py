"""The contract of a storage: what callers use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from starfish_storage.interface.annotations import AnnotationStore
from starfish_storage.interface.entities import (
    ExecutionJobContract,
    MasterJobContract,
    ProjectContract,
    RecordContract,
)
from starfish_storage.interface.ledger import RunLedger
from starfish_storage.interface.scanning import RecordScan
from starfish_storage.interface.search import RecordSearch
from starfish_storage.interface.sizes import SizeContract
from starfish_storage.interface.transfer import StoreTransfer

if TYPE_CHECKING:
    from starfish_storage.models import Record


class Storage(
    ProjectContract,
    MasterJobContract,
    ExecutionJobContract,
    RecordContract,
    RecordScan,
    RecordSearch,
    SizeContract,
):
    """Where a generation run writes: projects, jobs, records, request configurations and record data.

    ``async with`` sets the storage up and closes it.
    """

    @property
    @abstractmethod
    def storage_uri(self) -> str:
        """The URI of this storage, as `GenerationMasterJob.storage_uri` takes it."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """What this storage can do, as flags.

        Published: ``QUERY_METADATA`` (lists and counts), ``FILTER_STATUS`` (by status), ``STORE_LARGE_CONFIG``
        (request configurations of any size). Beyond: ``ATOMIC_RECORDS`` (`save_record` is one durable step),
        ``DELETE`` (jobs and projects can be deleted), ``POWER_SAFE`` (what was acknowledged survives a power cut),
        ``SHARED`` (several processes may use the store at a time), ``RELOCATABLE`` (it can be moved and copied),
        ``RUNS`` (it has a `ledger`).
        """

    @property
    @abstractmethod
    def ledger(self) -> RunLedger:
        """What runs keep beyond jobs and records: attempts, paid steps, and who works on which input."""

    @property
    @abstractmethod
    def annotations(self) -> AnnotationStore:
        """What people say of records: verdicts, labels, ratings, comments and edits."""

    @property
    @abstractmethod
    def transfer(self) -> StoreTransfer:
        """Whole rows and data as bytes, for `starfish_storage.copying`."""

    @abstractmethod
    async def setup(self) -> None:
        """Open the store, creating it if need be, and finish what a killed run left. Idempotent. Durable.

        A store of an earlier format is migrated in a directory, and refused on a server: see `maintenance.migrate`.
        A local store that writes no more, because a disk has failed it, writes again after another call.

        Raises:
            StoreOpenError: it cannot be opened; its subclasses say why.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish every call that was accepted, then close. Idempotent; `setup` opens the store again.

        Makes everything power-safe. Raises nothing of its own.
        """

    async def __aenter__(self) -> Self:
        """Set the storage up."""
        await self.setup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the storage, after an error too."""
        await self.close()

    @abstractmethod
    def generate_request_config_path(self, master_job_id: str) -> str:
        """Return the reference under which a master job's request configuration is to be saved. No I/O.

        Raises:
            InvalidIdError: the id cannot be used.
        """

    @abstractmethod
    async def save_request_config(self, config_ref: str, config_data: dict[str, Any]) -> str:
        """Save a request configuration, replacing an earlier one. Idempotent. Durable.

        Args:
            config_ref: what `generate_request_config_path` returned.
            config_data: a JSON object.

        Returns:
            The reference, as `get_request_config` takes it.

        Raises:
            InvalidReferenceError: the reference is not one of a request configuration in this store.
            InvalidDataError: the configuration is not JSON.
        """

    @abstractmethod
    async def get_request_config(self, config_ref: str) -> dict[str, Any]:
        """Return a request configuration.

        Raises:
            DataNotFoundError: the store has no data under that reference; also a `FileNotFoundError`.
            InvalidReferenceError: the reference lies outside the store.
        """

    @abstractmethod
    async def save_record_data(self, record_uid: str, master_job_id: str, job_id: str, data: dict[str, Any]) -> str:
        """Save the data of a record, replacing an earlier version. Idempotent. Durable.

        The record's row is saved by `log_record_metadata`; `save_record` does both in one step.

        Args:
            record_uid: the record.
            master_job_id: the master job it belongs to; it need not exist yet.
            job_id: the execution job it came from; it need not exist yet.
            data: a JSON object; it reads back equal, in value and type.

        Returns:
            The ``output_ref``, as `get_record_data` and `Record.output_ref` take it.

        Raises:
            InvalidIdError: an id cannot be used.
            InvalidDataError: the data is not JSON.
        """

    @abstractmethod
    async def get_record_data(self, output_ref: str) -> dict[str, Any]:
        """Return the data of a record.

        Raises:
            DataNotFoundError: the store has no data under that reference; also a `FileNotFoundError`.
            InvalidReferenceError: the reference lies outside the store.
            StoreDamagedError: what is there is not JSON.
        """

    @abstractmethod
    async def get_records_data(self, output_refs: Sequence[str]) -> list[dict[str, Any]]:
        """Return the data of several records, in the order of their references. Raises as `get_record_data`."""

    @abstractmethod
    async def save_record(self, record: Record, data: dict[str, Any]) -> str:
        """Save a record's data and metadata in one durable step: both or neither. Idempotent. Durable.

        Args:
            record: the metadata; its ``output_ref`` is set when the call succeeds.
            data: a JSON object.

        Returns:
            The ``output_ref``.

        Raises:
            ParentNotFoundError: its execution job or master job does not exist.
            InvalidInputError: its execution job belongs to another master job.
            InvalidDataError: the data is not JSON.
        """

    @abstractmethod
    async def save_records(self, pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[str]:
        """Save several records as `save_record` does, all or none of them, and return their references.

        Idempotent. Durable.

        Raises as `save_record`.
        """

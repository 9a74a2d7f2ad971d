# Made by scripts/make_sync.py from starfish_storage.interface.storage: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.storage`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from starfish_storage import portal
from starfish_storage.interface import storage as asynchronous
from starfish_storage.sync.annotations import AnnotationStore
from starfish_storage.sync.entities import ExecutionJobContract, MasterJobContract, ProjectContract, RecordContract
from starfish_storage.sync.ledger import RunLedger
from starfish_storage.sync.scanning import RecordScan
from starfish_storage.sync.search import RecordSearch
from starfish_storage.sync.sizes import SizeContract
from starfish_storage.sync.transfer import StoreTransfer

if TYPE_CHECKING:
    from starfish_storage.models import Record


class Storage(
    ProjectContract, MasterJobContract, ExecutionJobContract, RecordContract, RecordScan, RecordSearch, SizeContract
):
    """Where a generation run writes: projects, jobs, records, request configurations and record data.

    ``with`` sets the storage up and closes it.
    """

    def __init__(self, asynchronous: asynchronous.Storage) -> None:
        super().__init__(asynchronous)

    @property
    def asynchronous(self) -> asynchronous.Storage:
        """The asynchronous object that this one calls, for code in an event loop."""
        return self._asynchronous

    @property
    def _called(self) -> asynchronous.Storage:
        return self._asynchronous

    @property
    def storage_uri(self) -> str:
        """The URI of this storage, as `GenerationMasterJob.storage_uri` takes it."""
        return self._called.storage_uri

    @property
    def capabilities(self) -> frozenset[str]:
        """What this storage can do, as flags.

        Published: ``QUERY_METADATA`` (lists and counts), ``FILTER_STATUS`` (by status), ``STORE_LARGE_CONFIG``
        (request configurations of any size). Beyond: ``ATOMIC_RECORDS`` (`save_record` is one durable step),
        ``DELETE`` (jobs and projects can be deleted), ``POWER_SAFE`` (what was acknowledged survives a power cut),
        ``SHARED`` (several processes may use the store at a time), ``RELOCATABLE`` (it can be moved and copied),
        ``RUNS`` (it has a `ledger`).
        """
        return self._called.capabilities

    @property
    def ledger(self) -> RunLedger:
        """What runs keep beyond jobs and records: attempts, paid steps, and who works on which input."""
        return RunLedger(self._called.ledger)

    @property
    def annotations(self) -> AnnotationStore:
        """What people say of records: verdicts, labels, ratings, comments and edits."""
        return AnnotationStore(self._called.annotations)

    @property
    def transfer(self) -> StoreTransfer:
        """Whole rows and data as bytes, for `starfish_storage.copying`."""
        return StoreTransfer(self._called.transfer)

    def setup(self) -> None:
        """Open the store, creating it if need be, and finish what a killed run left. Idempotent. Durable.

        A store of an earlier format is migrated in a directory, and refused on a server: see `maintenance.migrate`.
        A local store that writes no more, because a disk has failed it, writes again after another call.

        Raises:
            StoreOpenError: it cannot be opened; its subclasses say why.
        """
        return portal.call(self._called.setup())

    def close(self) -> None:
        """Finish every call that was accepted, then close. Idempotent; `setup` opens the store again.

        Makes everything power-safe. Raises nothing of its own.
        """
        return portal.call(self._called.close())

    def __enter__(self) -> Self:
        """Set the storage up."""
        self.setup()
        portal.close_at_exit(self.asynchronous)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the storage, after an error too."""
        self.close()

    def generate_request_config_path(self, master_job_id: str) -> str:
        """Return the reference under which a master job's request configuration is to be saved. No I/O.

        Raises:
            InvalidIdError: the id cannot be used.
        """
        return self._called.generate_request_config_path(master_job_id)

    def save_request_config(self, config_ref: str, config_data: dict[str, Any]) -> str:
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
        return portal.call(self._called.save_request_config(config_ref, config_data))

    def get_request_config(self, config_ref: str) -> dict[str, Any]:
        """Return a request configuration.

        Raises:
            DataNotFoundError: the store has no data under that reference; also a `FileNotFoundError`.
            InvalidReferenceError: the reference lies outside the store.
        """
        return portal.call(self._called.get_request_config(config_ref))

    def save_record_data(self, record_uid: str, master_job_id: str, job_id: str, data: dict[str, Any]) -> str:
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
        return portal.call(self._called.save_record_data(record_uid, master_job_id, job_id, data))

    def get_record_data(self, output_ref: str) -> dict[str, Any]:
        """Return the data of a record.

        Raises:
            DataNotFoundError: the store has no data under that reference; also a `FileNotFoundError`.
            InvalidReferenceError: the reference lies outside the store.
            StoreDamagedError: what is there is not JSON.
        """
        return portal.call(self._called.get_record_data(output_ref))

    def get_records_data(self, output_refs: Sequence[str]) -> list[dict[str, Any]]:
        """Return the data of several records, in the order of their references. Raises as `get_record_data`."""
        return portal.call(self._called.get_records_data(output_refs))

    def save_record(self, record: Record, data: dict[str, Any]) -> str:
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
        return portal.call(self._called.save_record(record, data))

    def save_records(self, pairs: Iterable[tuple[Record, dict[str, Any]]]) -> list[str]:
        """Save several records as `save_record` does, all or none of them, and return their references.

        Idempotent. Durable.

        Raises as `save_record`.
        """
        return portal.call(self._called.save_records(pairs))

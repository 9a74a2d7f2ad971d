"""The contract of a metadata handler: rows, and the commit that joins rows and data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from starfish_storage.interface.annotations import AnnotationStore
from starfish_storage.interface.change_feed import ChangeFeed
from starfish_storage.interface.data import DataWrite
from starfish_storage.interface.entities import (
    ExecutionJobContract,
    MasterJobContract,
    ProjectContract,
    RecordContract,
)
from starfish_storage.interface.ledger import RunLedger
from starfish_storage.interface.rows import DataLocation, RecordRow
from starfish_storage.interface.scanning import ScannedRecord
from starfish_storage.interface.transfer import RowTransfer
from starfish_storage.keys import PackPlace

if TYPE_CHECKING:
    from starfish_storage.models import Record

Result = TypeVar("Result")


class MetadataHandler(ProjectContract, MasterJobContract, ExecutionJobContract, RecordContract):
    """Keeps the rows, and owns the commit: of rows alone, of data alone, and of both in one step.

    It stores keys and returns references; the data handler turns one into the other.
    """

    @property
    @abstractmethod
    def ledger(self) -> RunLedger:
        """What runs keep beyond jobs and records, in the same commits."""

    @property
    @abstractmethod
    def annotations(self) -> AnnotationStore:
        """What people say of records."""

    @property
    @abstractmethod
    def changes(self) -> ChangeFeed:
        """What changed, for the text search."""

    @property
    @abstractmethod
    def transfer(self) -> RowTransfer:
        """Whole rows, for copies."""

    @abstractmethod
    async def setup(self) -> None:
        """Open the database, create or migrate its schema, and finish what a killed writer left. Idempotent. Durable.

        It sets up the data handler too, once it knows that the database is one of ours.

        Raises:
            StoreOpenError: it cannot be opened, is not one of ours, or was written by a newer release.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish every call that was accepted, make everything power-safe, and close. Idempotent.

        Raises nothing of its own.
        """

    @abstractmethod
    def check_open(self) -> None:
        """Raise unless the handler can be used now, in this process.

        Raises:
            NotSetUpError: `setup` was not called.
            StorageClosedError: `close` was called.
            ForkedProcessError: it was set up in another process, of which this one is a fork.
        """

    @abstractmethod
    async def save_data(self, kind: str, id: str, write: DataWrite) -> None:
        """Write data without a row. Idempotent. Durable.

        Args:
            kind: what the data belongs to, ``"record_uid"`` or ``"master_job_id"``.
            id: the id of that.
            write: the data.

        Raises:
            IdCollisionError: a stored id differs from this one only in case.
        """

    @abstractmethod
    async def save_records(self, records: Sequence[Record], writes: Sequence[DataWrite]) -> None:
        """Write data and upsert the rows that refer to it, all or nothing. Idempotent. Durable.

        Args:
            records: the rows; their own ``output_ref`` is ignored.
            writes: the data of each, in the same order.

        Raises:
            ParentNotFoundError: an execution job or master job does not exist.
            IdCollisionError: a stored uid differs from one of these only in case.
        """

    @abstractmethod
    async def measure_rows(self) -> int:
        """Return how many bytes the rows take, with their logs and indexes. Raises nothing of its own."""

    async def measure_unused(self) -> int | None:
        """Return how many bytes of packs no row refers to; None: that is not known. Raises nothing of its own."""
        return None

    @abstractmethod
    async def recount(self) -> None:
        """Count the records again, and correct every stored count, also those of ended execution jobs.

        Idempotent. Durable. Raises nothing of its own.
        """

    @abstractmethod
    async def locate_data(self, keys: Sequence[str]) -> dict[str, DataLocation]:
        """Return where the data of these keys lies, for those keys that the store knows.

        Raises nothing of its own.
        """

    def locate_at_once(self, key: str) -> tuple[str | PackPlace, str | None] | None:  # noqa: ARG002 (for others)
        """Return where data lies, and its SHA-256 in hex if that is known, where both can be told on the spot.

        None: they cannot, or `locate_data` knows more. What lies there may be about to be replaced, as anything may.
        """
        return None

    async def read_lines(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None,
        after: ScannedRecord | None,
        limit: int,
        read: Callable[[Sequence[Sequence[Any]]], Result],
    ) -> Result | None:
        """Return what a function makes of the next records, in the order of `list_record_rows`.

        It is called in the thread that has looked them up, with a sequence for each: uid, start time, SHA-256 of the
        data in hex, and the pack, the start and the length of its line there; None for what is not known, or not so.
        None: this handler does not list them, and `list_record_rows` does.
        """
        _ = master_job_id, status_filter, after, limit, read
        return None

    @abstractmethod
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
        """Return rows of a master job's records, oldest first by start time, then by uid, and the places of their data.

        A place is the key under which the data handler has a record's data: the record's own, or that of the current
        version; None if the record has no data. Places stand in a second list, because one more object for each record
        would slow a scan down by a tenth.

        Args:
            master_job_id: which one.
            status_filter: only records in one of these statuses.
            after: begin behind this record.
            batch_size: at most so many, at least 1.
            backwards: the other way round.
            seed: in the order of this shuffle, as `RecordScan.scan_records` has it.

        Raises:
            InvalidInputError: an argument has the wrong type, or ``batch_size`` is less than 1.
        """

    @abstractmethod
    async def get_referrer(self, key: str) -> str | None:
        """Return what refers to a key: ``"record"``, ``"master job"`` or None. Raises nothing of its own."""

    @abstractmethod
    async def get_journaled_data(self, key: str) -> bytes | None:
        """Return what was committed under a key but may not be in place yet; None if nothing is pending.

        Raises nothing of its own.
        """

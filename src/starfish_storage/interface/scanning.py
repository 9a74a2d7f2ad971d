"""The contract of scans: records with their data, in bulk, as exports and copies read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from starfish_storage.errors import StorageError
from starfish_storage.models import StatusRecord


class ScannedRecord(NamedTuple):
    """A record with its data, as they are stored: nothing is parsed, for a scan reads millions.

    Attributes:
        record_uid: unique id.
        job_id: the execution job it came from.
        master_job_id: the master job it belongs to.
        status: what became of it.
        output_ref: reference to its data; None if it has none.
        start_time: when the generator produced it, in UTC, ``2026-01-31T12:00:00.000000Z``.
        end_time: when its status was settled, written so.
        last_update_time: when it was last changed, written so.
        error_message: what went wrong with it.
        sha256: SHA-256 of its data, in lower-case hex; None if it has none, or it is not known.
        payload: its data, the bytes of one JSON object; None if it has none, or it could not be read.
        error: why its data could not be read: it is lost or damaged.
    """

    record_uid: str
    job_id: str
    master_job_id: str
    status: StatusRecord
    output_ref: str | None
    start_time: str
    end_time: str
    last_update_time: str
    error_message: str | None
    sha256: str | None
    payload: bytes | None
    error: StorageError | None


class RecordScan(ABC):
    """Reading all records of a master job with their data."""

    @abstractmethod
    def scan_records(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None = None,
        *,
        after: ScannedRecord | None = None,
        batch_size: int = 500,
    ) -> AsyncIterator[list[ScannedRecord]]:
        """Stream a master job's records with their data, oldest first by start time, then by uid, in constant memory.

        The data was compared with its digest, and is that of the last committed version. Data that is lost or damaged
        ends nothing: its record carries the error. What is saved meanwhile may be seen or not; nothing is seen twice
        unless its start time is changed meanwhile.

        Args:
            master_job_id: which one; one that does not exist has no records.
            status_filter: only records in one of these statuses.
            after: begin behind this record.
            batch_size: records in a batch, at least 1; fewer, where their data is large.

        Raises:
            InvalidInputError: an argument has the wrong type, or ``batch_size`` is less than 1.
            InvalidStatusError: a status is unknown.
        """

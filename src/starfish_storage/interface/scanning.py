"""The contract of scans: records with their data, in bulk, as exports and copies read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from starfish_storage.errors import StorageError
from starfish_storage.statuses import StatusRecord


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
        error: why its data was not read: it is lost or damaged, or larger than was asked for.
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


class ScannedLines(NamedTuple):
    """The data of records, each on a line: one JSON object that ends in a newline and has no other.

    Attributes:
        record_uids: unique ids.
        lines: the data of each, which was compared with its digest.
    """

    record_uids: Sequence[str]
    lines: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class DataPlace:
    """Where the data of a record lies, for people and for other programs that read it.

    Attributes:
        path: absolute path of the file, or URI of the object: its own, or that of a pack, which holds many records.
        start: in a pack, the byte where the record begins, from 0; None: the file or object is the record's own. In a
            pack that is compressed, of what it is uncompressed.
        length: in a pack, how many bytes the record has, with the newline.
        line: in a pack that is a file, the number of the line, from 1.
    """

    path: str
    start: int | None = None
    length: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return the place for people.

        >>> print(DataPlace("/store/data/packs/000012.jsonl", 4567, 1500, 345))
        /store/data/packs/000012.jsonl, line 345 (bytes 4567 to 6067)
        """
        if self.start is None or self.length is None:
            return self.path
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.path}{line} (bytes {self.start} to {self.start + self.length})"


def is_line(payload: bytes) -> bool:
    """Return whether data is a line as this library writes it, as far as its ends tell: it is not parsed."""
    return payload.endswith(b"}\n") and payload.startswith(b"{") and payload.find(b"\n") == len(payload) - 1


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
        backwards: bool = False,
        seed: int | None = None,
        with_data: bool = True,
        largest: int | None = None,
    ) -> AsyncIterator[list[ScannedRecord]]:
        """Stream a master job's records with their data, oldest first by start time, then by uid, in constant memory.

        With a ``seed``, in the order of a shuffle: its first n records are a uniform sample, and the same seed gives
        the same order, in one store and as long as no records come or go. The first ones cost little among millions.

        The data was compared with its digest, and is that of the last committed version. Data that is lost or damaged
        ends nothing: its record carries the error. What is saved meanwhile may be seen or not; nothing is seen twice
        unless its start time is changed meanwhile.

        Args:
            master_job_id: which one; one that does not exist has no records.
            status_filter: only records in one of these statuses.
            after: begin behind this record.
            batch_size: records in a batch, at least 1; fewer, where their data is large.
            backwards: the other way round, so without a ``seed`` newest first.
            seed: of the shuffle: an integer, of which the lowest 64 bits count.
            with_data: read the data. Without, ``payload`` is None, and `read_scanned` gives it to those that need it.
            largest: data of more bytes is not read: its record carries a `DataTooLargeError`, which has its size.

        Raises:
            InvalidInputError: an argument has the wrong type, or ``batch_size`` is less than 1; or ``after`` is gone,
                which only a shuffle has to know.
            InvalidStatusError: a status is unknown.
        """

    async def scan_lines(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> AsyncIterator[ScannedLines | list[ScannedRecord]]:
        """Stream what `scan_records` does, with the data alone where many records lie in a pack as lines.

        That takes a third of the time. Where there is more to say of one of them, and where data lies in files, whole
        records are yielded.

        Args:
            master_job_id: as in `scan_records`.
            status_filter: likewise.

        Raises:
            InvalidInputError: as `scan_records`. `InvalidStatusError` likewise.
        """
        async for batch in self.scan_records(master_job_id, status_filter):
            yield batch

    @abstractmethod
    def read_scanned(
        self, records: Sequence[ScannedRecord], *, largest: int | None = None
    ) -> AsyncIterator[list[ScannedRecord]]:
        """Stream records that were scanned without their data with it, in the same order, as `scan_records` does.

        Args:
            records: what `scan_records` yielded.
            largest: as in `scan_records`.

        Raises:
            InvalidInputError: an argument has the wrong type.
        """

    @abstractmethod
    def iter_record_data(self, output_ref: str, *, chunk_size: int = 1 << 18) -> AsyncIterator[bytes]:
        """Stream the data of a record as it is stored, in pieces: one JSON object, however large, in constant memory.

        It is compared with its digest once all of it was read, so the error of damaged data may come last.

        Args:
            output_ref: as `Storage.get_record_data` takes it.
            chunk_size: bytes of a piece, at least 1.

        Raises:
            DataNotFoundError: the store has no data under that reference.
            InvalidReferenceError: the reference lies outside the store.
            StoreDamagedError: it is not what was saved, or was replaced meanwhile.
        """

    @abstractmethod
    async def locate_record_data(self, output_ref: str) -> DataPlace:
        """Return where the data of a record lies now. It moves when it is overwritten, packed, unpacked or collected.

        The lines of a pack are counted up to the record's: that reads up to 64 MB. Whether the data is there is not
        looked at.

        Args:
            output_ref: as `Storage.get_record_data` takes it.

        Raises:
            InvalidReferenceError: the reference lies outside the store.
        """

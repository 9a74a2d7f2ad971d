# Made by scripts/make_sync.py from starfish_storage.interface.scanning: change that, and run the script.
"""The synchronous face of `starfish_storage.interface.scanning`."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from starfish_storage import portal
from starfish_storage.interface import scanning as asynchronous
from starfish_storage.interface.scanning import DataPlace, ScannedLines, ScannedRecord
from starfish_storage.sync.face import Face


class RecordScan(Face):
    """Reading all records of a master job with their data."""

    @property
    def _called(self) -> asynchronous.RecordScan:
        return self._asynchronous

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
    ) -> Generator[list[ScannedRecord]]:
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
        return portal.iterate(
            self._called.scan_records(
                master_job_id,
                status_filter,
                after=after,
                batch_size=batch_size,
                backwards=backwards,
                seed=seed,
                with_data=with_data,
                largest=largest,
            )
        )

    def scan_lines(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> Generator[ScannedLines | list[ScannedRecord]]:
        """Stream what `scan_records` does, with the data alone where many records lie in a pack as lines.

        That takes a third of the time. Where there is more to say of one of them, and where data lies in files, whole
        records are yielded.

        Args:
            master_job_id: as in `scan_records`.
            status_filter: likewise.

        Raises:
            InvalidInputError: as `scan_records`. `InvalidStatusError` likewise.
        """
        return portal.iterate(self._called.scan_lines(master_job_id, status_filter))

    def read_scanned(
        self, records: Sequence[ScannedRecord], *, largest: int | None = None
    ) -> Generator[list[ScannedRecord]]:
        """Stream records that were scanned without their data with it, in the same order, as `scan_records` does.

        Args:
            records: what `scan_records` yielded.
            largest: as in `scan_records`.

        Raises:
            InvalidInputError: an argument has the wrong type.
        """
        return portal.iterate(self._called.read_scanned(records, largest=largest))

    def iter_record_data(self, output_ref: str, *, chunk_size: int = 1 << 18) -> Generator[bytes]:
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
        return portal.iterate(self._called.iter_record_data(output_ref, chunk_size=chunk_size))

    def locate_record_data(self, output_ref: str) -> DataPlace:
        """Return where the data of a record lies now. It moves when it is overwritten, packed, unpacked or collected.

        The lines of a pack are counted up to the record's: that reads up to 64 MB. Whether the data is there is not
        looked at.

        Args:
            output_ref: as `Storage.get_record_data` takes it.

        Raises:
            InvalidReferenceError: the reference lies outside the store.
        """
        return portal.call(self._called.locate_record_data(output_ref))

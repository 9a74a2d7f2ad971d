"""The calls that read all records of a run with their data, as a part of a storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from starfish_storage.interface import DataPlace, MetadataHandler, ScannedRecord
from starfish_storage.interface.scanning import RecordScan, ScannedLines
from starfish_storage.storage.data_reading import DataReading
from starfish_storage.storage.line_scan import LineScan


class ScanCalls(RecordScan):
    """See `RecordScan`.

    Args:
        metadata: lists the rows.
        reading: reads data.
    """

    def __init__(self, metadata: MetadataHandler, reading: DataReading) -> None:
        self._rows = metadata
        self._data = reading

    async def scan_records(
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
        """See `RecordScan.scan_records`."""
        while True:
            # One batch after the other: reading rows ahead of the files was no faster on two cores, as both hold the
            # interpreter.
            records, places = await self._rows.list_record_rows(
                master_job_id, status_filter, after=after, batch_size=batch_size, backwards=backwards, seed=seed
            )
            is_last = len(records) < batch_size
            while records:
                found = await self._data.scan(records, places, largest) if with_data else self._data.unread(records)
                yield found
                after = found[-1]
                records, places = records[len(found) :], places[len(found) :]
            if is_last:
                return

    async def scan_lines(
        self, master_job_id: str, status_filter: Sequence[str] | None = None
    ) -> AsyncIterator[ScannedLines | list[ScannedRecord]]:
        """See `RecordScan.scan_lines`."""
        scan = LineScan(self._rows, self._data, master_job_id, status_filter)
        async for batch in scan.batches():
            yield batch

    def read_scanned(
        self, records: Sequence[ScannedRecord], *, largest: int | None = None
    ) -> AsyncIterator[list[ScannedRecord]]:
        """See `RecordScan.read_scanned`."""
        return self._data.read_scanned(records, largest)

    def iter_record_data(self, output_ref: str, *, chunk_size: int = 1 << 18) -> AsyncIterator[bytes]:
        """See `RecordScan.iter_record_data`."""
        return self._data.chunks(output_ref, chunk_size)

    async def locate_record_data(self, output_ref: str) -> DataPlace:
        """See `RecordScan.locate_record_data`."""
        return await self._data.find(output_ref)

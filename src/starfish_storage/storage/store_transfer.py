"""A store as copies see it: whole rows, and data as bytes."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.errors import DataNotFoundError, InvalidReferenceError, StorageError
from starfish_storage.interface import (
    DataHandler,
    MetadataHandler,
    RowTransfer,
    ScannedRecord,
    StoreTransfer,
    WholeRecordRow,
)
from starfish_storage.keys import DATA_DIRECTORY, check_request_config_key, master_job_of, record_key
from starfish_storage.storage.data_reading import DataReading


class HybridTransfer(StoreTransfer):
    """See `StoreTransfer`, over two handlers.

    Args:
        metadata: keeps the rows.
        data: keeps the JSON.
        reading: reads and checks data.
    """

    def __init__(self, metadata: MetadataHandler, data: DataHandler, reading: DataReading) -> None:
        self._metadata = metadata
        self._data = data
        self._reading = reading

    @property
    def rows(self) -> RowTransfer:
        """See `StoreTransfer.rows`."""
        return self._metadata.transfer

    @property
    def data_place(self) -> str:
        """See `StoreTransfer.data_place`."""
        return self._data.to_reference(DATA_DIRECTORY)

    async def read_records(self, rows: Sequence[WholeRecordRow]) -> list[bytes | StorageError | None]:
        """See `StoreTransfer.read_records`."""
        records, places = [row.record for row in rows], [row.place for row in rows]
        found: list[ScannedRecord] = []
        while len(found) < len(rows):
            found += await self._reading.scan(records[len(found) :], places[len(found) :])
        return [one.payload if one.error is None else one.error for one in found]

    async def put_records(self, rows: Sequence[WholeRecordRow], payloads: Sequence[bytes | None]) -> None:
        """See `StoreTransfer.put_records`."""
        self._metadata.check_open()
        data = self._data
        writes = [
            None if payload is None else data.write(record_key(row.record.record_uid), payload)
            for row, payload in zip(rows, payloads, strict=True)
        ]
        await self._metadata.transfer.put_records(rows, writes)

    async def read_request_config(self, key: str) -> bytes | None:
        """See `StoreTransfer.read_request_config`."""
        self._metadata.check_open()
        try:
            return await self._reading.read_bytes(check_request_config_key(key))
        except (DataNotFoundError, InvalidReferenceError):
            return None

    async def put_request_config(self, key: str, payload: bytes) -> None:
        """See `StoreTransfer.put_request_config`."""
        self._metadata.check_open()
        data = self._data
        name = master_job_of(key)
        await self._metadata.save_data("master_job_id", name, data.write(key, payload))

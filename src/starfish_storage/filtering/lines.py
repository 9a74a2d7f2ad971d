"""The data of records on one line each, as JSON Lines have it."""

from __future__ import annotations

from typing import Any

from starfish_storage.codec import decode, encode
from starfish_storage.errors import SEE_DAMAGE, StorageError, StoreDamagedError
from starfish_storage.interface import ScannedRecord
from starfish_storage.interface.scanning import is_line


def on_one_line(record: ScannedRecord) -> ScannedRecord:
    """Return a record whose data is a JSON object on one line, or an error: other programs write other lines."""
    if record.payload is None or is_line(record.payload):
        return record
    error: StorageError
    try:
        value: Any = decode(record.payload)
        return record._replace(payload=encode(value, f"data of record {record.record_uid!r}"))
    except (ValueError, RecursionError):
        error = StoreDamagedError(str(record.output_ref), f"it is not a JSON object; {SEE_DAMAGE}")
    return record._replace(payload=None, error=error)

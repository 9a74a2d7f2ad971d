"""Saving records to export."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starfish_storage import LocalStorage
from starfish_storage.testing.samples import a_record, at


async def save(storage: LocalStorage, data: Iterable[dict[str, Any]], **fields: Any) -> list[str]:
    """Save completed records with these data, a second apart, and return their uids."""
    pairs = [
        (a_record(f"r{number:04}", **{"status": "completed", "start_time": at(number), **fields}), one)
        for number, one in enumerate(data)
    ]
    await storage.save_records(pairs)
    return [record.record_uid for record, _ in pairs]

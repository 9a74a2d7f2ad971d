"""What change feeds of every engine do alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from starfish_storage.codec import decode, json_text
from starfish_storage.interface.change_feed import ChangeFeed, CurrentRecord, RunSize
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.rows import RowCodec, placed_records


class SQLChangeFeed(ChangeFeed):
    """See `ChangeFeed`; what differs between engines is how they know what changed.

    Args:
        database: runs the queries.
        codec: turns rows into models.
    """

    def __init__(self, database: Database, codec: RowCodec) -> None:
        self._database = database
        self._queries = database.queries
        self._codec = codec

    async def list_sizes(self) -> list[RunSize]:
        """See `ChangeFeed.list_sizes`."""
        found = await self._database.all(self._queries["every_run_size"], (), list)
        return [RunSize(master_job_id, project_id, int(records)) for master_job_id, project_id, records in found]

    async def get_current(self, record_uids: Sequence[str]) -> list[CurrentRecord]:
        """See `ChangeFeed.get_current`."""
        records, places = placed_records(await self._database.all_of("current_records", record_uids))
        return [CurrentRecord(self._codec.record(row), row, place) for row, place in zip(records, places, strict=True)]

    async def _rows(self, name: str, parameters: Row) -> list[Row]:
        return await self._database.all(self._queries[name], parameters, list)


def cursor_text(state: dict[str, Any]) -> str:
    """Return the state of a feed as a cursor."""
    return json_text(state)


def state_of(cursor: str | None, source: str) -> dict[str, Any] | None:
    """Return the state that a cursor keeps, or None if it is not one of this source."""
    if cursor is None:
        return None
    try:
        state = decode(cursor.encode())
    except (ValueError, RecursionError):
        return None
    is_own = isinstance(state, dict) and cast("dict[str, Any]", state).get("source") == source
    return cast("dict[str, Any]", state) if is_own else None

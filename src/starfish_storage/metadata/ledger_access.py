"""What each part of the ledger needs of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starfish_storage.errors import SEE_DAMAGE, StoreDamagedError, shorten
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.database import Database
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.row_writer import RowWriter
from starfish_storage.metadata.rows import RowCodec

Result = TypeVar("Result")
Stored = TypeVar("Stored", bound=Row)


class LedgerAccess:
    """Runs queries and changes.

    Args:
        database: runs the queries, and commits what is written.
        data: where record data lies.
        codec: turns rows of jobs and records into models.
    """

    def __init__(self, database: Database, data: DataHandler, codec: RowCodec) -> None:
        self._database = database
        self._data = data
        self._codec = codec
        self._queries = database.queries

    async def _write(self, change: Callable[[RowWriter], Result]) -> Result:
        """Make row changes in a group, and return their result."""
        results: list[Result] = []

        def apply(writer: RowWriter) -> None:
            results[:] = [change(writer)]  # once more, if the group is tried again

        await self._database.write(WriteOperation(apply))
        return results[0]

    async def _first(self, query: str, parameters: Row) -> Row | None:
        return await self._database.first(self._queries[query], parameters)

    async def _all(self, query: str, parameters: Row) -> list[Row]:
        return await self._database.all_at_once(self._queries[query], parameters)

    def _read(self, convert: Callable[[Stored], Result], row: Stored) -> Result:
        try:
            return convert(row)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # Not chained: the parsers' messages quote what stands in the row.
            kind = type(error).__name__
        own_id, *_ = row
        reason = f"the row of {shorten(own_id)} cannot be read ({kind}); {SEE_DAMAGE}"
        raise StoreDamagedError(self._database.place, reason)

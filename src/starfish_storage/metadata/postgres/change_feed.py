"""What changed in a store in PostgreSQL, told by the transactions that wrote the rows.

Every row names the transaction that wrote it, without an index. So the table is gone through block by block, and the
server returns the rows that were written since that was last begun. New rows mostly come at the end, which is looked at
first. (Ranges of blocks are read alone since PostgreSQL 14; before, each is looked for in the whole table.)
"""

from __future__ import annotations

from typing import Any

from starfish_storage.interface.change_feed import ChangedRecords
from starfish_storage.metadata.change_feed import SQLChangeFeed, cursor_text, state_of
from starfish_storage.metadata.row import Row

_NEW_BLOCKS = 50  # of 8 kB, with some 20 rows each
_BLOCKS = 2000


class PostgresChangeFeed(SQLChangeFeed):
    """See `ChangeFeed`."""

    async def list_changed(self, cursor: str | None) -> ChangedRecords:
        """See `ChangeFeed.list_changed`."""
        # Before the rows: what is committed behind it is seen next time.
        ((oldest, next_one, blocks),) = await self._rows("get_change_bounds", ())
        state = state_of(cursor, await self._source())
        if state is None or int(state["since"]) > int(next_one):  # the server was restored, and counts again
            state = {"source": await self._source(), "end": 0, "since": oldest, "next": None, "at": 0, "quiet": ""}
        is_quiet = state["next"] is None and oldest == next_one == state["quiet"]
        if is_quiet and state["end"] == blocks:
            return ChangedRecords({}, cursor_text(state), is_last=True)
        rows, is_last = await self._next(state, (oldest, next_one, blocks))
        return ChangedRecords(dict(rows), cursor_text(state), is_last=is_last)

    async def _next(self, state: dict[str, Any], bounds: tuple[str, str, int]) -> tuple[list[Row], bool]:
        oldest, next_one, blocks = bounds
        begin = max(0, min(state["end"], blocks) - 1)  # the last block may have got more rows
        state["end"] = min(blocks, begin + 1 + _NEW_BLOCKS)
        rows = await self._blocks(begin, state["end"], None)
        if state["end"] < blocks:
            return rows, False
        if state["next"] is None:
            state["next"], state["at"] = oldest, 0
            state["quiet"] = next_one if oldest == next_one else ""
        behind = min(blocks, state["at"] + _BLOCKS)
        rows += await self._blocks(state["at"], behind, state["since"])
        state["at"] = behind
        if behind < blocks:
            return rows, False
        state["since"], state["next"] = state["next"], None
        return rows, True

    async def _blocks(self, first: int, behind: int, since: str | None) -> list[Row]:
        parameters = (f"({first},0)", f"({behind},0)", since, since)
        return await self._rows("list_records_in_blocks", parameters)

    async def _source(self) -> str:
        row = await self._database.first(self._queries["get_store_identity"], ())
        (identity,) = row or ("",)
        return str(identity)

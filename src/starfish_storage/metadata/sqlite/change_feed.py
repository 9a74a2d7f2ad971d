"""What changed in a SQLite store, told by the numbers of rows and by the state of the files.

New rows have greater numbers than all before them. Those that were changed in place, or took the number of one that was
deleted, keep no trace that an index would find. So the whole table is gone through again, some rows at a time, whenever
the files of the database have changed since that was last begun.
"""

from __future__ import annotations

import os
import time

from starfish_storage.interface.change_feed import ChangedRecords
from starfish_storage.metadata.change_feed import SQLChangeFeed, cursor_text, state_of
from starfish_storage.metadata.sqlite.untouched import states_of_files

_NEW_AT_ONCE = 500
_LOOKED_AT_ONCE = 5000
_LAST = 2**63 - 1
_SETTLED_SECONDS = 2.0  # the times of files are no finer than a clock tick, and of some file systems than a second


class SQLiteChangeFeed(SQLChangeFeed):
    """See `ChangeFeed`."""

    async def list_changed(self, cursor: str | None) -> ChangedRecords:
        """See `ChangeFeed.list_changed`."""
        source, files = self._files()  # before the rows: what changes behind it is seen next time
        state = state_of(cursor, source) or {"source": source, "newest": 0, "seen": "", "looking": None, "at": 0}
        newest = state["newest"]
        rows = await self._rows("records_by_number", (newest, _LAST, _NEW_AT_ONCE))
        if not newest:
            state["seen"] = files  # whoever begins sees what there was before
        has_seen = bool(files) and state["looking"] is None and state["seen"] == files
        if rows:
            state["newest"], _, _ = rows[-1]
            has_seen = has_seen and len(rows) < _NEW_AT_ONCE
        elif not has_seen:
            rows, has_seen = await self._looked_at(state, files)
        stamps = {uid: stamp for _, uid, stamp in rows}
        return ChangedRecords(stamps, cursor_text(state), is_last=has_seen)

    async def _looked_at(
        self, state: dict[str, str | int | None], files: str
    ) -> tuple[list[tuple[int, str, str]], bool]:
        """Return the next of the rows that are gone through again, and whether they are the last ones."""
        if state["looking"] is None:
            state["looking"], state["at"] = files, 0
        rows = await self._rows("records_by_number", (state["at"], state["newest"], _LOOKED_AT_ONCE))
        is_last = len(rows) < _LOOKED_AT_ONCE
        if is_last:
            state["seen"], state["looking"] = state["looking"], None
        else:
            state["at"], _, _ = rows[-1]
        return rows, is_last

    def _files(self) -> tuple[str, str]:
        """Return which file the database is, and the state that its files are in; none that may change unseen."""
        path = f"{os.path.realpath(os.path.dirname(self._database.place))}/{os.path.basename(self._database.place)}"
        states = states_of_files(path)
        number = next((state[0] for state in states.values() if state is not None), 0)
        changed = max((state[2] for state in states.values() if state is not None), default=0)
        is_settled = time.time_ns() - changed > _SETTLED_SECONDS * 1e9
        return str(number), str(states) if is_settled else ""

"""The hashes of all inputs of a run that are done, read in pages."""

from __future__ import annotations

from starfish_storage.metadata.database import Database
from starfish_storage.metadata.row import Row

_AT_ONCE = 50_000
_BEHIND_ALL = "\U0010ffff"  # in the order of text; Unicode has no such character


async def completed_hashes(database: Database, master_job_id: str) -> set[str]:
    """Return the hashes; of inputs that end or begin anew meanwhile, they may be there or not.

    In one query, ten million of them would be held several times over, in SQLite the log of the database could not be
    emptied for minutes, and whatever broke the connection would cost everything that had been read.
    """
    hashes: set[str] = set()

    def take(found: list[Row]) -> Row:
        hashes.update(one for one, *_ in found)
        return found[-1][-len(before) :] if len(found) == _AT_ONCE else ()

    query = "page_of_completed_hashes"
    _, *keys, _ = database.queries.parameters(query)
    before: Row = (_BEHIND_ALL,) * len(keys)
    while before:
        before = await database.all(database.queries[query], (master_job_id, *before, _AT_ONCE), take)
    return hashes

"""What rows name of packs, for whoever moves it."""

from __future__ import annotations

from collections.abc import Sequence

from starfish_storage.keys import PackPlace
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.sqlite.database import Session


class PackContents:
    """Reads what is committed. Raises nothing of its own.

    Args:
        session: the open database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queries = sqlite_queries()

    async def packs(self, master_job_id: str | None) -> list[str]:
        """Return the names of the packs that rows name, in order; those of rows of a master job, if one is given."""
        if master_job_id is None:
            return sorted(only_values(await self._session.all(self._queries["every_used_pack"], (), list)))
        parameters = (master_job_id, master_job_id)
        return sorted(only_values(await self._session.all(self._queries["every_pack_of_run"], parameters, list)))

    async def sizes(self, packs: Sequence[str]) -> dict[str, int]:
        """Return how many bytes of packs rows name."""
        wanted = set(packs)
        found = await self._session.all(self._queries["every_pack"], (), list)
        return {pack: live for pack, _, live, *_ in found if pack in wanted}

    async def contents(self, packs: Sequence[str]) -> list[tuple[str, PackPlace]]:
        """Return what rows name of packs, in order: the keys of data, and where it lies. All rows are gone through."""
        query = self._queries.repeated("every_content_of_packs", len(packs))
        found = await self._session.all(query, tuple(packs), list)
        return [(key, PackPlace(*place)) for key, *place in found]

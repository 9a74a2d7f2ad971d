"""What rows say of packs, for commands that go through all of them."""

from __future__ import annotations

from starfish_storage.errors import StoreDamagedError
from starfish_storage.keys import PackPlace, pack_key
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.sqlite.database import Session


class PackRows:
    """Reads what is committed. Raises nothing of its own.

    Args:
        session: the open database.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queries = sqlite_queries()

    async def packs(self, master_job_id: str | None = None) -> list[str]:
        """Return the names of the packs, in order; of those that hold data of a master job, if one is given."""
        if master_job_id is None:
            return [pack for pack, size in await self._session.all(self._queries["list_packs"], (), list) if size]
        found = await self._session.all(self._queries["every_pack_of_run"], (master_job_id, master_job_id), list)
        return only_values(found)

    async def empty_packs(self) -> list[str]:
        """Return the names of the packs of which no row names anything."""
        return only_values(await self._session.all(self._queries["every_empty_pack"], (), list))

    async def page(self, pack: str, after: str, limit: int) -> list[tuple[str, PackPlace]]:
        """Return keys whose data lies in a pack, and where, by key from behind one."""
        found = await self._session.all(self._queries["page_of_packed_data"], (pack, after, limit), list)
        return [(key, PackPlace(pack, start, length)) for key, start, length in found]

    def committed_end(self, pack: str) -> int | None:
        """Return how much of a pack is committed; None as long as the journal holds some of it. Blocks.

        Of a pack that nobody can append to, both stay as they are, once the journal holds nothing of it.

        Raises:
            StoreDamagedError: rows name data behind it.
        """
        readers = self._session.readers()
        prefix = f"{pack_key(pack)}:"
        if readers.first(self._queries["list_journaled_ranges"], (prefix, prefix)) is not None:
            return None
        sizes: dict[str, int] = dict(readers.all_at_once(self._queries["list_packs"], ()))
        size = sizes.get(pack)
        (end,) = readers.first(self._queries["last_end_in_pack"], (pack,)) or (0,)
        if size is not None and end > size:
            reason = f"rows name data up to byte {end:,}, and {size:,} are noted as committed; run 'repair'"
            raise StoreDamagedError(pack_key(pack), reason)
        return size

"""The metadata handler over PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starfish_storage.interface import AskedLayout, ChangeFeed, DataHandler, DataLocation, DataWrite, RecordRow
from starfish_storage.keys import owner_uid, version_key
from starfish_storage.metadata.handler import SQLMetadataHandler
from starfish_storage.metadata.ledger import RefuseInput
from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.change_feed import PostgresChangeFeed
from starfish_storage.metadata.postgres.database import PostgresDatabase
from starfish_storage.metadata.postgres.repacking import PostgresRepacking
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.rows import RowCodec, placed_records
from starfish_storage.metadata.shuffling import Shuffled


class PostgresMetadataHandler(SQLMetadataHandler):
    """Keeps rows in a schema of a PostgreSQL database, for any number of processes on any number of machines.

    Data lies there before the row that refers to it, under a key with a version of its own; the row is the commit.

    Args:
        address: where the store lies.
        data: where its data lies.
        codec: turns models into rows and back.
        patience: for how long a call waits for a server that does not answer, in seconds.
        refuse_input: raises for an input of a run that is not to be stored.
        read_only: write nothing, neither rows nor data.
        layout: where new record data goes, in a new store; None: into files, or where an existing store puts it.

    Attributes:
        repacking: puts data elsewhere in the store, for maintenance.
    """

    def __init__(
        self,
        address: PostgresAddress,
        data: DataHandler,
        codec: RowCodec,
        patience: float,
        refuse_input: RefuseInput | None = None,
        *,
        read_only: bool = False,
        layout: AskedLayout | None = None,
    ) -> None:
        database = PostgresDatabase(address, data, patience, read_only=read_only, layout=layout)
        super().__init__(database, data, codec, refuse_input)
        self.repacking = PostgresRepacking(database, data)
        self._changes = PostgresChangeFeed(self._database, codec)

    @property
    def changes(self) -> ChangeFeed:
        """See `MetadataHandler.changes`."""
        return self._changes

    async def save_data(self, kind: str, id: str, write: DataWrite) -> None:
        """See `MetadataHandler.save_data`.

        A request configuration has no row that says which version is current: putting it is what commits it.
        """
        if kind == "record_uid":
            await super().save_data(kind, id, write)
            return
        await self._database.write(WriteOperation(lambda writer: writer.note_data(kind, id, write)))
        await asyncio.to_thread(self._replace, write)

    async def get_journaled_data(self, key: str) -> bytes | None:  # noqa: ARG002 (see below)
        """See `MetadataHandler.get_journaled_data`. Data is in place before it is committed."""
        return None

    async def locate_data(self, keys: Sequence[str]) -> dict[str, DataLocation]:
        """See `MetadataHandler.locate_data`."""
        given = list(keys)
        found = await self._database.all_at_once(
            self._queries["locate_data"], (given, [owner_uid(key) for key in given], given)
        )
        located: dict[str, DataLocation] = {}
        for key, version, digest in found:
            located.setdefault(key, DataLocation(version_key(key, version), digest))
        return located

    async def get_referrer(self, key: str) -> str | None:
        """See `MetadataHandler.get_referrer`."""
        if await self.locate_data((key,)) or await self._database.first(self._queries["get_borrower"], (key,)):
            return "record"
        job = await self._database.first(self._queries["get_master_job_of_request_config"], (key,))
        return None if job is None else "master job"

    async def _list_shuffled(
        self, master_job_id: str, statuses: Sequence[str], asked: Shuffled
    ) -> tuple[list[RecordRow], list[str | None]]:
        """See `SQLMetadataHandler._list_shuffled`."""
        order = (asked.signed_seed, -1 if asked.backwards else 0)
        parameters = (*order, master_job_id, list(statuses), asked.after, *order, asked.after, *order, asked.limit)
        return await self._database.all(self._queries["shuffled_records"], parameters, placed_records)

    async def measure_rows(self) -> int:
        """See `MetadataHandler.measure_rows`."""
        return int(str(only_value(await self._database.first(self._queries["measure_rows"], ()))))

    async def _identity(self) -> str:
        """Return which schema it is, as the mark beside its data says it."""
        found = await self._database.first(self._queries["get_store_identity"], ())
        return f"postgres {only_value(found) or ''}"

    def _replace(self, write: DataWrite) -> None:
        try:
            write.stage()
            write.publish()
            self._data.sync((write.key,))
        finally:
            write.discard()

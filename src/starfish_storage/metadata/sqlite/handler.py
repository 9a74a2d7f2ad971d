"""Metadata in SQLite: the facade over the writer, the readers and the row codec."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from starfish_storage.errors import StorageIOError
from starfish_storage.interface import (
    AskedLayout,
    ChangeFeed,
    DataHandler,
    DataLocation,
    RecordRow,
    RowLogHandler,
    ScannedRecord,
)
from starfish_storage.keys import PackPlace, owner_uid, pack_key, place_in_pack, version_key
from starfish_storage.metadata import selecting, values
from starfish_storage.metadata.handler import SQLMetadataHandler
from starfish_storage.metadata.ledger import RefuseInput
from starfish_storage.metadata.row import only_value
from starfish_storage.metadata.rows import RowCodec, placed_records
from starfish_storage.metadata.shuffling import Shuffled
from starfish_storage.metadata.sqlite.change_feed import SQLiteChangeFeed
from starfish_storage.metadata.sqlite.commit import GroupCommit
from starfish_storage.metadata.sqlite.connection import Durability
from starfish_storage.metadata.sqlite.database import Session
from starfish_storage.metadata.sqlite.pack_contents import PackContents
from starfish_storage.metadata.sqlite.readers import Readers
from starfish_storage.metadata.sqlite.repacking import Repacking
from starfish_storage.metadata.sqlite.shuffled import ShuffledRecords
from starfish_storage.statuses import RECORD_STATUSES

Result = TypeVar("Result")


class SQLiteMetadataHandler(SQLMetadataHandler):
    """Keeps rows in ``metadata.db`` below a root directory, and commits data with them.

    Args:
        root: absolute path of the directory of the database; it must exist at `setup`.
        data: where the data lies.
        row_log: where row changes are noted, to rebuild a lost database from.
        codec: turns models into rows and back.
        durability: ``"power"``: a commit survives a power cut. ``"process"``: it survives a kill -9 and may be lost
            at a power cut, never torn.
        vfs: name of the SQLite file layer; tests pass one that counts or fails.
        data_elsewhere: the data lies in another directory than the database.
        layout: where new record data goes, in a new store; None: into files, or where an existing store puts it.
        read_only: write nothing, whether it could be or not.
        refuse_input: raises for an input of a run that is not to be stored.

    Attributes:
        repacking: puts data elsewhere in the store, for maintenance.
        pack_contents: what rows name of packs.
    """

    def __init__(
        self,
        root: str,
        data: DataHandler,
        row_log: RowLogHandler,
        codec: RowCodec,
        durability: Durability = "power",
        vfs: str | None = None,
        *,
        data_elsewhere: bool = False,
        layout: AskedLayout | None = None,
        read_only: bool = False,
        refuse_input: RefuseInput | None = None,
    ) -> None:
        open_commit = partial(
            GroupCommit,
            data=data,
            row_log=row_log,
            durability=durability,
            vfs=vfs,
            data_elsewhere=data_elsewhere,
            layout=layout,
        )
        self._session = Session(root, open_commit, data, vfs, data_elsewhere=data_elsewhere, read_only=read_only)
        super().__init__(self._session, data, codec, refuse_input)
        self._locate_own = self._queries["locate_own_data"]
        self._changes = SQLiteChangeFeed(self._session, codec)
        self.repacking = Repacking(self._session, data)
        self.pack_contents = PackContents(self._session)

    @property
    def changes(self) -> ChangeFeed:
        """See `MetadataHandler.changes`."""
        return self._changes

    async def get_journaled_data(self, key: str) -> bytes | None:
        """See `MetadataHandler.get_journaled_data`."""
        return self._journaled(key, self._session.readers())

    async def locate_data(self, keys: Sequence[str]) -> dict[str, DataLocation]:
        """See `MetadataHandler.locate_data`. Data lies under its own key, or in a pack."""
        readers = self._session.readers()
        if len(keys) == 1:  # on the spot, as single rows are
            return self._located(keys, readers)
        return await readers.in_pool(partial(self._located, keys, readers))

    def locate_at_once(self, key: str) -> tuple[str | PackPlace, str | None] | None:
        """See `MetadataHandler.locate_at_once`: of data of a record's own."""
        found = self._session.readers().first(self._locate_own, (owner_uid(key), key))
        if found is None:
            return None
        digest, pack, start, length = found
        if pack is None:
            # Without a digest, what a killed writer has left in the journal may be newer.
            return None if digest is None else (key, digest)
        return None if digest is None or start < 0 or length < 0 else (PackPlace(pack, start, length), digest)

    async def read_lines(
        self,
        master_job_id: str,
        status_filter: Sequence[str] | None,
        after: ScannedRecord | None,
        limit: int,
        read: Callable[[Sequence[Sequence[Any]]], Result],
    ) -> Result | None:
        """See `MetadataHandler.read_lines`."""
        statuses = selecting.status_filter("record status", status_filter, RECORD_STATUSES)
        each = (values.text("master_job_id", master_job_id),)
        position = ("", "") if after is None else selecting.scan_position(after)
        return await self._session.all(*self._merged("read_lines", each, statuses, position, (limit, 0)), read)

    async def get_referrer(self, key: str) -> str | None:
        """See `MetadataHandler.get_referrer`."""
        first = self._session.readers().first
        if first(self._queries["get_data_digest"], (owner_uid(key), key, key, key)) is not None:
            return "record"
        job = first(self._queries["get_master_job_of_request_config"], (key,))
        return None if job is None else "master job"

    async def _list_shuffled(
        self, master_job_id: str, statuses: Sequence[str], asked: Shuffled
    ) -> tuple[list[RecordRow], list[str | None]]:
        """See `SQLMetadataHandler._list_shuffled`."""
        readers = self._session.readers()
        records = ShuffledRecords(readers, self._queries, master_job_id, statuses)
        return await readers.in_pool(lambda: placed_records(records.rows(asked)))

    async def measure_rows(self) -> int:
        """See `MetadataHandler.measure_rows`: of the files in its directory."""
        self._session.check_open()
        with os.scandir(os.path.dirname(self._session.place)) as entries:
            return sum(one.stat(follow_symlinks=False).st_size for one in entries if one.is_file(follow_symlinks=False))

    async def measure_unused(self) -> int | None:
        """See `MetadataHandler.measure_unused`: those that were removed have a size of 0."""
        found = await self._session.all(self._queries["every_pack"], (), list)
        return sum(max(0, size - live) for _, size, live, _ in found)

    async def _identity(self) -> str:
        """Return which file its database is: a copy of a store is another."""
        try:
            found = os.stat(self._session.place)
        except OSError as error:
            raise StorageIOError(self._session.place, error.errno, "it cannot be looked at") from error
        return f"sqlite {found.st_dev} {found.st_ino}"

    def _located(self, keys: Sequence[str], readers: Readers) -> dict[str, DataLocation]:
        query = self._queries["locate_data"]
        located: dict[str, DataLocation] = {}
        for key in keys:
            found = readers.first(query, (owner_uid(key), key, key, key))
            if found is not None:
                digest, version = found
                located[key] = DataLocation(version_key(key, version), digest)
            elif (place := self._packed(key, readers)) is not None:
                located[key] = DataLocation(place.key, None)
        if self._session.only_reads:
            located |= self._pending(keys, located, readers)
        return located

    def _pending(
        self, keys: Sequence[str], located: dict[str, DataLocation], readers: Readers
    ) -> dict[str, DataLocation]:
        """Return committed data that may not be in place, because its writer was killed and nobody may write.

        Where a record knows the digest of its data, reading finds out by itself.
        """
        query = self._queries["get_journaled_data"]
        unsure = [key for key in keys if key not in located or located[key].sha256 is None]
        pending: dict[str, DataLocation] = {}
        for key in unsure:
            place = self._packed(key, readers)
            found = (self._journaled_range(place, readers),) if place is not None else readers.first(query, (key,))
            if found is not None and (place is None or found != (None,)):
                pending[key] = DataLocation(key, None, only_value(found) or b"")
        return pending

    def _journaled(self, key: str, readers: Readers) -> bytes | None:
        place = self._packed(key, readers)
        if place is not None:
            return self._journaled_range(place, readers)
        found: bytes | None = only_value(readers.first(self._queries["get_journaled_data"], (key,)))
        return found

    def _journaled_range(self, place: PackPlace, readers: Readers) -> bytes | None:
        """Return what the journal has of a place in a pack: after a power cut it may be there alone."""
        prefix = f"{pack_key(place.pack)}:"
        for number, key in readers.all_at_once(self._queries["list_journaled_ranges"], (prefix, prefix)):
            found = place_in_pack(key)
            if found is not None and found.start <= place.start and place.end <= found.end:
                payload = only_value(readers.first(self._queries["get_journal_payload"], (number,))) or b""
                return payload[place.start - found.start : place.end - found.start]
        return None

    def _packed(self, key: str, readers: Readers) -> PackPlace | None:
        found = readers.first(self._queries["get_packed_data"], (key,))
        return None if found is None else PackPlace._make(found)

"""Reading a database in order to check it: nothing is written, migrated, replayed or tidied up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence

import apsw

from starfish_storage.errors import (
    StorageBusyError,
    StorageIOError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.interface import DataHandler
from starfish_storage.interface.inspection import DataReference, FoundFile, RowFault, RowInspection, Standing
from starfish_storage.keys import DATABASE_FILE, PackPlace, owner_uid, pack_key, place_in_pack
from starfish_storage.metadata.data_owner import Owner, refuse_other_data
from starfish_storage.metadata.inspected_rows import FAULT_QUERIES, faults_of_rows
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value, only_values
from starfish_storage.metadata.sqlite import row_changes
from starfish_storage.metadata.sqlite.connection import (
    BUSY_TIMEOUT_MS,
    DATA_ELSEWHERE,
    open_for_reading,
    refuse_data_location,
    refuse_foreign,
    refuse_foreign_database,
)
from starfish_storage.metadata.sqlite.driver import Connection, Row, back_up
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.identity import owner_of, sample_of
from starfish_storage.metadata.sqlite.locks import WriterLock
from starfish_storage.metadata.sqlite.log_comparison import faults_of_log, is_of_use
from starfish_storage.metadata.sqlite.placing import CommittedData, PackFill, journaled_bytes
from starfish_storage.metadata.sqlite.starfish_copy import is_starfish_at_rest
from starfish_storage.metadata.sqlite.untouched import Untouched, close_untouched, open_untouched, states_of_files
from starfish_storage.uri import file_uri_of_path
from starfish_storage.wording import REPAIR_OR_RESTORE

_STRETCH = 64 << 20  # bytes of packs whose rows are read at once


class Inspection:
    """One reading connection to the database of a store, which may be in use. For one thread.

    Args:
        root: absolute path of the directory of the database.
        read_only: write nothing beside the database, even where that can be done. A writer who opens the store
            meanwhile is not kept out, so that what is read then is refused.

    Raises:
        StorageError: there is no database, it cannot be read, or it is of another version or program.
    """

    def __init__(self, root: str, *, read_only: bool = False) -> None:
        self._root, self._read_only = root, read_only
        self.path = f"{os.path.realpath(root)}/{DATABASE_FILE}"
        self._queries = sqlite_queries()
        if not os.path.lexists(self.path):
            raise StoreOpenError(root, "there is no metadata.db in it; name the directory of a store")
        refuse_planted_database(self.path)
        if os.path.getsize(self.path) == 0:
            raise StoreDamagedError(self.path, f"it is empty; {REPAIR_OR_RESTORE}")
        if is_starfish_at_rest(self.path):  # asked through a connection of its own kind, its log would be made anew
            raise _of_format(root, 0)
        try:
            self._opened = _opened(self.path, read_only=read_only)
            self._connection = self._opened.connection
            version = self._connection.pragma("user_version")
        except apsw.Error as error:
            raise translate(error, self.path) from error
        if version != latest_version():
            self.close()
            raise _of_format(root, version)

    def another(self) -> Inspection:
        """Return one of the same database for another thread. Raises as a new one."""
        return Inspection(self._root, read_only=self._read_only)

    def close(self) -> None:
        """Close the connection."""
        close_untouched(self._opened, self.path)

    def refuse_data_location(self, *, elsewhere: bool) -> None:
        """Raise if the data is looked for in another place than where it lies.

        Raises:
            StoreOpenError: it is.
            StoreDamagedError: the database does not tell.
        """
        try:
            row = self._connection.execute(self._queries["get_setting"], (DATA_ELSEWHERE,)).fetchone()
        except apsw.Error as error:
            raise translate(error, self.path, self._connection) from error
        refuse_data_location(only_value(row), self.path, elsewhere=elsewhere)

    def refuse_damage(self) -> None:
        """Raise if SQLite finds the database damaged: what it does not find might be there all the same.

        Raises:
            StoreDamagedError: it does.
        """
        found = self.integrity()
        if found:
            raise StoreDamagedError(self.path, f"{found[0]}; {REPAIR_OR_RESTORE}")

    def integrity(self) -> list[str]:
        """Return what SQLite's own check finds; nothing if the database is sound."""
        return [text for (text,) in self.rows("check_integrity") if text != "ok"]

    def foreign_keys(self) -> list[str]:
        """Return the rows without a parent, described."""
        return [
            f"row {rowid} of {table} has no parent in {parent}"
            for table, rowid, parent in self.rows("check_foreign_keys")
        ]

    def faults(self) -> Iterator[RowFault]:
        """Yield what is wrong with the rows alone, and with the database."""
        yield from (RowFault("database_damaged", DATABASE_FILE, text) for text in self.integrity())
        yield from (RowFault("row_without_parent", DATABASE_FILE, text) for text in self.foreign_keys())
        for kind, row_id in self.rows("every_unreadable_row"):
            yield RowFault("row_unreadable", row_id, f"the row of this {kind} contains an invalid time or invalid JSON")
        yield from faults_of_rows({query: self.rows(query) for query in FAULT_QUERIES})

    def owner_and_sample(self) -> tuple[Owner, list[str]]:
        """Return which store this is, and the keys of some data that there must be."""
        try:
            return owner_of(self._connection, self.path), sample_of(self._connection)
        except apsw.Error as error:
            raise translate(error, self.path, self._connection) from error

    def rows(self, query: str, parameters: Row = ()) -> Iterator[Row]:
        """Yield the rows of a named query, as of the moment when it began."""
        try:
            yield from self._connection.execute(self._queries[query], parameters)
        except (apsw.Error, UnicodeDecodeError) as error:
            self._refuse_changed()
            raise translate(error, self.path, self._connection) from error
        self._refuse_changed()

    def _refuse_changed(self) -> None:
        """Raise if somebody has begun to write to a database that is read without locks."""
        states = self._opened.states
        if states is not None and states_of_files(self.path) != states:
            raise StorageBusyError(f"{self.path!r} has changed while it was read; call again.")

    def is_readable(self) -> bool:
        """Return whether every row has its parent, and times and JSON that are some."""
        return not self.foreign_keys() and next(self.rows("every_unreadable_row"), None) is None

    def count_row_log_lines(self) -> int:
        """Return how many lines a row log needs."""
        return 1 + sum(1 for query, _ in row_changes.ALL_ROWS for _ in self.rows(query))

    def row_log_lines(self) -> Iterator[bytes]:
        """Yield the lines of a new row log."""
        try:
            yield from row_changes.all_rows(self._connection, self._queries)
        except (apsw.Error, UnicodeDecodeError) as error:
            raise translate(error, self.path, self._connection) from error

    def data_of(self, key: str) -> CommittedData:
        """Return what is committed of a key."""
        read = self._connection.execute
        try:
            read(self._queries["begin_reading"])
            try:
                digests = read(self._queries["get_data_digest"], (owner_uid(key), key, key, key)).fetchall()
                journaled = read(self._queries["get_journaled_data"], (key,)).fetchone()
                packed = read(self._queries["get_packed_data"], (key,)).fetchone()
                place = None if packed is None else PackPlace._make(packed)
                payload = only_value(journaled) if place is None else journaled_bytes(self._connection, place)
            finally:
                read(self._queries["commit"])
        except apsw.Error as error:
            raise translate(error, self.path, self._connection) from error
        self._refuse_changed()
        return CommittedData([digest for _, digest in digests], payload, journaled is not None, place)

    def packs(self) -> list[PackFill]:
        """Return all packs that rows know, in their order."""
        return list(map(PackFill._make, self.rows("every_pack")))

    def journaled_ranges(self, pack: str) -> list[PackPlace]:
        """Return which ranges of a pack the journal holds."""
        prefix = f"{pack_key(pack)}:"
        found = (place_in_pack(key) for _, key in self.rows("list_journaled_ranges", (prefix, prefix)))
        return [place for place in found if place is not None]

    def copy_to(self, target: Connection) -> None:
        """Copy the database, as of one moment, over an empty one. Writers do not wait."""
        try:
            back_up(self._connection, target)
        except apsw.Error as error:
            raise translate(error, target.filename, target) from error
        self._refuse_changed()

    def digests_of(self, key: str) -> list[str | None]:
        """Return the digests of the records that refer to a key."""
        rows = self._connection.execute(self._queries["get_data_digest"], (owner_uid(key), key, key, key))
        return [digest for _, digest in rows]

    def records_of(self, key: str) -> list[str]:
        """Return the uids of the records that refer to a key."""
        rows = self._connection.execute(self._queries["get_records_of_data"], (owner_uid(key), key, key))
        return only_values(rows)

    def is_request_config(self, key: str) -> bool:
        """Return whether a master job refers to a request configuration."""
        query = self._queries["get_master_job_of_request_config"]
        return self._connection.execute(query, (key,)).fetchone() is not None


def _opened(path: str, *, read_only: bool) -> Untouched:
    """Open a database as other readers do; where that cannot or must not be, in a way that needs to write nothing."""
    if not read_only and os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK | os.X_OK):
        try:
            refuse_foreign_database(path)
            connection = open_for_reading(path)
            connection.pragma("user_version")  # SQLite looks at the files when it first reads
        except (StorageIOError, apsw.CantOpenError, apsw.FullError, apsw.IOError):
            pass  # the disk is full, say
        else:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # closing must not empty the log
            return Untouched(connection)
    opened = open_untouched(path)
    try:
        refuse_foreign(opened.connection, path)
    except BaseException:
        close_untouched(opened, path)
        raise
    return opened


def _of_format(root: str, version: int) -> StoreVersionError:
    former = f"format {version}" if version else "Starfish 0.1"
    how = "run 'starfish-storage upgrade STORE'"
    if not os.access(root, os.W_OK | os.X_OK):
        how = f"copy it to a disk that can be written, and {how} there"
    return StoreVersionError(root, f"it is of {former}; {how}")


class SQLiteRowInspection(RowInspection):
    """See `RowInspection`.

    Args:
        root: absolute path of the directory of the database.
        read_only: write nothing beside the database, even where that can be done. A writer who opens the store
            meanwhile is not kept out, so that what is read then is refused.

    Raises:
        StorageError: there is no database, it cannot be read, or it is of another version or program.
    """

    def __init__(self, root: str, *, read_only: bool = False) -> None:
        self._root = root
        self._inspection = Inspection(root, read_only=read_only)

    @property
    def uri(self) -> str:
        """See `RowInspection.uri`."""
        return file_uri_of_path(self._root)

    def close(self) -> None:
        """See `RowInspection.close`."""
        self._inspection.close()

    def now(self) -> int:
        """Return the time by this machine's clock: all who write are on it."""
        return time.time_ns()

    def refuse_other_data(self, data: DataHandler, *, strictly: bool) -> None:
        """See `RowInspection.refuse_other_data`."""
        self._inspection.refuse_data_location(elsewhere=True)
        owner, sample = self._inspection.owner_and_sample()
        refuse_other_data(owner, data, sample, strictly=strictly)

    def refuse_damage(self) -> None:
        """See `RowInspection.refuse_damage`."""
        self._inspection.refuse_damage()

    def faults(self) -> Iterator[RowFault]:
        """See `RowInspection.faults`."""
        faults = list(self._inspection.faults())
        yield from faults
        if is_of_use(faults):
            yield from faults_of_log(self._inspection.rows, self._root)

    def count_data(self) -> tuple[int, int]:
        """See `RowInspection.count_data`."""
        ((records,),) = self._inspection.rows("every_record_with_data")
        return records, records

    def data_references(self) -> Iterator[Sequence[DataReference]]:
        """See `RowInspection.data_references`. Read in pages: while a statement reads, the log cannot be emptied."""
        after = ""
        while page := list(self._inspection.rows("page_of_data_references", (after,))):
            yield [DataReference(key, key, digest) for _, key, digest, version in page if version is None]
            after, *_ = page[-1]
        last = ("", 0)
        while page := list(self._inspection.rows("page_of_version_references", last)):
            yield [DataReference(key, key, digest) for *_, key, digest, version in page if version is None]
            uid, number, *_ = page[-1]
            last = (uid, number)
        for first, until in self._stretches():
            rows = self._inspection.rows("every_placed_reference_in", (first, first, until, until))
            yield [DataReference(key, PackPlace(*place).key, digest) for key, digest, *place in rows]

    def request_config_references(self) -> Iterator[Sequence[str]]:
        """See `RowInspection.request_config_references`. There is one a master job."""
        yield only_values(self._inspection.rows("every_request_config_reference"))

    def locate(self, key: str) -> list[DataReference]:
        """See `RowInspection.locate`."""
        committed = self._inspection.data_of(key)
        digests = [None] if self._inspection.is_request_config(key) else committed.digests
        place = key if committed.place is None else committed.place.key
        return [DataReference(key, place, digest, committed.payload) for digest in digests]

    def standing(self, objects: Sequence[str]) -> dict[str, Standing]:
        """See `RowInspection.standing`. Data without a record has no row here, so that it is nobody's."""
        found: dict[str, Standing] = {}
        for key in objects:
            standing = self._standing_of(key)
            if standing is not None:
                found[key] = standing
        return found

    def packs_in_use(self, packs: Sequence[str]) -> dict[str, int]:
        """See `RowInspection.packs_in_use`."""
        wanted = set(packs)
        return {fill.pack: fill.live for fill in self._inspection.packs() if fill.live and fill.pack in wanted}

    def stale_removals(self) -> Iterator[str]:
        """Nothing: the journal has them, and the next one to open the store makes them."""
        return iter(())

    def remove_unwanted(
        self, found: Sequence[FoundFile], data: DataHandler, is_old: Callable[[FoundFile], bool]
    ) -> list[FoundFile]:
        """See `RowInspection.remove_unwanted`. Writers wait."""
        lock = WriterLock(self._root, BUSY_TIMEOUT_MS / 1000)
        try:
            finished = lock.acquire()
            try:
                packs = [file.pack for file in found if file.pack is not None]
                used = self.packs_in_use(packs) if packs else {}
                gone = set(data.remove_packs([pack for pack in packs if pack not in used]))
                others = [file for file in found if file.pack is None]
                standing = self.standing([file.key for file in others])
                removed = [file for file in others if file.key not in standing and is_old(file)]
                data.remove_all([file.key for file in removed])
                removed += [file for file in found if file.pack in gone]
            finally:
                lock.release(finished=finished)  # as it was found: what a killed writer left is for the next one
        finally:
            lock.close()
        return removed

    def remove_stale(self, data: DataHandler) -> list[str]:  # noqa: ARG002 (see `stale_removals`)
        """See `RowInspection.remove_stale`."""
        return []

    def _stretches(self) -> Iterator[tuple[str, str]]:
        """Yield the first and the last of some packs that follow each other: as much as fits into memory."""
        first: str | None = None
        size = 0
        fills = [fill for fill in self._inspection.packs() if fill.live]
        for fill in fills:
            first = first or fill.pack
            size += fill.live
            if size >= _STRETCH or fill is fills[-1]:
                yield first, fill.pack
                first, size = None, 0

    def _standing_of(self, key: str) -> Standing | None:
        committed = self._inspection.data_of(key)
        if self._inspection.is_request_config(key):
            return "referenced"
        if committed.place is None and (committed.digests or committed.payload is not None):
            return "referenced"
        return "removed" if committed.is_journaled else None

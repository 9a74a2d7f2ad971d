"""Reading an older store without touching it, one of Starfish 0.1.x say: from a migrated copy of its database."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
import weakref
from typing import Any, cast
from urllib.parse import quote

import apsw

from starfish_storage.errors import StorageBusyError, StorageError, StoreOpenError
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.interface import DataHandler
from starfish_storage.keys import DATABASE_FILE, SESSION_LOCK_FILE
from starfish_storage.metadata.data_owner import Owner, refuse_other_data
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.connection import (
    DATA_ELSEWHERE,
    refuse_data_location,
    refuse_foreign,
    refuse_lost_places,
)
from starfish_storage.metadata.sqlite.driver import Connection, back_up, connect
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.identity import owner_of, sample_of
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID, migrate, migrate_from_starfish
from starfish_storage.metadata.sqlite.starfish_migration import Migration, RowRepair, is_starfish
from starfish_storage.metadata.sqlite.untouched import FileStates, close_untouched, open_untouched, states_of_files
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_BUSY_TIMEOUT_MS = 0  # nobody else has the copy
_ATTEMPTS = 5
_MAGIC = b"SQLite format 3\0"
_FORMATS, _USER_VERSION, _APPLICATION_ID = slice(18, 20), slice(60, 64), slice(68, 72)  # of the header


def may_be_starfish(path: str) -> bool:
    """Return whether a database has no owner in its header, as those of Starfish; opens nothing but that file.

    One beside which our locks lie is asked through SQLite: this process may have it open, and closing a file of it
    that SQLite did not open would drop SQLite's locks on it.
    """
    if os.path.lexists(f"{os.path.dirname(path)}/{SESSION_LOCK_FILE}"):
        return _is_starfish_in_use(path)
    try:
        if not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
            return False
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    return header.startswith(_MAGIC) and not any(header[_USER_VERSION] + header[_APPLICATION_ID])


def is_starfish_at_rest(path: str) -> bool:
    """Return whether a database that nobody has open is one of Starfish, as far as its log need not tell.

    Nothing is locked, and nothing is made beside it.
    """
    if os.path.lexists(f"{os.path.dirname(path)}/{SESSION_LOCK_FILE}") or not may_be_starfish(path):
        return False
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = connect(f"file:{quote(path)}?immutable=1", flags, None, _BUSY_TIMEOUT_MS)
        try:
            return is_starfish(connection)
        finally:
            connection.close()
    except apsw.Error:
        return False  # opened the ordinary way, it is refused with the reason


def _is_starfish_in_use(path: str) -> bool:
    try:
        refuse_planted_database(path)
        connection = connect(path, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW, None, _BUSY_TIMEOUT_MS)
        try:
            return is_starfish(connection)
        finally:
            connection.close()
    except (apsw.Error, OSError, StorageError):
        return False  # opened the ordinary way, it is refused with the reason, or cleared up


class MigratedCopy:
    """A copy of an older database, migrated, which `close` removes.

    Args:
        directory: where its file lies; None: it is kept in memory.

    Attributes:
        path: the copied database.
        vfs: the SQLite file layer that finds it there.
        states: what the files were like that were copied.
    """

    def __init__(self, directory: str | None) -> None:
        self.vfs = None if directory else "memdb"
        self.path = f"{directory or f'/starfish-storage-{uuid.uuid4().hex}'}/{DATABASE_FILE}"
        self.states: FileStates = {}
        self._kept: Connection | None = None
        if directory is None:  # what is in memory lasts as long as a connection to it
            self._kept = connect(self.path, _FLAGS | apsw.SQLITE_OPEN_CREATE, self.vfs, _BUSY_TIMEOUT_MS)
        # Also where nobody closes it; but not in a forked child, whose parent goes on reading.
        self._remove = weakref.finalize(self, _remove, directory, os.getpid())

    def fill(self, path: str) -> None:
        """Copy a database, with its logs, all of one moment.

        Raises:
            StorageBusyError: it is being written.
            apsw.Error: it cannot be read, or there is no room for the copy.
            OSError: likewise.
        """
        refuse_planted_database(path)
        for _ in range(_ATTEMPTS):
            before = states_of_files(path)
            if self._kept is None:
                _copy_files(path, self.path, before)
            else:
                _copy_into(self._kept, path)
            if states_of_files(path) == before:
                self.states = before
                return
        raise still_written(path)

    def migrate(self, path: str, data: DataHandler, repairs: list[RowRepair] | None = None) -> bool:
        """Migrate what was copied from a path; return False if it is no older store.

        Args:
            path: the database, for messages.
            data: where its data lies.
            repairs: where to note what was repaired in rows of Starfish's.
        """
        connection = self._kept or connect(self.path, _FLAGS, None, _BUSY_TIMEOUT_MS)
        try:
            return _migrated(connection, path, data, repairs)
        finally:
            if connection is not self._kept:
                connection.close()

    def close(self) -> None:
        """Remove the copy. Idempotent."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        self._remove()


def still_written(path: str) -> StorageBusyError:
    """Return the error of a store that changes faster than it can be copied."""
    return StorageBusyError(
        f"{path!r} is being written in an older format, and is read from a copy; nothing was changed. "
        "Close it there, then call again."
    )


def older_format(path: str) -> int | None:
    """Return the format of a database that is older than what this release writes; 0 for Starfish's own.

    Returns:
        None for any other, or one that cannot be read, whose opening says why. Called before this process opens it.
    """
    try:
        opened = open_untouched(path)
        try:
            return _older_format(opened.connection)
        finally:
            close_untouched(opened, path)
    except (apsw.Error, OSError, StorageError):
        return None


def copy_if_starfish(path: str, data: DataHandler) -> MigratedCopy | None:
    """Return a migrated copy of a database of Starfish's; None if it is another, or none. It is not touched.

    Raises:
        StorageError: it cannot be read, or there is no room for the copy.
    """
    return copy_if_older(path, data) if may_be_starfish(path) else None


def copy_if_older(path: str, data: DataHandler, repairs: list[RowRepair] | None = None) -> MigratedCopy | None:
    """Return a migrated copy of a database of Starfish's, or of an older format; None if it is neither.

    It lies in the directory for temporary files or, where there is no room, in memory.

    Args:
        path: the database.
        data: where its data lies.
        repairs: where to note what was repaired in rows of Starfish's.

    Raises:
        StorageError: it cannot be read, or there is no room for the copy.
    """
    try:
        return _copied(path, data, os.path.realpath(tempfile.mkdtemp(prefix="starfish-storage-")), repairs)
    except (OSError, apsw.FullError, apsw.IOError, apsw.CantOpenError) as error:
        if isinstance(error, StorageError):
            raise
        logger.info("there is no room for temporary files (%s): %r is copied into memory", type(error).__name__, path)
    return _copied(path, data, None, repairs)


def copy_if_older_untouched(
    path: str, data: DataHandler, *, data_elsewhere: bool, has_changed: bool = False
) -> MigratedCopy | None:
    """Check a database that is only to be read; return a migrated copy of one that must be migrated first.

    One that has changed may be open for writing in this process, whose locks on it would be lost by copying its files:
    what our locks lie beside is copied through SQLite then, into memory.

    Args:
        path: the database, which is there.
        data: where its data lies.
        data_elsewhere: that is another directory than that of the database.
        has_changed: it was copied before, and has changed since.

    Raises:
        apsw.Error: it cannot be read.
        StorageError: it is no store, or its data does not lie there.
    """
    opened = open_untouched(path)
    try:
        connection = opened.connection
        refuse_foreign(connection, path)
        if connection.pragma("user_version") == latest_version():
            for (noted,) in connection.execute(sqlite_queries()["get_setting"], (DATA_ELSEWHERE,)):
                refuse_data_location(noted, path, elsewhere=data_elsewhere)
            if connection.execute(sqlite_queries()["last_journal_number"]).fetchone() == (0,):
                refuse_lost_places(connection, data)
            if data.parallel > 1:
                owner, sample = owner_of(connection, path), sample_of(connection)
                data.check_before_reading(lambda: _check_owner(owner, data, sample))
            return None
    finally:
        close_untouched(opened, path)
    in_memory = has_changed and os.path.lexists(f"{os.path.dirname(path)}/{SESSION_LOCK_FILE}")
    copy = _copied(path, data, None) if in_memory else copy_if_older(path, data)
    if copy is None:
        raise StoreOpenError(path, "it has no tables yet, so there is nothing to read; open it once for writing")
    return copy


def _check_owner(owner: Owner, data: DataHandler, sample: list[str]) -> None:
    refuse_other_data(owner, data, sample)


def _copied(
    path: str, data: DataHandler, directory: str | None, repairs: list[RowRepair] | None = None
) -> MigratedCopy | None:
    copy = MigratedCopy(directory)
    found = False
    try:
        copy.fill(path)
        found = copy.migrate(path, data, repairs)
    except (apsw.CorruptError, apsw.NotADBError):
        pass  # opened the ordinary way, it is refused with the reason
    except (apsw.Error, OSError) as error:
        if directory is not None:
            raise
        raise translate(error, path) from error
    finally:
        if not found:
            copy.close()
    return copy if found else None


def _migrated(connection: Connection, path: str, data: DataHandler, repairs: list[RowRepair] | None) -> bool:
    version = _older_format(connection)
    if version is None:
        return False
    connection.pragma("synchronous", "off")  # it is made anew at every opening
    if version:
        migrate(connection, path, alone=True)
    else:
        migrate_from_starfish(connection, path, data, Migration(repairs=repairs))
    return True


def _older_format(connection: Connection) -> int | None:
    if connection.pragma("application_id") != APPLICATION_ID:
        return 0 if is_starfish(connection) else None
    version: int = connection.pragma("user_version")
    return version if 0 < version < latest_version() else None


def _copy_files(path: str, target: str, states: FileStates) -> None:
    for part, state in states.items():
        if state is not None:
            shutil.copyfile(path + part, target + part)
        elif os.path.exists(target + part):
            os.unlink(target + part)


def _copy_into(target: Connection, path: str) -> None:
    """Copy a database over an empty one in memory, which cannot have a log: its header must not say that it has."""
    opened = open_untouched(path)
    try:
        in_memory = cast("Any", connect(":memory:", _FLAGS, None, _BUSY_TIMEOUT_MS))
        try:
            back_up(opened.connection, in_memory)
            content = bytearray(in_memory.serialize("main"))
            content[_FORMATS] = b"\1\1"
            in_memory.deserialize("main", bytes(content))
            back_up(in_memory, target)
        finally:
            in_memory.close()
    finally:
        close_untouched(opened, path)


def _remove(directory: str | None, process: int) -> None:
    if directory is not None and os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)

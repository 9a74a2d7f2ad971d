"""Opening the SQLite database: as its writer or as a reader, and refusing what is not one of ours."""

from __future__ import annotations

import errno
import os
from typing import Literal

import apsw

from starfish_storage.errors import (
    ForeignStoreError,
    StorageIOError,
    StoreDamagedError,
    StoreOpenError,
    StoreVersionError,
)
from starfish_storage.files.descriptors import NO_LINK
from starfish_storage.files.disks import free_bytes
from starfish_storage.files.permissions import create_private_file
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.interface import DataHandler, RowLogHandler
from starfish_storage.keys import CONFIG_DIRECTORY, DATA_DIRECTORY
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import only_value, only_values
from starfish_storage.metadata.sqlite.driver import Connection, connect
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.migrate import APPLICATION_ID
from starfish_storage.metadata.sqlite.starfish_migration import TABLES as STARFISH_TABLES
from starfish_storage.wording import REPAIR_OR_RESTORE

Durability = Literal["power", "process"]


DATA_ELSEWHERE = "data_elsewhere"
"""The setting that says whether the data lies in another directory than the database."""

BUSY_TIMEOUT_MS = 60_000
"""How long a call waits while a foreign process holds SQLite's lock, in milliseconds."""

_READ_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_MOST_WAL_PAGES, _FEWEST_WAL_PAGES = 12_000, 1000
"""Of the write-ahead log, before it is copied into the database: 48 MB. Of 16 MB, the pages of the indexes whose order
is random were copied so often that it was a quarter of a commit. On a small disk, fewer: a log that has filled it can
not be copied any more."""
_PAGE_BYTES = 4096


def open_for_writing(path: str, durability: Durability, vfs: str | None = None) -> Connection:
    """Open the one writing connection, creating the database file if it does not exist.

    Raises:
        StorageIOError: SQLite cannot open it.
        StoreOpenError: what is there is not a database of ours, or a newer release's; it stays untouched.
    """
    if not os.path.lexists(path):
        _refuse_lost(path)
        # SQLite would create it readable by everyone the umask lets read. Its log and index get the same permissions.
        try:
            os.close(create_private_file(path, os.O_RDWR | NO_LINK))
        except FileExistsError:
            pass  # another program was faster
    connection = connect(path, _READ_WRITE, vfs, BUSY_TIMEOUT_MS)
    try:
        if connection.readonly("main"):  # SQLite does not say when it could open the file for reading only
            number = None if os.access(path, os.W_OK) else errno.EACCES
            reason = "it could be opened for reading only; see to its permissions and disk"
            raise StorageIOError(path, number, reason)  # noqa: TRY301 (the connection is closed on the way out)
        refuse_foreign(connection, path)
        connection.pragma("journal_mode", "wal")
        set_synchronous(connection, durability)
        connection.pragma("fullfsync", "on")  # macOS: fsync alone leaves the data in the drive's cache
        connection.pragma("checkpoint_fullfsync", "on")
        connection.pragma("foreign_keys", "on")
        connection.pragma("cache_size", -8192)
        connection.pragma("wal_autocheckpoint", _wal_pages(path))
        connection.pragma("journal_size_limit", 64 << 20)
        connection.pragma("trusted_schema", "off")
        keep_undo_in_memory(connection, "on")
    except apsw.Error as error:
        failure = translate(error, path, connection)  # while the connection still knows the system's number
        connection.close()
        raise failure from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: str, vfs: str | None = None) -> Connection:
    """Open a connection that cannot write."""
    connection = connect(path, _READ_WRITE, vfs, BUSY_TIMEOUT_MS)
    limit_to_reading(connection)
    return connection


def limit_to_reading(connection: Connection) -> None:
    """Let a connection read, and nothing else."""
    connection.pragma("query_only", "on")
    connection.pragma("cache_size", -4096)
    connection.pragma("trusted_schema", "off")


def refuse_foreign_database(path: str) -> None:
    """Raise if there is a database that is not one of ours, or a newer release's; nothing is written.

    Raises:
        StoreOpenError: there is.
    """
    refuse_planted_database(path)
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return
    try:
        connection = connect(path, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW, None, BUSY_TIMEOUT_MS)
    except apsw.Error as error:
        raise translate(error, path) from error
    try:
        refuse_foreign(connection, path)
    except apsw.ReadOnlyError:
        return  # its writer was killed and SQLite must clear up first: opening it for writing does, and asks again
    except apsw.Error as error:
        raise translate(error, path, connection) from error
    finally:
        connection.close()


def refuse_lost_database(path: str, data: DataHandler, row_log: RowLogHandler) -> None:
    """Refuse to begin a new store for data that had one, wherever that data lies.

    Raises:
        StoreOpenError: there is no database, or an empty one, and there is data, or a row log with rows.
    """
    if os.path.lexists(path) and os.path.getsize(path):
        return
    if data.holds_data() or row_log.holds_rows():
        raise _lost(path)


def refuse_lost_places(connection: Connection, data: DataHandler) -> None:
    """Refuse a store whose rows refer to data in a place that is gone, before it is made anew and empty.

    Raises:
        StoreDamagedError: it is gone.
    """
    for place, query in (
        (DATA_DIRECTORY, "every_data_reference"),
        (CONFIG_DIRECTORY, "every_request_config_reference"),
    ):
        if data.has_place(place) or connection.execute(sqlite_queries()[query]).fetchone() is None:
            continue
        raise StoreDamagedError(
            data.to_reference(place),
            "rows refer to what was in this directory, and it is missing; mount it, restore it from a backup, "
            "or run 'starfish-storage repair --store STORE'",
        )


def refuse_data_location(noted: str | None, path: str, *, elsewhere: bool) -> None:
    """Raise if the data is looked for in another place than where it lies.

    If someone has moved the data into the store or out of it, the move is accepted when the other place holds none.

    Args:
        noted: the setting `DATA_ELSEWHERE`; None in a new store.
        path: the database.
        elsewhere: the data is looked for in another directory than the database.

    Raises:
        StoreOpenError: the data directory is missing in the call, or given where the data lies in the store itself.
    """
    if noted is None or (noted == "yes") is elsewhere:
        return
    inside = _holds_data(os.path.dirname(path))
    if elsewhere and inside:
        raise StoreOpenError(path, "its data lies beside it; open it without a data directory, or move the data first")
    if not elsewhere and not inside:
        reason = "its data lies elsewhere; give its data directory (data_storage_uri_override, or --data-uri)"
        raise StoreOpenError(path, reason)


def check_data_location(connection: Connection, path: str, *, elsewhere: bool) -> None:
    """Note in a new store whether its data lies elsewhere, and refuse to open it later in the other way.

    Opened without its data directory, the journal would be put in place, and emptied, in the wrong one.

    Raises:
        StoreOpenError: see `refuse_data_location`.
    """
    queries = sqlite_queries()
    row = connection.execute(queries["get_setting"], (DATA_ELSEWHERE,)).fetchone()
    now = "yes" if elsewhere else "no"
    noted: str | None = only_value(row)
    refuse_data_location(noted, path, elsewhere=elsewhere)
    if noted != now:
        connection.execute(queries["save_setting"], (DATA_ELSEWHERE, now))


def keep_undo_in_memory(connection: Connection, choice: Literal["on", "off"]) -> None:
    """Choose where SQLite keeps what it needs to undo a statement or a savepoint.

    In memory it saves 18 writes to a temporary file a record; a large deletion would fill the memory with it.
    """
    connection.pragma("temp_store", "memory" if choice == "on" else "default")


def set_synchronous(connection: Connection, durability: Durability) -> None:
    """Choose what a commit waits for: ``"power"`` an fsync of the log, ``"process"`` nothing."""
    connection.pragma("synchronous", "full" if durability == "power" else "normal")


def refuse_foreign(connection: Connection, path: str) -> None:
    """Raise if a database is not one of ours, or a newer release's; nothing is written.

    Raises:
        StoreOpenError: it is.
    """
    queries = sqlite_queries()
    try:
        # Of one moment: another process may be making its schema, and half of the answers would be from before.
        connection.execute(queries["begin_reading"])
        try:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
            tables = set(only_values(connection.execute(queries["list_tables"])))
        finally:
            if connection.in_transaction:  # a failed read may have ended it
                connection.execute(queries["commit"])
    except apsw.NotADBError as error:
        raise ForeignStoreError(
            path,
            "it is not a SQLite database, or its first page is damaged; it was left untouched. If it was a store's, "
            f"{REPAIR_OR_RESTORE}",
        ) from error
    except apsw.CorruptError as error:
        raise StoreDamagedError(path, f"SQLite says {error}; {REPAIR_OR_RESTORE}") from error
    if application == APPLICATION_ID:
        if version > latest_version():
            raise StoreVersionError(
                path,
                f"a newer release wrote it (format {version}, this release knows {latest_version()}); upgrade "
                "starfish-storage. It was left untouched",
            )
        return
    if not application and not version and tables >= STARFISH_TABLES:
        return  # it is migrated
    if application or version or tables:
        raise ForeignStoreError(path, "it is another program's SQLite database; name another directory")
    _refuse_lost(path)


def _refuse_lost(path: str) -> None:
    """Refuse to begin a new store where there was one."""
    if _holds_data(os.path.dirname(path)):
        raise _lost(path)


def _lost(path: str) -> StoreOpenError:
    return StoreOpenError(path, f"it is empty or missing, but there is data beside it; {REPAIR_OR_RESTORE}")


def _holds_data(root: str) -> bool:
    try:
        with os.scandir(f"{root}/data") as entries:
            return any(entries)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _wal_pages(path: str) -> int:
    """Return how long the write-ahead log may grow, in pages: at most an eighth of the space that is free now."""
    try:
        free = free_bytes(path)
    except OSError:
        return _FEWEST_WAL_PAGES
    return max(_FEWEST_WAL_PAGES, min(_MOST_WAL_PAGES, free // 8 // _PAGE_BYTES))

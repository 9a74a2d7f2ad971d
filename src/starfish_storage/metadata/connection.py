"""Opening the SQLite database: as its writer or as a reader, and refusing what is not one of ours."""

from __future__ import annotations

import os
from typing import Literal

import apsw

from starfish_storage.errors import ForeignStoreError, StoreDamagedError, StoreOpenError, StoreVersionError
from starfish_storage.metadata.driver import Connection, connect
from starfish_storage.metadata.migrate import APPLICATION_ID, latest_version
from starfish_storage.metadata.queries import sqlite_queries

Durability = Literal["power", "process"]

DATABASE_FILE = "metadata.db"

BUSY_TIMEOUT_MS = 60_000
"""How long a call waits while a foreign process holds SQLite's lock, in milliseconds."""

_READ_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_WAL_PAGES = 4000  # 16 MB of write-ahead log before it is copied into the database


def open_for_writing(path: str, durability: Durability, vfs: str | None = None) -> Connection:
    """Open the one writing connection, creating the database file if there is none.

    Raises:
        apsw.Error: SQLite cannot open it.
        StoreOpenError: what is there is not a database of ours, or a newer release's; it stays untouched.
    """
    new = not os.path.exists(path)
    if new:
        # SQLite would create it readable by everyone the umask lets read.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    connection = connect(path, _READ_WRITE, vfs, BUSY_TIMEOUT_MS)
    try:
        _refuse_foreign(connection, path)
        connection.pragma("journal_mode", "wal")
        set_synchronous(connection, durability)
        connection.pragma("fullfsync", "on")  # macOS: fsync alone leaves the data in the drive's cache
        connection.pragma("checkpoint_fullfsync", "on")
        connection.pragma("foreign_keys", "on")
        connection.pragma("cache_size", -8192)
        connection.pragma("wal_autocheckpoint", _WAL_PAGES)
        connection.pragma("journal_size_limit", 64 << 20)
        connection.pragma("trusted_schema", "off")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: str, vfs: str | None = None) -> Connection:
    """Open a connection that cannot write."""
    connection = connect(path, _READ_WRITE, vfs, BUSY_TIMEOUT_MS)
    connection.pragma("query_only", "on")
    connection.pragma("cache_size", -4096)
    connection.pragma("trusted_schema", "off")
    return connection


def set_synchronous(connection: Connection, durability: Durability) -> None:
    """Choose what a commit waits for: ``"power"`` an fsync of the log, ``"process"`` nothing."""
    connection.pragma("synchronous", "full" if durability == "power" else "normal")


def _refuse_foreign(connection: Connection, path: str) -> None:
    try:
        application = connection.pragma("application_id")
        version = connection.pragma("user_version")
        tables = {row[0] for row in connection.execute(sqlite_queries()["list_tables"])}
    except apsw.NotADBError as error:
        raise ForeignStoreError(
            path, "it is not a SQLite database, or its first page is damaged; it was left untouched"
        ) from error
    except apsw.CorruptError as error:
        raise StoreDamagedError(path, f"SQLite says {error}; restore a backup") from error
    if application == APPLICATION_ID:
        if version > latest_version():
            raise StoreVersionError(
                path,
                f"a newer release wrote it (format {version}, this release knows {latest_version()}); upgrade "
                "starfish-storage. It was left untouched",
            )
        return
    if {"Projects", "GenerationMasterJob", "GenerationJob", "Records"} <= tables:
        raise ForeignStoreError(path, "it is a store of Starfish 0.1.x, which this release cannot open yet")
    if application or version or tables:
        raise ForeignStoreError(path, "it is another program's SQLite database; name another directory")
    data = f"{os.path.dirname(path)}/data"
    if os.path.isdir(data) and any(os.scandir(data)):
        raise StoreOpenError(path, f"it is empty, but there is data in {data!r}; restore the database from a backup")

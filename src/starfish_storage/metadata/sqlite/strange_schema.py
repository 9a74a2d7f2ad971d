"""Whether a database that came from elsewhere is made as ours are: a trigger or a view of somebody else's would run."""

from __future__ import annotations

import apsw

from starfish_storage.errors import ForeignStoreError, StoreDamagedError, StoreVersionError
from starfish_storage.metadata.migrations import latest_version, migrations
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.connection import open_for_reading, refuse_foreign_database
from starfish_storage.metadata.sqlite.driver import Connection, Row, connect
from starfish_storage.metadata.sqlite.errors import translate

_READ_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE


def refuse_strange_schema(path: str) -> None:
    """Raise unless a database has the tables, indexes and triggers of its version, and nothing else.

    Raises:
        ForeignStoreError: it has others, or is not one of ours.
        StoreVersionError: it is of a newer release.
        StoreDamagedError: it cannot be read.
    """
    refuse_foreign_database(path)
    try:
        connection = open_for_reading(path)
        try:
            version = connection.pragma("user_version")
            found = _objects(connection)
        finally:
            connection.close()
    except (apsw.Error, UnicodeDecodeError) as error:
        if isinstance(error, apsw.Error):
            raise translate(error, path) from error
        raise StoreDamagedError(path, "its schema is not UTF-8; take another copy") from None
    if not 1 <= version <= latest_version():
        raise StoreVersionError(
            path, f"its schema version is {version}, and this release knows 1 to {latest_version()}"
        )
    if found != _made_by_migrations(version):
        reason = "its tables and triggers are not those of a store; take the file from whoever made it once more"
        raise ForeignStoreError(path, reason)


def _objects(connection: Connection) -> list[Row]:
    return connection.execute(sqlite_queries()["every_schema_object"]).fetchall()


def _made_by_migrations(version: int) -> list[Row]:
    connection = connect(":memory:", _READ_WRITE, None, 0)
    try:
        for script in migrations("sqlite")[:version]:
            connection.execute(script)
        return _objects(connection)
    finally:
        connection.close()

"""Bringing a database to the schema of this release: numbered ``.sql`` files, each in one transaction."""

from __future__ import annotations

from starfish_storage.errors import StoreOpenError
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.action_rows import note_action
from starfish_storage.metadata.migrations import latest_version, migrations
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter
from starfish_storage.metadata.sqlite.starfish_migration import Migration, is_starfish, migrate_starfish
from starfish_storage.metadata.sqlite.transaction import Transaction

APPLICATION_ID = 0x53465354
"""``SFST`` in ASCII: what SQLite's header says of a database of this library."""


def migrate(connection: Connection, path: str, *, alone: bool) -> int | None:
    """Bring a database to the latest version, one transaction a step; one that is there already is not touched.

    Return the version that it had, if it was an earlier one of this library.

    Args:
        connection: the writing connection.
        path: the database, for messages.
        alone: no other process has it open.

    Raises:
        StoreOpenError: it needs a migration while another process, of an older release, has it open.
    """
    queries = sqlite_queries()
    version = connection.pragma("user_version")
    if 0 < version < latest_version() and not alone:
        raise StoreOpenError(path, "it is to be migrated, and an older release has it open; close that first")
    for number, script in enumerate(migrations("sqlite"), start=1):
        if number <= version:
            continue
        connection.execute(queries["begin"])
        try:
            connection.execute(script)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)
            connection.execute(queries["commit"])
        except BaseException:
            if connection.in_transaction:
                connection.execute(queries["rollback"])
            raise
    return version if 0 < version < latest_version() else None


def note_migration(transaction: Transaction, rows: SQLiteRowWriter, before: int) -> None:
    """Note who has migrated the store, as an ordinary change: it stands in the row log.

    Args:
        transaction: none is under way.
        rows: makes the change.
        before: the version that the store had.
    """
    transaction.begin()
    rows.begin_group()
    note_action(rows, "migrate", "store", None, f"version {before} to {latest_version()}")
    transaction.commit(rows.changes())


def migrate_from_starfish(connection: Connection, path: str, data: DataHandler, how: Migration) -> None:
    """Turn a database of Starfish 0.1.x into one of the latest version, in one transaction; leave any other alone.

    Args:
        connection: the writing connection.
        path: the database, for messages.
        data: knows which references are keys.
        how: what is done beside it.

    Raises:
        apsw.Error: SQLite failed; the database is as it was.
        StoreOpenError: what came out does not hold together; the database is as it was.
    """
    if not is_starfish(connection):
        return  # also where another process, which had the writer lock before, was first

    def create_schema() -> None:
        for script in migrations("sqlite"):
            connection.execute(script)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", latest_version())

    migrate_starfish(connection, path, data, create_schema, how)

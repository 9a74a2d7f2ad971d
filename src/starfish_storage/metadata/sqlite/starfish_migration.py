"""Making a store of ours out of one of Starfish 0.1.x: its tables into ours, in one transaction, after a backup.

The migration keeps everything that its tables can hold. What does not fit ours (a missing parent, a reference that
leads out of the store, JSON that is not an object) is kept in a form that fits; none of it is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import apsw

from starfish_storage.errors import StoreOpenError
from starfish_storage.files.descriptors import NO_LINK
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.queries import sqlite_queries, starfish_queries, starfish_repair_queries
from starfish_storage.metadata.row import only_values
from starfish_storage.metadata.sqlite.driver import Connection, back_up, connect
from starfish_storage.metadata.sqlite.starfish_values import register_conversions
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

TABLES = frozenset({"Projects", "GenerationMasterJob", "GenerationJob", "Records"})

BACKUP_SUFFIX = ".starfish-0.1"
"""Of the copy of a Starfish database that is kept beside it when it is migrated."""

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_BUSY_TIMEOUT_MS = 60_000


class RowRepair(NamedTuple):
    """One thing in a row of Starfish's that our tables hold in another form.

    Attributes:
        kind: the name of the query in ``starfish_repairs.sql`` that found it.
        subject: the id of the row.
        detail: what was there, and what became of it.
    """

    kind: str
    subject: str
    detail: str


class Migration(NamedTuple):
    """What a migration does beside turning the tables.

    Attributes:
        backup: keep a copy of the database beside it first.
        repairs: where to note what was repaired in rows; None: nowhere.
        finish: called at the end, inside the transaction.
        backed_up: called with the path of the backup.
    """

    backup: bool = False
    repairs: list[RowRepair] | None = None
    finish: Callable[[Connection], None] | None = None
    backed_up: Callable[[str], None] | None = None


def is_starfish(connection: Connection) -> bool:
    """Return whether a database is one of Starfish 0.1.x."""
    if connection.pragma("application_id") or connection.pragma("user_version"):
        return False
    return set(only_values(connection.execute(sqlite_queries()["list_tables"]))) >= TABLES


def migrate_starfish(
    connection: Connection, path: str, data: DataHandler, create_schema: Callable[[], None], how: Migration
) -> None:
    """Turn the tables of Starfish into ours, in one transaction; if that fails, they stay as they are.

    Args:
        connection: the writing connection; its `foreign_keys` are on again afterwards.
        path: the database, for messages.
        data: knows which references are keys.
        create_schema: makes our tables, inside the transaction.
        how: what is done beside it.

    Raises:
        apsw.Error: SQLite failed.
        StoreOpenError: what came out does not hold together.
    """
    queries = sqlite_queries()
    register_conversions(connection, data)
    connection.pragma("foreign_keys", "off")  # has no effect inside a transaction
    kept = None
    try:
        connection.execute(queries["begin"])
        if how.backup:
            # Holding the lock: what is copied is what is migrated.
            kept = _back_up(path)
            if how.backed_up is None:  # nobody tells what is done
                logger.warning("%s is a store of Starfish 0.1.x; it is migrated, and kept as %s", path, kept)
        _turn_tables(connection, create_schema, how)
        _check_parents(connection, path)
        connection.execute(queries["commit"])
        if kept is not None and how.backed_up is not None:
            how.backed_up(kept)
    except BaseException:
        if connection.in_transaction:
            connection.execute(queries["rollback"])
        if kept is not None:
            os.unlink(kept)  # or every attempt would leave one
        raise
    finally:
        connection.pragma("foreign_keys", "on")


def _turn_tables(connection: Connection, create_schema: Callable[[], None], how: Migration) -> None:
    statements = starfish_queries()
    for name in statements.names():
        if name == "create_schema":
            create_schema()
            if how.repairs is not None:
                how.repairs.extend(_found(connection))
        else:
            connection.execute(statements[name])
    if how.finish is not None:
        how.finish(connection)


def _found(connection: Connection) -> list[RowRepair]:
    """Return what is repaired in rows, asked of Starfish's tables before anything in them is changed."""
    queries = starfish_repair_queries()
    return [RowRepair(kind, *row) for kind in queries.names() for row in connection.execute(queries[kind])]


def _check_parents(connection: Connection, path: str) -> None:
    if connection.execute(sqlite_queries()["check_foreign_keys"]).fetchone() is not None:
        raise StoreOpenError(path, "it is a store of Starfish 0.1.x that cannot be migrated: rows lack their parent")


def _back_up(path: str) -> str:
    """Copy the database to the first name that no finished backup has, and return that name.

    SQLite copies it in one transaction, which it syncs: a copy that was killed is empty, and is made again.
    """
    number = 1
    while True:
        target = f"{path}{BACKUP_SUFFIX}" + (f"-{number}" if number > 1 else "")
        os.close(os.open(target, os.O_CREAT | os.O_RDWR | NO_LINK, 0o600))
        copy = connect(target, _FLAGS, None, _BUSY_TIMEOUT_MS)
        try:
            if copy.execute(sqlite_queries()["list_tables"]).fetchone() is None:
                _copy_database(path, copy)
                return target
        finally:
            copy.close()
        number += 1


def _copy_database(path: str, copy: Connection) -> None:
    copy.pragma("synchronous", "extra")  # syncs the directory as well
    copy.pragma("fullfsync", "on")
    source = connect(path, _FLAGS, None, _BUSY_TIMEOUT_MS)
    try:
        back_up(source, copy)
    finally:
        source.close()

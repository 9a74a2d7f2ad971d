"""Upgrading the database of a Starfish store, once it is known what lies in its files: in the migration's transaction.

Reading such a store, the first write and an import do without this: they take the rows as the migration leaves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, Self

import apsw

from starfish_storage.errors import StorageBusyError
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.migrations import latest_version
from starfish_storage.metadata.queries import sqlite_queries, starfish_queries, starfish_upgrade_queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.sqlite.connection import open_for_writing, refuse_foreign
from starfish_storage.metadata.sqlite.driver import Connection, connect
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.migrate import migrate_from_starfish
from starfish_storage.metadata.sqlite.starfish_copy import MigratedCopy, copy_if_older
from starfish_storage.metadata.sqlite.starfish_migration import Migration, RowRepair, is_starfish
from starfish_storage.metadata.sqlite.untouched import close_untouched, open_untouched

_READ_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_PATIENCE_MS = 500  # for a program that is about to close the store


class DataState(NamedTuple):
    """What was found of the data of a record.

    Attributes:
        record_uid: the record.
        key: where its data lies now.
        sha256: its digest; None if it is lost.
        fault: why it is lost; None if it is not.
    """

    record_uid: str
    key: str
    sha256: str | None
    fault: str | None = None


def format_of(path: str) -> int:
    """Return the format of a database that is ours or Starfish's, whose own is 0. Nothing is written.

    Raises:
        StorageError: it is of a newer release, another program's, or cannot be read.
    """
    try:
        opened = open_untouched(path)
        try:
            refuse_foreign(opened.connection, path)
            version: int = opened.connection.pragma("user_version")
            return 0 if is_starfish(opened.connection) else version or latest_version()
        finally:
            close_untouched(opened, path)
    except apsw.Error as error:
        raise translate(error, path) from error


def refuse_open_elsewhere(path: str) -> None:
    """Raise if a program has a database open, Starfish say, which would go on to use tables that are gone.

    Raises:
        StorageBusyError: so it is.
        StorageError: it cannot be opened for writing.
    """
    queries = sqlite_queries()
    # Whoever has a database in WAL mode open holds a lock on it, which only exclusive access meets.
    try:
        connection = connect(path, _READ_WRITE, None, _PATIENCE_MS)
        try:
            connection.pragma("locking_mode", "exclusive")
            connection.execute(queries["begin"])
            connection.execute(queries["rollback"])
        finally:
            connection.close()
    except apsw.BusyError as error:
        raise StorageBusyError(
            f"{path!r} is open in another program, such as a run of Starfish; nothing was changed. "
            "End that program, then call again."
        ) from error
    except apsw.Error as error:
        raise translate(error, path) from error


class UpgradedCopy:
    """The rows of a Starfish store as an upgrade makes them, in a copy. Use it in ``with``.

    Args:
        path: real path of the database.
        data: where its data lies.

    Attributes:
        repairs: what is repaired in rows.

    Raises:
        StorageError: it cannot be read, or there is no room for the copy.
    """

    def __init__(self, path: str, data: DataHandler) -> None:
        self.repairs: list[RowRepair] = []
        copy = copy_if_older(path, data, self.repairs)
        assert copy is not None  # its format was asked for
        self._copy: MigratedCopy = copy
        self._connection = connect(copy.path, _READ_WRITE, copy.vfs, _PATIENCE_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._copy.close()

    def rows(self, query: str) -> Iterator[Row]:
        """Yield the rows of a query of ``starfish_upgrade.sql``."""
        return iter(self._connection.execute(starfish_upgrade_queries()[query]))


def upgrade_database(path: str, data: DataHandler, states: Sequence[DataState], repairs: list[RowRepair]) -> str:
    """Migrate a database of Starfish's in one transaction with what is known of its data; return where its backup lies.

    Called while nobody else has the store open.

    Args:
        path: real path of the database.
        data: where its data lies.
        states: of the data of each record that has any.
        repairs: where to note what was repaired in rows.

    Raises:
        StorageError: nothing was changed.
    """
    backups: list[str] = []
    how = Migration(backup=True, repairs=repairs, finish=partial(_note_data, states=states), backed_up=backups.append)
    connection = open_for_writing(path, "power")
    try:
        migrate_from_starfish(connection, path, data, how)
    except apsw.Error as error:
        raise translate(error, path, connection) from error
    finally:
        connection.close()
    return backups[0]


def _note_data(connection: Connection, states: Sequence[DataState]) -> None:
    queries = starfish_upgrade_queries()
    placed = ((state.key, state.sha256, state.record_uid) for state in states if state.fault is None)
    connection.executemany(queries["place_data"], placed)
    lost = [state for state in states if state.fault is not None]
    connection.executemany(queries["lose_data"], ((state.fault, state.record_uid) for state in lost))
    connection.executemany(queries["fail_job_of_lost_data"], ((state.record_uid,) for state in lost))
    if lost:
        connection.execute(starfish_queries()["count_records_of_runs"])

"""The file of an index: opening it, its transactions, and what its driver raises."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import apsw

from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Row
from starfish_storage.metadata.sqlite.driver import connect
from starfish_storage.metadata.sqlite.errors import translate

FORM = 2
"""Changes with the tables, with what `words` and `leaves` make of a record, and with what stamps are made of."""

_BUSY_MS = 200
_OPENING_MS = 10_000
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_DAMAGES = (
    apsw.CorruptError,
    apsw.NoFTS5Error,
    apsw.NotADBError,
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
)
_TABLES = ("settings", "scopes", "fields", "entries", "entries_by_scope", "text")


class IndexDamagedError(Exception):
    """The file is not an index, or not of this form. It is to be made anew."""


class IndexFile:
    """An open index, with its tables.

    Args:
        path: the file, which exists.
        relevance: how well a row matches: see FTS5's auxiliary functions.

    Raises:
        IndexDamagedError: it is not an index.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: str, relevance: Callable[..., float]) -> None:
        self._path = path
        self._queries = search_queries()
        try:
            self._connection = cast("Any", connect(path, _FLAGS, None, _OPENING_MS))
        except apsw.Error as error:
            raise translate(error, path) from error
        try:
            with self.translated():
                if not os.stat(path).st_size:  # whatever reads a new one meanwhile is refused, and FTS5 seems missing
                    self._keep_a_log()
                self._connection.register_fts5_function("relevance", relevance)
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close it. Idempotent."""
        self._connection.close()

    def first(self, name: str, *parameters: object) -> Row | None:
        """Run a named query and return its first row."""
        return self.execute(name, *parameters).fetchone()

    def execute(self, name: str, *parameters: object) -> Any:
        """Run a named query."""
        return self._connection.execute(self._queries[name], parameters)

    def last_number(self) -> int:
        """Return the number of the row inserted last."""
        return self._connection.last_insert_rowid()

    def changes(self) -> int:
        """Return how many rows have been changed since it was opened."""
        return self._connection.total_changes()

    def empty_log(self) -> None:
        """Empty the log that stands beside the file, unless somebody is reading."""
        with self.translated():
            self._connection.pragma("wal_checkpoint", "truncate")

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Run a transaction that writes.

        Raises:
            StorageBusyError: another process is writing.
        """
        with self.translated():
            self.execute("begin")
            try:
                yield
                self.execute("commit")
            finally:
                if self._connection.in_transaction:
                    self.execute("rollback")

    @contextmanager
    def translated(self) -> Generator[None]:
        """Turn what the driver raises into errors of ours.

        Raises:
            IndexDamagedError: the file is damaged.
            StorageError: something else failed.
        """
        try:
            yield
        except _DAMAGES as error:
            raise IndexDamagedError from error
        except apsw.Error as error:
            raise translate(error, self._path, self._connection) from error

    def _prepare(self) -> None:
        connection = self._connection
        with self.translated():
            self._keep_a_log()
            connection.pragma("synchronous", "normal")  # a power cut may take the last moments, and tears nothing
            connection.pragma("cache_size", -16384)
            connection.pragma("trusted_schema", "off")
            connection.pragma("secure_delete", "on")
            connection.pragma("temp_store", "memory")
        with self.transaction():
            if not connection.pragma("user_version") and not connection.pragma("schema_version"):
                for table in _TABLES:
                    self.execute(f"make_{table}")
                connection.pragma("user_version", FORM)
            if connection.pragma("user_version") != FORM:
                raise IndexDamagedError
        connection.set_busy_timeout(_BUSY_MS)

    def _keep_a_log(self) -> None:
        """Switch to a log. SQLite refuses at once where two do so together, since each would wait for the other."""
        try:
            self._connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            import tenacity  # not for everybody who reads

            tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(apsw.BusyError),
                wait=tenacity.wait_random(0.001, 0.02),
                stop=tenacity.stop_after_delay(_OPENING_MS / 1000),
                reraise=True,
            )(self._connection.pragma, "journal_mode", "wal")


@cache
def search_queries() -> Queries:
    """Return the queries of the index, read once a process."""
    return Queries("sqlite", "search/index.sql")

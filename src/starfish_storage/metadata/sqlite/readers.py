"""Reading connections: one in the calling thread for single rows, a small pool for lists.

Readers see the last commit and never wait for the writer. A hop to another thread costs more than the look-up of one
indexed row, so that is done on the spot; what reads many rows would hold up the event loop, and goes to the pool.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from starfish_storage.errors import StoreDamagedError
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.metadata.lifecycle import closed
from starfish_storage.metadata.sqlite.connection import open_for_reading
from starfish_storage.metadata.sqlite.driver import Connection, Cursor, Row
from starfish_storage.metadata.sqlite.errors import translate

Result = TypeVar("Result")

_POOL_THREADS = 4


def fetch_one(cursor: Cursor) -> Row | None:
    """Return the first row; None if there is none."""
    return cursor.fetchone()


class Readers:
    """Runs queries on connections of their own, one a thread.

    Args:
        path: the database.
        vfs: name of the SQLite file layer.
    """

    def __init__(self, path: str, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._pool = ThreadPoolExecutor(_POOL_THREADS, "starfish-storage-reader")
        self._closed = False

    def first(self, query: str, parameters: Row) -> Row | None:
        """Return the first row of a query over an index, at once and in this thread."""
        try:
            return self._local.connection.execute(query, parameters).fetchone()
        except (AttributeError, apsw.Error, OSError, UnicodeDecodeError):
            pass  # left behind here: what it quotes of a damaged row must not hang on to the error that follows
        return self.fetch(query, parameters, fetch_one)  # opens what is not open, and says what is wrong

    def all_at_once(self, query: str, parameters: Row) -> list[Row]:
        """Return all rows of a query that can have but a few, at once and in this thread."""
        return self._fetch_all(query, parameters)

    def changes(self) -> object:
        """Return a number that is another one after each commit of another connection; compare it in one thread."""
        try:
            return self._connection().pragma("data_version")
        except apsw.Error as error:
            raise self._translated(error) from error

    async def all(self, query: str, parameters: Row, convert: Callable[[list[Row]], Result]) -> Result:
        """Return the converted rows of a query, run in the pool."""
        return await self.in_pool(lambda: convert(self._fetch_all(query, parameters)))

    async def in_pool(self, work: Callable[[], Result]) -> Result:
        """Return the result of work with several queries, run in the pool."""
        # Not as the result of the future: in its debug mode the event loop logs that.
        found: list[Result] = []
        try:
            running = self._pool.submit(lambda: found.append(work()))
        except RuntimeError as error:
            raise closed() from error
        await asyncio.wrap_future(running)
        return found[0]

    def fetch(self, query: str, parameters: Row, fetch: Callable[[Cursor], Result]) -> Result:
        """Return what is fetched of a query, which is run in this thread."""
        try:
            return fetch(self._connection().execute(query, parameters))
        except (apsw.Error, OSError) as error:
            raise self._translated(error) from error
        except UnicodeDecodeError:
            pass  # not kept as the cause: it holds the text, and its `repr` shows it
        raise StoreDamagedError(self._path, "a text in it is not UTF-8; restore a backup")

    def close(self) -> None:
        """Wait for running queries and close every connection. Idempotent."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=True)
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _fetch_all(self, query: str, parameters: Row) -> list[Row]:
        return self.fetch(query, parameters, lambda cursor: cursor.fetchall())

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            return connection
        with self._lock:
            if self._closed:
                raise closed()
            try:
                connection = self._open()
            except apsw.CantOpenError as error:  # SQLite does not say why; without another reason it fails again
                connection = SPARES.instead(error, self._open, lambda error: isinstance(error, apsw.CantOpenError))
            self._connections.append(connection)
        self._local.connection = connection
        return connection

    def _open(self) -> Connection:
        connection = open_for_reading(self._path, self._vfs)
        try:
            connection.pragma("user_version")  # its log is opened at the first read: now, and not when others are out
        except BaseException:
            connection.close()
            raise
        return connection

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, apsw.ConnectionClosedError):
            return closed()
        connection: Any = getattr(self._local, "connection", None)
        return translate(error, self._path, connection)

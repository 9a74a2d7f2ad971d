"""A database of an export of its own: on disk, without a name, and gone with the process, however that ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import apsw

from starfish_storage.files.errors import translated
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.driver import Connection, connect
from starfish_storage.metadata.sqlite.errors import translate

_CACHE_KB = 32 << 10


def scratch_database(directory: str, prefix: str, statements: Sequence[str]) -> Connection:
    """Open a new database.

    It holds its pages on disk, and 32 MB of them in memory at most.

    Args:
        directory: where its file lies.
        prefix: with which the name of the file begins, while it has one.
        statements: what makes its tables.

    Raises:
        StorageIOError: it cannot be made there; `StorageFullError` if there is no space.
    """
    with translated(directory):
        descriptor, path = tempfile.mkstemp(dir=directory, prefix=prefix)
        os.close(descriptor)
        try:
            return _opened(path, statements)
        except apsw.Error as error:
            raise translate(error, path) from error
        finally:
            os.unlink(path)


def _opened(path: str, statements: Sequence[str]) -> Connection:
    connection = connect(path, apsw.SQLITE_OPEN_READWRITE, None, 0)
    try:
        # A journal would be a file with a name, and SQLite refuses to make one for a database that has none any more.
        connection.pragma("journal_mode", "off")
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("synchronous", "off")
        connection.pragma("cache_size", -_CACHE_KB)
        for statement in (*statements, sqlite_queries()["begin"]):  # never committed: nobody reads it again
            connection.execute(statement)
    except apsw.Error:
        connection.close()
        raise
    return connection

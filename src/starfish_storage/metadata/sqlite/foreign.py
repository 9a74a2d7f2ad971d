"""Databases of other programs, which are only read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Self

import apsw

from starfish_storage.errors import InvalidInputError, StorageError, shorten
from starfish_storage.keys import SESSION_LOCK_FILE
from starfish_storage.metadata.sqlite.driver import Connection, back_up, connect
from starfish_storage.metadata.sqlite.untouched import close_untouched, open_untouched

_MAGIC = b"SQLite format 3\0"
_BUSY_TIMEOUT_MS = 5000
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOFOLLOW
_LONGEST_NAME = 300


def may_be_foreign(path: str) -> bool:
    """Return whether a file is a database of SQLite, and none of ours that somebody may have open.

    Opening and closing such a one would drop the locks that this process has on it.
    """
    if not os.path.isfile(path) or os.path.lexists(os.path.join(os.path.dirname(path), SESSION_LOCK_FILE)):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class ForeignDatabase:
    """A copy of a database as of one moment: whoever writes to it meanwhile is not kept waiting. Usable with ``with``.

    Nothing is written to the database itself, nor beside it.

    Args:
        path: the database.

    Raises:
        InvalidInputError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.shown = shorten(path, _LONGEST_NAME)
        if not may_be_foreign(path):
            raise InvalidInputError(f"{self.shown} is no database of SQLite: check that it is the right file.")
        self._directory = tempfile.mkdtemp(prefix="starfish-storage-")
        self._connection: Connection | None = None
        try:
            self._connection = connect(os.path.join(self._directory, "copy"), _FLAGS, None, _BUSY_TIMEOUT_MS)
            self._copy(os.path.realpath(path))
        except (apsw.Error, OSError, StorageError) as error:
            self.close()
            if isinstance(error, InvalidInputError):
                raise
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close and remove the copy. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def rows(self, query: str, *values: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query, by the names of their columns; the last of those that have one name counts.

        Raises:
            InvalidInputError: the database is damaged, or has other tables.
        """
        assert self._connection is not None
        try:
            cursor: Any = self._connection.execute(query, values)
            for row in cursor:
                yield {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _copy(self, path: str) -> None:
        opened = open_untouched(path)
        try:
            assert self._connection is not None
            back_up(opened.connection, self._connection)
        finally:
            close_untouched(opened, path)
        self._connection.pragma("trusted_schema", 0)
        self._connection.pragma("query_only", 1)

    def _unreadable(self, error: Exception) -> InvalidInputError:
        return InvalidInputError(
            f"{self.shown} cannot be read ({type(error).__name__}): it is damaged, in use, or of another release. "
            "Close the program that it belongs to, and look at it there."
        )

"""Digests that were met, on disk: where each stood first, in memory that does not grow with their number."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from typing import NamedTuple, Self

import apsw

from starfish_storage.files.errors import translated
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.sqlite.driver import Connection, connect
from starfish_storage.metadata.sqlite.errors import translate

_CACHE_KB = 32 << 10


class Noted(NamedTuple):
    """Where a digest stood first.

    Attributes:
        split: the split of that record; empty without splits.
        record_uid: that record.
        is_counted: whether `DigestTable.count` was called for it.
    """

    split: str
    record_uid: str
    is_counted: bool


class DigestTable:
    """A table of digests in a file without a name, which is gone with the process, however that ends.

    A Python set of a million digests takes 100 MB; this takes 32 MB at most, and 70 bytes of disk for each.

    Args:
        directory: where the file lies.

    Raises:
        StorageIOError: it cannot be made there; `StorageFullError` if there is no space.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._find, self._add = _queries()["find_digest"], _queries()["add_digest"]
        with translated(directory):
            descriptor, path = tempfile.mkstemp(dir=directory, prefix=".export-digests-")
            os.close(descriptor)
            try:
                self._connection = _opened(path)
            except apsw.Error as error:
                raise translate(error, path) from error
            finally:
                os.unlink(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, digest: bytes, split: str, record_uid: str) -> Noted | None:
        """Return where a digest stood first; None if that is here, which is noted.

        Raises:
            StorageIOError: it cannot be read or written; `StorageFullError` if there is no space.
        """
        try:
            found = self._connection.execute(self._find, (digest,)).fetchone()
            if found is None:
                self._connection.execute(self._add, (digest, split, record_uid))
                return None
        except apsw.Error as error:
            raise translate(error, self._directory) from error
        return Noted(str(found[0]), str(found[1]), bool(found[2]))

    def count(self, digest: bytes) -> None:
        """Remember that a digest was counted.

        Raises:
            StorageIOError: as `note`.
        """
        try:
            self._connection.execute(_queries()["count_digest"], (digest,))
        except apsw.Error as error:
            raise translate(error, self._directory) from error

    def close(self) -> None:
        """Remove it. Idempotent."""
        self._connection.close()


def _opened(path: str) -> Connection:
    connection = connect(path, apsw.SQLITE_OPEN_READWRITE, None, 0)
    try:
        # A journal would be a file with a name, and SQLite refuses to make one for a database that has none any more.
        connection.pragma("journal_mode", "off")
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("synchronous", "off")
        connection.pragma("cache_size", -_CACHE_KB)
        connection.execute(_queries()["make_digests"])
        connection.execute(_queries()["begin"])  # never committed: nobody reads it again
    except apsw.Error:
        connection.close()
        raise
    return connection


@cache
def _queries() -> Queries:
    return Queries("sqlite", "scratch/digests.sql")

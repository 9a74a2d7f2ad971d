"""Digests that were met, on disk: where each stood first, in memory that does not grow with their number."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, Self

import apsw

from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.scratch import scratch_database
from starfish_storage.metadata.sqlite.errors import translate


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
        self._connection = scratch_database(directory, ".export-digests-", [_queries()["make_digests"]])

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


@cache
def _queries() -> Queries:
    return Queries("sqlite", "scratch/digests.sql")

"""Reading an older store from a migrated copy, for as long as nobody changes the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import apsw

from starfish_storage.errors import StorageError
from starfish_storage.metadata.lifecycle import closed
from starfish_storage.metadata.sqlite.driver import Cursor, Row
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.readers import Readers, fetch_one
from starfish_storage.metadata.sqlite.starfish_copy import MigratedCopy, still_written
from starfish_storage.metadata.sqlite.untouched import UntouchedReaders, states_of_files

Result = TypeVar("Result")

_ATTEMPTS = 5


@dataclass
class _Source:
    """What rows are read from: a copy, or the store itself once it is of the current format.

    Attributes:
        users: how many threads read from it now.
    """

    readers: Readers
    copy: MigratedCopy | None
    users: int = 0

    def is_outdated(self, path: str) -> bool:
        return self.copy is not None and states_of_files(path) != self.copy.states

    def close(self) -> None:
        self.readers.close()
        if self.copy is not None:
            self.copy.close()


class CopiedReaders(Readers):
    """Runs queries on a migrated copy. Once the store has changed, it is copied again, or read itself if migrated.

    Otherwise, rows of the copy would be compared with data that was saved later, and look damaged.

    Args:
        path: real path of the database.
        copy: the copy to begin with, which is closed with the readers.
        copy_anew: returns another copy; None if the database is of the current format by now.
    """

    def __init__(self, path: str, copy: MigratedCopy, copy_anew: Callable[[], MigratedCopy | None]) -> None:
        super().__init__(path, None)
        self._copy_anew = copy_anew
        self._source: _Source | None = _Source(Readers(copy.path, copy.vfs), copy)
        self._taking = threading.Lock()

    def close(self) -> None:
        """Wait for running queries, close every connection and remove the copy. Idempotent."""
        super().close()
        with self._taking:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def first(self, query: str, parameters: Row) -> Row | None:
        """See `Readers.first`."""
        return self.fetch(query, parameters, fetch_one)

    def fetch(self, query: str, parameters: Row, fetch: Callable[[Cursor], Result]) -> Result:
        """See `Readers.fetch`."""
        for _ in range(_ATTEMPTS):
            source = self._taken()
            if source is None:
                continue
            try:
                found = source.readers.fetch(query, parameters, fetch)
            except StorageError:
                if not source.is_outdated(self._path):
                    raise
            else:
                if not source.is_outdated(self._path):
                    return found
            finally:
                self._give_back(source)
        raise still_written(self._path)

    def _taken(self) -> _Source | None:
        """Return what to read from, opened if need be; None if the store changed while it was opened."""
        with self._taking:
            if self._closed:
                raise closed()
            if self._source is None:
                before = states_of_files(self._path)
                try:
                    copy = self._copy_anew()
                except (apsw.Error, StorageError) as error:
                    if states_of_files(self._path) != before:
                        return None
                    if isinstance(error, StorageError):
                        raise
                    raise translate(error, self._path) from error
                readers = UntouchedReaders(self._path) if copy is None else Readers(copy.path, copy.vfs)
                self._source = _Source(readers, copy)
            self._source.users += 1
            return self._source

    def _give_back(self, source: _Source) -> None:
        """Release the source of a read. The last reader closes it if it is outdated."""
        with self._taking:
            source.users -= 1
            if source is self._source and source.is_outdated(self._path):
                self._source = None
            is_dropped = self._source is not source and not source.users
        if is_dropped:
            source.close()

"""Groups that delete: what they need of SQLite, and their part of its log, copied while others write."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import apsw

from starfish_storage.metadata.operations import WriteOperation
from starfish_storage.metadata.sqlite.connection import keep_undo_in_memory
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_MANY_ROWS = 256
"""So many deleted rows are copied at once, with the pages of all indexes that they stood in."""


class Deletions:
    """Prepares the connection for groups that delete. Used in the writer's thread.

    A deletion changes pages all over the database. By itself, SQLite copies them from its log at the end of a commit,
    once they are thousands: that took most of a second, for which everybody else waited, and as often as not it came
    with the commit of somebody else. So a deletion copies what it has written soon, and without any lock.

    Args:
        connection: the writing connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._copied = connection.total_changes()
        self._has_deleted = False

    @contextmanager
    def of(self, group: Sequence[WriteOperation]) -> Generator[None]:
        """Prepare for a group while it is committed, and note how long that took; one that deletes nothing needs none.

        Args:
            group: whose writer lock is held.
        """
        deleting = [operation for operation in group if operation.removals is not None]
        if not deleting:
            yield
            return
        begun = time.monotonic()
        pages: int = self._connection.pragma("wal_autocheckpoint")
        keep_undo_in_memory(self._connection, "off")
        self._connection.pragma("wal_autocheckpoint", 0)
        try:
            yield
        finally:
            self._connection.pragma("wal_autocheckpoint", pages)
            keep_undo_in_memory(self._connection, "on")
            self._has_deleted = True
            for operation in deleting:
                operation.took = time.monotonic() - begun

    def copy_if_due(self) -> None:
        """Copy what the log holds into the database, after a deletion of many rows; needs no lock, and stops nobody."""
        if not self._has_deleted:
            return
        self._has_deleted = False
        changes = self._connection.total_changes()
        if changes - self._copied < _MANY_ROWS:
            return
        self._copied = changes
        try:
            self._connection.pragma("wal_checkpoint", "passive")
        except apsw.Error as error:
            # What is committed is in the log, and is copied with a later commit, which tells whoever writes.
            logger.debug("the log could not be copied into the database now (%s)", type(error).__name__)

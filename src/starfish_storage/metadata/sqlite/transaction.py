"""The transaction of a group: committed with its changes in the row log, or rolled back for good."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import apsw

from starfish_storage.errors import StorageError, StorageIOError
from starfish_storage.metadata.migrations import latest_version, migrated_meanwhile
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.logged_changes import LoggedChanges


class Transaction:
    """Begins, commits and rolls back on the writing connection. Used in the writer's thread.

    Args:
        connection: the writing connection.
        queries: the named queries.
        log: where row changes are noted.
        path: the database, for messages.

    Attributes:
        before_first: what is to be done in the first transaction that is committed, before anything else.
        broken: why nothing more is written before the store is opened again; None if it is.
    """

    def __init__(self, connection: Connection, queries: Queries, log: LoggedChanges, path: str) -> None:
        self._path = path
        self.before_first: Callable[[], None] | None = None
        self._connection = connection
        self._queries = queries
        self._log = log
        self.broken: str | None = None
        self._is_all = False

    def begin(self) -> None:
        """Begin; no other process writes before the end.

        Raises:
            StoreVersionError: a newer release has migrated the store meanwhile, in spite of the locks: those of some
                network file systems hold on one machine only.
            StoreOpenError: see `before_first`.
        """
        self._execute("begin")
        version = self._connection.pragma("user_version")
        if version != latest_version():
            raise migrated_meanwhile(self._path, version, latest_version())
        if self.before_first is not None:
            self.before_first()

    def begin_operation(self, *, is_all: bool = False) -> None:
        """Begin what can be taken back by itself.

        Args:
            is_all: it is all that the transaction holds, which is begun anew to take it back. A savepoint keeps a copy
                of every page that is changed: a tenth of SQLite's time.
        """
        self._is_all = is_all
        if not is_all:
            self._execute("begin_operation")

    def end_operation(self) -> None:
        """End what can be taken back by itself; it stays."""
        if not self._is_all:
            self._execute("end_operation")

    def undo_operation(self) -> bool:
        """Take back what was done since it was begun; return False if a failure has ended the whole transaction.

        A full disk or a failed write does that; another failure does not.
        """
        if not self._connection.in_transaction:
            return False
        if self._is_all:
            self._execute("rollback")
            self.begin()
        else:
            self._execute("undo_operation")
            self._execute("end_operation")
        return True

    def commit(self, changes: Sequence[Change]) -> None:
        """Commit, with the changes in the row log: before, because what is in no log could not be rebuilt."""
        if changes:
            self._log.append(self._connection, changes)
        try:
            self._execute("commit")
        except BaseException:
            if changes:
                self._log.take_back()
            raise
        self.before_first = None
        self._log.note_commit()

    def roll_back(self, error: Exception) -> bool:
        """End a failed transaction, and see that none of its pages in the log can come back to life.

        Returns False if they may: nothing can be written over them.
        """
        try:
            if self._connection.in_transaction:
                self._execute("rollback")
            if isinstance(error, apsw.IOError):
                # The commit's pages may be in the log, complete but unsynced, and be taken for a commit after a
                # crash. A trivial commit in their place overwrites them.
                self._connection.pragma("user_version", self._connection.pragma("user_version"))
        except apsw.Error as second:
            self.broken = (
                f"the database could not be written ({error}; then {second}); nothing more is written. "
                "Close the storage, see to the disk, and open it again"
            )
            return False
        if isinstance(error, apsw.ReadOnlyError):
            # SQLite opens a file that it cannot open for writing for reading only, for as long as it has it open.
            self.broken = (
                f"the database could be opened for reading only ({error}); nothing more is written. "
                "Close the storage, see to the disk and to the permissions, and open it again"
            )
        return True

    def _execute(self, name: str) -> None:
        self._connection.execute(self._queries[name])


def unsettled(error: StorageError | None) -> StorageError | None:
    """Return the error of an operation that failed, and could not be taken back either."""
    if not isinstance(error, StorageIOError):
        return error
    reason = os.strerror(error.errno) if error.errno else "writing failed"
    said = type(error)(error.path, error.errno, reason, unsettled=True)
    said.__cause__ = error
    return said

"""Reading a database without writing one byte: on a full or read-only disk, or where only others may write.

Whoever merely reads a database in WAL mode through SQLite makes an index of its log beside it (``-shm``), and may not
be able to. Three ways of opening need none, and each fits one state of the files:

- There is an index: SQLite uses it, and makes one in memory instead if nobody else uses it and it cannot be written.
- There is a log and no index, as in a copy of a store that was not closed: SQLite keeps the index in memory, if it
  believes that it has the database for itself.
- There is no log: SQLite may take the database for one that nobody can change.

The last two take no lock. So their results are valid only while the files stay as they were on opening.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import apsw

from starfish_storage.errors import (
    NO_SPACE,
    StorageBusyError,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageIOError,
    StoreOpenError,
    StoreReadOnlyError,
)
from starfish_storage.files.disks import free_bytes, is_mounted_read_only
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.metadata.sqlite.connection import BUSY_TIMEOUT_MS, limit_to_reading
from starfish_storage.metadata.sqlite.driver import Connection, Cursor, Row, connect
from starfish_storage.metadata.sqlite.readers import Readers, fetch_one

Result = TypeVar("Result")

FileStates = dict[str, tuple[int, int, int] | None]

PARTS = ("", "-wal", "-journal")
"""What follows the name of a database in the names of the files that hold its content."""

_FLAGS = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW
_ATTEMPTS = 50
_NOT_PERMITTED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def states_of_files(path: str) -> FileStates:
    """Return what tells whether the files of a database have changed."""
    states: FileStates = {}
    for part in PARTS:
        try:
            found = os.stat(path + part, follow_symlinks=False)
        except FileNotFoundError:
            states[part] = None
        else:
            states[part] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return states


class Untouched(NamedTuple):
    """A connection that writes nothing.

    Attributes:
        connection: the connection.
        states: the state that the files must keep for its results to be valid; None if SQLite ensures that.
        is_lockless: the process loses its locks on the database when it is closed.
    """

    connection: Connection
    states: FileStates | None = None
    is_lockless: bool = False


def open_untouched(path: str) -> Untouched:
    """Open a database for reading, and write nothing: neither in it nor beside it.

    Args:
        path: real path of the database, which is there.

    Raises:
        apsw.Error: SQLite cannot read it.
        StorageError: something else lies in its place.
    """
    refuse_planted_database(path)
    states = states_of_files(path)
    log = states["-wal"]
    if states["-journal"] is not None or (log is not None and os.path.lexists(f"{path}-shm")):
        # All connections of a process share one view of the index. Had it been opened for reading only where it can be
        # written, this process could not open the store for writing before it has closed the last of its readers.
        how = "" if os.access(f"{path}-shm", os.W_OK) else "?readonly_shm=1"
        try:
            return Untouched(_opened(path, how))
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError, apsw.FullError):
            if states["-journal"] is not None:
                raise  # a transaction in the middle, which only a writer can take back
    if log is None or not log[1]:
        return Untouched(_opened(path, "?immutable=1"), states)
    connection = connect(path, _FLAGS, "unix-none", BUSY_TIMEOUT_MS)
    connection.pragma("locking_mode", "exclusive")
    return Untouched(_tried(connection), states, is_lockless=True)


def _opened(path: str, how: str) -> Connection:
    return _tried(connect(f"file:{quote(path)}{how}", _FLAGS | apsw.SQLITE_OPEN_URI, None, BUSY_TIMEOUT_MS))


def _tried(connection: Connection) -> Connection:
    try:
        limit_to_reading(connection)
        connection.pragma("user_version")  # SQLite looks at the files when it first reads
    except BaseException:
        connection.close()
        raise
    return connection


def close_untouched(opened: Untouched, path: str) -> None:
    """Close a connection, unless that would drop the locks of a writer in this process."""
    if opened.is_lockless and states_of_files(path) != opened.states:
        _left_open.append(opened.connection)
    else:
        opened.connection.close()


_left_open: list[Connection] = []


class UntouchedReaders(Readers):
    """Runs queries on connections that write nothing; see `Readers`.

    Args:
        path: real path of the database.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, None)
        self._opened: list[Untouched] = []

    def close(self) -> None:
        """Wait for running queries and close every connection. Idempotent."""
        super().close()
        with self._lock:
            opened, self._opened = self._opened, []
        for one in opened:
            close_untouched(one, self._path)

    def first(self, query: str, parameters: Row) -> Row | None:
        """See `Readers.first`."""
        return self.fetch(query, parameters, fetch_one)

    def fetch(self, query: str, parameters: Row, fetch: Callable[[Cursor], Result]) -> Result:
        """See `Readers.fetch`."""
        for _ in range(_ATTEMPTS):
            try:
                found = super().fetch(query, parameters, fetch)
            except StorageClosedError:
                raise
            except StorageError:
                if not self._has_changed():
                    raise
            else:
                if not self._has_changed():
                    return found
            self._forget()
        raise StorageBusyError(
            f"{self._path!r} is being written, and this user may not take part in its locks; nothing was changed. "
            "Call again, or ask its owner for the right to read metadata.db-shm."
        )

    def _connection(self) -> Connection:
        opened: Untouched | None = getattr(self._local, "opened", None)
        if opened is None:
            with self._lock:
                if self._closed:
                    raise StorageClosedError("the storage was closed; call setup() to open it again.")
                opened = open_untouched(self._path)
                self._opened.append(opened)
            self._local.opened = opened
            self._local.connection = opened.connection
        return opened.connection

    def _has_changed(self) -> bool:
        opened: Untouched | None = getattr(self._local, "opened", None)
        return opened is not None and opened.states is not None and states_of_files(self._path) != opened.states

    def _forget(self) -> None:
        opened: Untouched | None = getattr(self._local, "opened", None)
        self._local.opened = None
        if opened is not None:
            with self._lock:
                self._opened.remove(opened)
            close_untouched(opened, self._path)


def keeps_from_writing(error: StorageError, root: str) -> bool:
    """Return whether a store could not be opened only because nothing can be written where it lies.

    Args:
        error: why it could not be opened.
        root: the directory of its database.
    """
    if not isinstance(error, StorageIOError | StoreOpenError):
        return False
    if error.errno in _NOT_PERMITTED or error.errno in NO_SPACE:
        return True
    # SQLite does not always tell the system's number, or tells that of another call.
    return isinstance(error, StorageIOError) and (not os.access(root, os.W_OK | os.X_OK) or _is_full(root))


def refusal_of_writing(error: StorageError, root: str) -> StorageError:
    """Return the error of a write to a store that could not be opened for writing.

    Args:
        error: why it could not.
        root: the directory of its database.
    """
    if isinstance(error, StorageFullError) or not keeps_from_writing(error, root):
        return error
    if is_mounted_read_only(root) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        reason = "its file system is mounted read-only; mount it for writing, or copy the store to another place"
    elif _is_full(root):
        return StorageFullError(root, errno.ENOSPC, "the disk is full; make room, then call again")
    else:
        reason = "this user may not write there; ask its owner for the right to, or copy the store to another place"
    return StoreReadOnlyError(root, reason)


def _is_full(root: str) -> bool:
    return free_bytes(root) == 0

"""Reading a store of Starfish 0.1.x without touching it: from a migrated copy of its database, in a private place."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import weakref
from urllib.parse import quote

import apsw

from starfish_storage.errors import StorageBusyError, StorageError
from starfish_storage.files.planted import refuse_planted_database
from starfish_storage.interface import DataHandler
from starfish_storage.keys import DATABASE_FILE, SESSION_LOCK_FILE
from starfish_storage.metadata.sqlite.driver import Connection, connect
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.migrate import migrate_from_starfish
from starfish_storage.metadata.sqlite.starfish_migration import is_starfish

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW
_BUSY_TIMEOUT_MS = 0  # nobody else has the copy
_PARTS = ("", "-wal", "-journal")
_ATTEMPTS = 5
_MAGIC = b"SQLite format 3\0"
_USER_VERSION, _APPLICATION_ID = slice(60, 64), slice(68, 72)  # of the header


def may_be_starfish(path: str) -> bool:
    """Return whether a database has no owner in its header, as those of Starfish; opens nothing but that file.

    One beside which our locks lie is asked through SQLite: this process may have it open, and closing a file of it
    that SQLite did not open would drop SQLite's locks on it.
    """
    if os.path.lexists(f"{os.path.dirname(path)}/{SESSION_LOCK_FILE}"):
        return _is_starfish_in_use(path)
    try:
        if not stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
            return False
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    return header.startswith(_MAGIC) and not any(header[_USER_VERSION] + header[_APPLICATION_ID])


def is_starfish_at_rest(path: str) -> bool:
    """Return whether a database that nobody has open is one of Starfish, as far as its log need not tell.

    Nothing is locked, and nothing is made beside it.
    """
    if os.path.lexists(f"{os.path.dirname(path)}/{SESSION_LOCK_FILE}") or not may_be_starfish(path):
        return False
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        connection = connect(f"file:{quote(path)}?immutable=1", flags, None, _BUSY_TIMEOUT_MS)
        try:
            return is_starfish(connection)
        finally:
            connection.close()
    except apsw.Error:
        return False  # opened the ordinary way, it is refused with the reason


def _is_starfish_in_use(path: str) -> bool:
    try:
        refuse_planted_database(path)
        connection = connect(path, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW, None, _BUSY_TIMEOUT_MS)
        try:
            return is_starfish(connection)
        finally:
            connection.close()
    except (apsw.Error, OSError, StorageError):
        return False  # opened the ordinary way, it is refused with the reason, or cleared up


class StarfishCopy:
    """A migrated copy of a Starfish database, which `close` removes.

    Attributes:
        path: the copied database.
    """

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/{DATABASE_FILE}"
        # Also where nobody closes it; but not in a forked child, whose parent goes on reading.
        self._remove = weakref.finalize(self, _remove, directory, os.getpid())

    def close(self) -> None:
        """Remove the copy. Idempotent."""
        self._remove()


def copy_if_starfish(path: str, data: DataHandler) -> StarfishCopy | None:
    """Return a migrated copy of a database of Starfish's; None if it is another, or none. It is not touched.

    Raises:
        StorageError: it cannot be read, or there is no room for the copy.
    """
    if not may_be_starfish(path):
        return None
    copy = None
    found = False
    try:
        copy = StarfishCopy(os.path.realpath(tempfile.mkdtemp(prefix="starfish-storage-")))
        found = _copied(path, copy.path, data)
    except (apsw.Error, OSError) as error:
        raise translate(error, path) from error
    finally:
        if copy is not None and not found:
            copy.close()
    return copy if found else None


def _copied(path: str, target: str, data: DataHandler) -> bool:
    _copy_files(path, target)
    connection = connect(target, _FLAGS, None, _BUSY_TIMEOUT_MS)
    try:
        return _migrated(connection, path, data)
    except (apsw.CorruptError, apsw.NotADBError):
        return False  # opened the ordinary way, it is refused with the reason
    finally:
        connection.close()


def _migrated(connection: Connection, path: str, data: DataHandler) -> bool:
    if not is_starfish(connection):
        return False
    connection.pragma("synchronous", "off")  # it is made anew at every opening
    migrate_from_starfish(connection, path, data, backup=False)
    return True


def _copy_files(path: str, target: str) -> None:
    """Copy the database with its logs, all of one moment."""
    refuse_planted_database(path)
    for _ in range(_ATTEMPTS):
        before = _state(path)
        for part in _PARTS:
            if before[part] is not None:
                shutil.copyfile(path + part, target + part)
            elif os.path.exists(target + part):
                os.unlink(target + part)
        if _state(path) == before:
            return
    raise StorageBusyError(
        f"{path!r} is a store of Starfish 0.1.x that is being written; nothing was changed. "
        "Close it there, then call again."
    )


def _state(path: str) -> dict[str, tuple[int, int, int] | None]:
    state: dict[str, tuple[int, int, int] | None] = {}
    for part in _PARTS:
        try:
            found = os.stat(path + part, follow_symlinks=False)
        except FileNotFoundError:
            state[part] = None
        else:
            state[part] = (found.st_ino, found.st_size, found.st_mtime_ns)
    return state


def _remove(directory: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)

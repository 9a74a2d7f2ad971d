"""The one place that turns SQLite's errors into ours."""

from __future__ import annotations

import errno
import os

import apsw

from starfish_storage.errors import (
    NO_SPACE,
    SEE_DAMAGE,
    InvalidInputError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StorageIOError,
    StoreDamagedError,
)
from starfish_storage.files.descriptors import reason_not_opened
from starfish_storage.metadata.sqlite.driver import Connection


def translate(error: Exception, path: str, connection: Connection | None = None) -> StorageError:  # noqa: PLR0911 (a table)
    """Return the error of our family for one that SQLite raised.

    Args:
        error: what was raised.
        path: the database.
        connection: where it was raised; knows the operating system's error number.
    """
    if isinstance(error, StorageError):
        return error
    number = _system_error(connection)
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StorageBusyError(
            f"{path!r} has been locked by another process for too long; nothing was written. "
            "Find out which process holds it, then call again."
        )
    if isinstance(error, apsw.FullError):
        # SQLite keeps no number for this one, but may still have that of an earlier error.
        return StorageFullError(path, errno.ENOSPC, "the disk is full; make room, then call again")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StoreDamagedError(path, f"SQLite says {error}; {SEE_DAMAGE}")
    if isinstance(error, apsw.SQLError | UnicodeDecodeError):
        # A table, a column or a function that is not there, or text that is none.
        return StoreDamagedError(path, f"its tables are not those of a store ({type(error).__name__}); {SEE_DAMAGE}")
    if isinstance(error, apsw.IOError | apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError):
        number = number or _why_not_opened(error, path)
        family = StorageFullError if number in NO_SPACE else StorageIOError
        return family(path, number or None, f"{error}{': ' + os.strerror(number) if number else ''}")
    if isinstance(error, apsw.TooBigError):
        return InvalidInputError("the data is larger than the billion bytes that can be stored in one piece.")
    if isinstance(error, OSError):
        family = StorageFullError if error.errno in NO_SPACE else StorageIOError
        return family(path, error.errno, str(error.strerror))
    # Not with its own text: what neither SQLite nor the system says may quote what was being written.
    kind = type(error).__name__
    code = getattr(error, "extendedresult", None)
    return StorageError(f"{path!r}: {kind}{'' if code is None else f' (SQLite code {code})'}; nothing was written.")


def _system_error(connection: Connection | None) -> int:
    if connection is None:
        return 0
    try:
        return connection.system_errno
    except apsw.Error:
        return 0


def _why_not_opened(error: Exception, path: str) -> int:
    """Return the system's error number of a database that SQLite could not open, and so tells no number for."""
    return reason_not_opened(path) if isinstance(error, apsw.CantOpenError) else 0

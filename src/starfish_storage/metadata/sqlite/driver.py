"""What the library uses of the SQLite driver, typed: the driver's own stubs leave values unknown."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast
from urllib.parse import unquote

import apsw

from starfish_storage.errors import ForkedProcessError
from starfish_storage.files.processes import in_forked_children
from starfish_storage.metadata.row import Cursor, Row

__all__ = ["Connection", "Cursor", "Row", "back_up", "connect"]


class Connection(Protocol):
    """A connection to one database."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    @property
    def filename(self) -> str:
        """The path of the database."""
        ...

    @property
    def system_errno(self) -> int:
        """The operating system's number of the last error."""
        ...

    def execute(self, statements: str, bindings: Row = ()) -> Cursor:
        """Run statements."""
        ...

    def executemany(self, statements: str, sequenceofbindings: Iterable[Row]) -> Cursor:
        """Run a statement for each of several rows."""
        ...

    def total_changes(self) -> int:
        """Return how many rows have been changed since it was opened."""
        ...

    def pragma(self, name: str, value: bool | int | str | None = None, /) -> Any:
        """Read or set a pragma."""
        ...

    def config(self, op: int, *args: int) -> int:
        """Set a setting of the connection."""
        ...

    def create_scalar_function(
        self, name: str, callable: Callable[..., Any] | None, numargs: int = -1, *, deterministic: bool = False
    ) -> None:
        """Make a function callable from SQL."""
        ...

    def readonly(self, name: str) -> bool:
        """Return whether a database of the connection, such as ``"main"``, cannot be written."""
        ...

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        ...

    def last_insert_rowid(self) -> int:
        """Return the number of the row inserted last."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


_FileId = tuple[int, int]

_opened: weakref.WeakKeyDictionary[apsw.Connection, _FileId | None] = weakref.WeakKeyDictionary()
_inherited: set[_FileId] = set()
"""Databases that were open in the process from which this one was forked."""


def connect(path: str, flags: int, vfs: str | None, busy_timeout_ms: int) -> Connection:
    """Open a connection.

    SQLite keeps what it has locked by the file, for the whole process, and a forked child inherits that without the
    locks: it would read and write unlocked, and lose what it writes once its parent tidies up the log.

    Raises:
        apsw.Error: SQLite cannot open it.
        ForkedProcessError: it was open when this process was forked.
    """
    if _file_id(path) in _inherited:
        raise ForkedProcessError(
            f"{path!r} was open when this process was forked, whose locks SQLite would take for its own; start "
            "processes with 'spawn', or fork before the store is opened."
        )
    connection = apsw.Connection(path, flags=flags, vfs=vfs, statementcachesize=200)
    _opened[connection] = _file_id(path)
    connection.set_busy_timeout(busy_timeout_ms)
    # Otherwise SQLite prepares a statement anew whenever a value that its plan might depend on is another: measured,
    # a look-up of one input then takes 14 us instead of 3.5. The plans here depend on no value.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return cast("Connection", connection)


def _file_id(path: str) -> _FileId | None:
    if path.startswith("file:"):
        path = unquote(path.removeprefix("file:").partition("?")[0])
    try:
        found = os.stat(path)
    except OSError:
        return None  # in memory, or not there yet
    return found.st_dev, found.st_ino


def _note_inherited() -> None:
    for connection, file_id in list(_opened.items()):
        try:
            connection.in_transaction  # noqa: B018 (a connection that was closed says so)
        except apsw.ConnectionClosedError:
            continue
        except apsw.ThreadingViolationError:
            pass  # another thread was in a call at the moment of the fork: it is open
        if file_id is not None:
            _inherited.add(file_id)
    _opened.clear()


in_forked_children(_note_inherited)


def back_up(source: Connection, target: Connection) -> None:
    """Copy a database over another, in one transaction.

    Raises:
        apsw.Error: it failed; the target is as it was.
    """
    with cast("Any", target).backup("main", source, "main") as running:
        running.step()

"""The row log of a database that is open for writing: what is committed stands in it, or it is made anew.

A power cut or a careless program may take the last lines of the log; nobody reads it, so nobody would notice until the
database is lost as well. Two notes tell on opening, without reading either of them:

- *Closed*: the last one to close the store made the log power-safe, and noted in the database how long it is. The first
  commit of the next writer removes that note, in its own transaction.
- *Marked*: before each commit, the lock file says how long the log is, and in which boot of the machine. That survives
  a kill, and says nothing after a power cut. It costs a microsecond; a note in the database would cost a page a commit.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from starfish_storage.errors import StorageError
from starfish_storage.interface import RowLogHandler
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import Change, only_value
from starfish_storage.metadata.sqlite import row_changes
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.locks import SessionLock, WriterLock
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

CLOSED = "row_log_closed"
"""The setting that says how long the row log was, in bytes, when the store was closed by its last user."""


class LoggedChanges:
    """Appends the changes of each commit to the row log. Used in the writer's thread.

    Args:
        row_log: the log.
        lock: the writer lock, which is held whenever this is used.
        queries: the named queries.
    """

    def __init__(self, row_log: RowLogHandler, lock: WriterLock, queries: Queries) -> None:
        self._row_log = row_log
        self._lock = lock
        self._queries = queries
        self._is_noted = False  # the database has the note of a closed store
        self._removes_note = False

    def open(self, connection: Connection, *, alone: bool) -> None:
        """Open the log; make it anew if there is none, or if it lacks lines and nobody else has it open.

        Raises:
            StorageIOError: it cannot be opened or written.
            apsw.Error: the database cannot be read.
        """
        noted: str | None = only_value(connection.execute(self._queries["get_setting"], (CLOSED,)).fetchone())
        self._is_noted = noted is not None
        found = self._row_log.open(row_changes.header(self._queries))
        if found is None or (alone and self._lacks_lines(found, noted)):
            if found is not None:
                logger.info("the row log may lack lines of what was committed last: it is written anew")
            self._row_log.create(row_changes.all_rows(connection, self._queries))
            connection.execute(self._queries["forget_setting"], (CLOSED,))
            self._is_noted = False
        self._lock.mark(self._row_log.size())

    def append(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Append changes, within the transaction that makes them.

        Raises:
            StorageIOError: it failed; nothing of them stays.
            apsw.Error: the database cannot be written.
        """
        self._removes_note = self._is_noted
        if self._removes_note:
            connection.execute(self._queries["forget_setting"], (CLOSED,))
        self._row_log.append(row_changes.lines(changes))
        self._lock.mark(self._row_log.size())

    def note_commit(self) -> None:
        """Say that the transaction was committed."""
        if self._removes_note:
            self._is_noted = self._removes_note = False

    def take_back(self) -> None:
        """Remove what was appended last: the transaction was not committed. Never raises."""
        self._row_log.take_back()
        self._lock.mark(self._row_log.size())

    def close(self, connection: Connection, session: SessionLock) -> None:
        """Note in the database how long the log is, if this is the last one to close the store. Never raises."""
        if self._is_noted:
            return  # and nothing was written since
        try:
            finished = self._lock.acquire()
            try:
                if finished and session.hold():
                    self._row_log.make_safe()
                    connection.execute(self._queries["save_setting"], (CLOSED, str(self._row_log.size())))
            finally:
                self._lock.release(finished=finished)
        except (StorageError, apsw.Error) as error:
            logger.info("the row log is compared anew when the store is opened: %s", error)

    def _lacks_lines(self, found: int, noted: str | None) -> bool:
        marked = self._lock.marked()
        if marked is not None:
            return found < marked
        return noted is None or not noted.isdecimal() or found < int(noted)

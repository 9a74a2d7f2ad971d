"""Emptying the payload journal once its files are known to survive a power cut.

The journal lets a group be durable with one fsync. Its files are synced later and in bulk, in a thread of their own,
while the writer goes on; only then are their entries deleted. If syncing fails, the files are written anew from the
journal before they are trusted: a failed fsync is never repeated into a success.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import apsw

from starfish_storage.errors import StorageError, StorageUnavailableError
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.interface import DataHandler, DataWrite, RowLogHandler
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import only_value, only_values
from starfish_storage.metadata.sqlite.driver import Connection, Cursor
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.locks import WriterLock
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_DUE_ENTRIES = 4000
_DUE_BYTES = 32 << 20
_REMOVALS_AT_ONCE = 1000
_RETRY_SECONDS = 5.0


class Checkpoint:
    """Knows how much the journal holds, syncs its files and empties it. Used in the writer's thread.

    Args:
        connection: the writing connection.
        queries: the named queries.
        data: where the files lie.
        row_log: synced along with them.
        lock: the writer lock; whoever holds it sees every committed file in place.
        path: the database, for messages.
    """

    def __init__(
        self,
        connection: Connection,
        queries: Queries,
        data: DataHandler,
        row_log: RowLogHandler,
        lock: WriterLock,
        path: str,
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._data = data
        self._row_log = row_log
        self._lock = lock
        self._path = path
        self._entries = 0
        self._bytes = 0
        self._untrusted = False
        self._outstanding = False
        self._syncing: threading.Thread | None = None
        self._not_before = 0.0

    @property
    def has_work(self) -> bool:
        """Whether there is something to sync that is not being synced already, be it later."""
        return self._syncing is None and (self._entries > 0 or self._untrusted)

    @property
    def pending(self) -> bool:
        """Whether there is something to sync now."""
        return self.has_work and time.monotonic() >= self._not_before

    @property
    def outstanding(self) -> bool:
        """Whether the journal holds data that is known not to be in place: nobody may treat it as done."""
        return self._outstanding

    @property
    def due(self) -> bool:
        """Whether the journal has grown so much that it should be emptied now."""
        return (self._entries >= _DUE_ENTRIES or self._bytes >= _DUE_BYTES) and self.pending

    def note(self, writes: Sequence[DataWrite]) -> None:
        """Count data that was journaled and put in place."""
        self._entries += len(writes)
        self._bytes += sum(len(write.payload or b"") for write in writes)

    def note_range(self, size: int) -> None:
        """Count what was journaled of a pack, in bytes."""
        self._entries += size > 0
        self._bytes += size

    def note_outstanding(self) -> None:
        """Note that the journal holds data that could not be put in place now; replaying the journal does it."""
        self._outstanding = self._untrusted = True
        self._not_before = time.monotonic() + _RETRY_SECONDS

    def remove_data(self, after: int, until: int) -> None:
        """Remove the data whose removal was journaled under these numbers.

        If data cannot be removed now, replaying the journal removes it.
        """
        while after < until:
            upper = min(after + _REMOVALS_AT_ONCE, until)
            try:
                keys = only_values(self._execute("list_journaled_removals", (after, upper)).fetchall())
            except apsw.Error as error:
                self._not_removed(error)
            else:
                self.drop(keys)
                if self._outstanding:
                    return  # one wait is enough; what follows is in the journal as well
            after = upper

    def drop(self, keys: Sequence[str]) -> None:
        """Remove data whose removal was journaled. If it cannot be removed now, replaying the journal removes it."""
        self._entries += len(keys)
        try:
            if keys:
                self._data.remove_all(keys)
        except StorageError as error:
            self._not_removed(error)
            if isinstance(error, StorageUnavailableError):
                self.note_outstanding()

    def _not_removed(self, error: Exception) -> None:
        logger.warning("data that nothing refers to is not removed yet: %s", error)
        self._untrusted = True

    def begin(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Start to sync what the journal holds now; emptying it is handed in to the writer's queue."""
        SPARES.refill()
        if self._untrusted:
            self._replay_locked()
            return
        try:
            until, keys = self._committed()
        except (StorageError, apsw.Error) as error:
            self._put_off(error)
            return
        self._entries = self._bytes = 0

        def sync() -> None:
            try:
                self._sync(keys)
            except StorageError as error:
                failure = error
                hand_in(lambda: self._synced(until, failure))
            else:
                hand_in(lambda: self._synced(until, None))

        thread = threading.Thread(target=sync, name="starfish-storage-sync", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is ending: closing, or the next opening, does it
        self._syncing = thread

    def finish(self) -> None:
        """Sync and empty everything, here and now; failures leave the journal for the next opening."""
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None
        if self._untrusted:
            self._replay_locked()
            return
        try:
            until, keys = self._committed()
            if keys:
                self._sync(keys)
                self._execute("empty_journal", (until,))
        except (StorageError, apsw.Error) as error:
            logger.warning("the journal of %r stays until the store is opened again: %s", self._path, error)

    def replay(self) -> None:
        """Put all that the journal holds in place, make it power-safe, and empty it. Needs the writer lock.

        Raises:
            StorageError: it failed, and the journal is kept.
        """
        try:
            last: dict[str, tuple[int, bool]] = {}
            until = 0
            for number, key, removes in self._execute("list_journal"):
                last[key] = (number, bool(removes))
                until = number
            if not last:
                self._untrusted = self._outstanding = False
                return
            self._data.restore(self._payloads(last))
            self._execute("empty_journal", (until,))
        except apsw.Error as error:
            raise translate(error, self._path, self._connection) from error
        self._untrusted = self._outstanding = False
        self._entries = self._bytes = 0

    def catch_up(self) -> None:
        """Replay before a group is committed; if the place of the data cannot be reached, later.

        Then the group goes on: of a key that it writes, its own entry in the journal is the later one. Without data,
        it needs nothing of that place.
        """
        if self._outstanding and time.monotonic() < self._not_before:
            return
        try:
            self.replay()
        except StorageUnavailableError as error:
            self.note_outstanding()
            logger.warning("what the journal of %r holds is not in place yet: %s", self._path, error)

    def last_number(self) -> int:
        """Return the number of the last entry of the journal, 0 if it is empty."""
        return only_value(self._execute("last_journal_number").fetchone()) or 0

    def _payloads(self, last: dict[str, tuple[int, bool]]) -> Iterator[tuple[str, bytes | None]]:
        for key, (number, removes) in last.items():
            row = None if removes else self._execute("get_journal_payload", (number,)).fetchone()
            yield key, only_value(row)

    def _sync(self, keys: Sequence[str]) -> None:
        self._data.sync(keys)
        self._row_log.sync()

    def _committed(self) -> tuple[int, list[str]]:
        """Return the last number of the journal, and the keys up to it. All of them are in place."""
        # Held only to be sure that no other process is between its commit and its renaming. The keys are read
        # afterwards: entries are deleted only by who has synced them, so what is missing by then is safe.
        finished = self._lock.acquire()
        try:
            if not finished:
                self.replay()
            until = self.last_number()
        except BaseException:
            self._lock.release(finished=False)
            raise
        self._lock.release()
        return until, only_values(self._execute("list_journaled_keys", (until,)))

    def _synced(self, until: int, error: StorageError | None) -> None:
        self._syncing = None
        failure: Exception | None = error
        if failure is None:
            try:
                self._execute("empty_journal", (until,))
            except apsw.Error as raised:
                failure = raised
        if failure is not None:
            self._untrusted = True
            self._put_off(failure)

    def _replay_locked(self) -> None:
        try:
            self._lock.acquire()
            finished = False
            try:
                self.replay()
                finished = True
            finally:
                self._lock.release(finished=finished)
        except StorageError as error:
            self._put_off(error)

    def _put_off(self, error: Exception) -> None:
        """Try again later: what was acknowledged is safe in the journal until then."""
        logger.warning("the journal of %r could not be emptied yet: %s", self._path, error)
        self._not_before = time.monotonic() + _RETRY_SECONDS

    def _execute(self, name: str, parameters: tuple[int, ...] = ()) -> Cursor:
        return self._connection.execute(self._queries[name], parameters)

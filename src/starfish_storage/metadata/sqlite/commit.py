"""The commit of a group: data staged, rows and journal committed, files put in place, in this order.

A call that fails before the commit has changed nothing. What is committed survives, whatever happens to the files:
opening the store puts them in place from the journal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

import apsw

from starfish_storage.errors import (
    StorageError,
    StorageFullError,
    StorageIOError,
    StorageUnavailableError,
    StoreDamagedError,
)
from starfish_storage.interface import DataHandler, RowLogHandler
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.operations import WriteOperation, changes_what_is_there, discard, distinct, runs
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.row import Change
from starfish_storage.metadata.sqlite.batches import apply_all
from starfish_storage.metadata.sqlite.checkpoint import Checkpoint
from starfish_storage.metadata.sqlite.connection import (
    BUSY_TIMEOUT_MS,
    Durability,
    check_data_location,
    keep_undo_in_memory,
    open_for_writing,
    refuse_foreign_database,
    refuse_lost_database,
    refuse_lost_places,
    set_synchronous,
)
from starfish_storage.metadata.sqlite.data_in_place import DataInPlace
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.identity import claim_remote_data
from starfish_storage.metadata.sqlite.locks import SessionLock, WriterLock
from starfish_storage.metadata.sqlite.logged_changes import LoggedChanges
from starfish_storage.metadata.sqlite.migrate import migrate, migrate_from_starfish
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter


class GroupCommit:
    """Owns the writing connection. Everything runs in the writer's thread.

    Args:
        root: absolute path of the directory of the database.
        data: where the data lies; it is set up once the database is known to be one of ours.
        row_log: where row changes are noted, to rebuild a lost database from.
        durability: what a commit survives.
        vfs: name of the SQLite file layer; tests pass one that counts or fails.
        data_elsewhere: the data lies in another directory than the database.
    """

    def __init__(
        self,
        root: str,
        data: DataHandler,
        row_log: RowLogHandler,
        durability: Durability,
        vfs: str | None,
        *,
        data_elsewhere: bool = False,
    ) -> None:
        self._path = f"{root}/{DATABASE_FILE}"
        self._data = data
        self._row_log = row_log
        self._in_place = DataInPlace(data)
        self._durability: Durability = durability
        self._vfs = vfs
        self._queries = sqlite_queries()
        self.broken: str | None = None  # why nothing more is written before the store is opened again
        self._data_elsewhere = data_elsewhere
        self._open_connection: Connection | None = None
        refuse_foreign_database(self._path)  # before anything is made beside it
        self.lock = WriterLock(root, BUSY_TIMEOUT_MS / 1000)
        self._log = LoggedChanges(row_log, self.lock, self._queries)
        try:
            self._session = SessionLock(root)
        except BaseException:
            self.lock.close()
            raise
        try:
            self._open()
        except BaseException:
            self.release_files()
            raise

    @property
    def has_unsynced(self) -> bool:
        """Whether the journal holds data that is not known to survive a power cut as files."""
        return self._checkpoint.pending

    @property
    def most_decided(self) -> int:
        """Any number: nobody else writes at the same time."""
        return sys.maxsize

    def run(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group. Afterwards each operation is durable or has its error."""
        if not (staged := [operation for operation in group if self._stage(operation)]):
            return
        try:
            with self._locked():
                self._publish(self._commit(staged))
        except StorageError as error:
            for operation in staged:
                if not operation.done:
                    operation.error = operation.error or error
        for operation in staged:
            if operation.error is not None or len(operation.data) > 1:
                discard(operation)

    def checkpoint_if_due(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Begin to empty the journal if it has grown enough."""
        if self._checkpoint.due:
            self.checkpoint(hand_in)

    def checkpoint(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Begin to empty the journal; the last step is handed in to the writer's queue."""
        if not self.broken:
            self._checkpoint.begin(hand_in)

    def close(self) -> None:
        """Make everything power-safe, empty the journal, and close."""
        try:
            if not self.broken:
                self._checkpoint.finish()
                self._log.close(self._connection, self._session)
        finally:
            self.release_files()

    def leave_to_parent(self) -> None:
        """Let go of the locks in a forked child. The connection stays open: closing it could tidy up the log."""
        self._session.close()
        self.lock.close()

    def release_files(self) -> None:
        """Close the connection, the row log and the lock files, whatever state they are in.

        The lock files also when closing the connection fails: a lock that nobody gives back locks out every process.
        """
        with ExitStack() as stack:
            stack.callback(self.lock.close)
            stack.callback(self._session.close)
            stack.callback(self._row_log.close)
            if self._open_connection is not None:
                stack.callback(self._open_connection.close)

    def _open(self) -> None:
        finished = self.lock.acquire()
        try:
            refuse_lost_database(self._path, self._data, self._row_log)
            # Power-safe until the schema is there: a power cut that left data beside an empty database, because its
            # schema was still in the log only, would leave a store that nobody can open.
            connection = self._connection = self._open_connection = open_for_writing(self._path, "power", self._vfs)
            alone = self._session.hold()
            migrate_from_starfish(connection, self._path, self._data, backup=True)
            migrate(connection, self._path, alone=alone)
            check_data_location(connection, self._path, elsewhere=self._data_elsewhere)
            set_synchronous(connection, self._durability)
            self._rows = SQLiteRowWriter(connection, self._queries, self._data, self._in_place)
            self._checkpoint = Checkpoint(connection, self._queries, self._data, self._row_log, self.lock, self._path)
            if not self._checkpoint.last_number():  # it may hold all that was ever there
                refuse_lost_places(connection, self._data)
            self._data.setup()
            claim_remote_data(connection, self._path, self._data)
            if alone or not finished:
                # Alone, the machine may have been off since the last one wrote: the files are not to be trusted.
                self._checkpoint.replay()
            if alone:
                self._data.discard_leftovers()
            self._log.open(connection, alone=alone)
        except Exception as error:
            self.lock.release(finished=False)
            raise translate(error, self._path, self._open_connection) from error
        self.lock.release()

    def _stage(self, operation: WriteOperation) -> bool:
        try:
            if self.broken:
                raise StoreDamagedError(self._path, self.broken)
            for write in operation.data:
                write.stage()
        except StorageError as error:
            operation.error = error
            discard(operation)
            return False
        return True

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the writer lock, after finishing what a killed holder left."""
        finished = self.lock.acquire()
        try:
            if not finished:
                self._checkpoint.catch_up()
        except BaseException:
            self.lock.release(finished=False)
            raise
        try:
            yield
        except BaseException:
            self.lock.release(finished=False)  # what was committed may not be in place: the next holder sees to it
            raise
        self.lock.release(finished=self.broken is None and not self._checkpoint.outstanding)

    def _commit(self, staged: Sequence[WriteOperation]) -> list[WriteOperation]:
        """Commit what can be, and return it. A group too large for the disk is tried again one by one."""
        # Where data lies on another machine, to look whether it is there costs more than to make the journal safe.
        overwrites = self._durability == "process" and (
            self._data.parallel > 1 or any(changes_what_is_there(operation) for operation in staged)
        )
        deletes = any(operation.removals is not None for operation in staged)
        self._in_place.begin_group([key for operation in staged for key in operation.refers_to])
        try:
            if deletes:
                keep_undo_in_memory(self._connection, "off")
            if overwrites:
                # Half an overwrite or deletion is a tear: no file may change before the journal is safe.
                set_synchronous(self._connection, "power")
            self._execute("begin")
            self._rows.begin_group()
            applied = [done for run in runs(staged) for done in self._apply_run(run)]
            self._commit_and_log(self._rows.changes())
        except (StorageError, apsw.Error) as error:
            reason = translate(error, self._path, self._connection)
            settled = self._roll_back(error)
            if isinstance(error, apsw.FullError | StorageFullError) and len(staged) > 1 and settled:
                return [done for operation in staged for done in self._commit([operation])]
            for operation in staged:
                operation.error = operation.error or (reason if settled else _unsettled(reason))
            return []
        finally:
            if overwrites:
                set_synchronous(self._connection, self._durability)
            if deletes:
                keep_undo_in_memory(self._connection, "on")
        return applied

    def _apply_run(self, run: Sequence[WriteOperation]) -> list[WriteOperation]:
        """Apply operations that follow each other, and return those that succeeded.

        Records of several operations go into common statements; if one of them is refused, each operation is applied
        by itself, to see which.
        """
        if len(run) > 1:
            self._begin_operation()
            try:
                undo = self._rows.save_records([row for operation in run for row in operation.records])
                numbers = self._rows.journal([write for operation in run for write in operation.data])
                applied = apply_all(self._rows, run)
            except (StorageError, apsw.Error):
                if not self._undo_operation():
                    raise
            else:
                self._execute("end_operation")
                of_records, of_data = iter(undo), iter(numbers)
                for operation, changes in zip(run, applied, strict=True):
                    own = [change for _ in operation.records for change in next(of_records)]
                    operation.undo = [*own, *changes]
                    operation.numbers = [next(of_data) for _ in operation.data]
                return list(run)
        return [operation for operation in run if self._apply(operation)]

    def _apply(self, operation: WriteOperation) -> bool:
        """Make an operation's row changes and journal its data; if that fails, it alone is taken back."""
        self._begin_operation()
        try:
            before = 0 if operation.removals is None else self._checkpoint.last_number()
            applied = () if operation.apply is None else operation.apply(self._rows) or ()
            # One by one where a uid comes twice: what takes back the second is the first.
            parts = [operation.records] if distinct(operation.records) else [[row] for row in operation.records]
            saved = [own for part in parts for own in self._rows.save_records(part)]
            operation.undo = [*applied, *(change for own in saved for change in own)]
            if operation.removals is not None:
                operation.removals = (before, self._checkpoint.last_number())
            operation.numbers = self._rows.journal([*operation.data, *operation.drops])
        except (StorageError, apsw.Error) as error:
            if not self._undo_operation():
                raise
            operation.error = translate(error, self._path, self._connection)
            return False
        self._execute("end_operation")
        return True

    def _begin_operation(self) -> None:
        self._execute("begin_operation")
        self._rows.begin_operation()

    def _undo_operation(self) -> bool:
        """Take back what an operation did; return False if its failure has ended the whole transaction.

        A full disk or a failed write does that; another failure does not.
        """
        if not self._connection.in_transaction:
            return False
        self._execute("undo_operation")
        self._rows.undo_operation()
        self._execute("end_operation")
        return True

    def _publish(self, operations: Sequence[WriteOperation]) -> None:
        """Put the data of committed operations in place; where that fails, take the operation's rows back."""
        for operation in operations:
            if operation.removals is not None:  # the first of its group: what follows may write the same keys anew
                operation.done = True
                self._checkpoint.remove_data(*operation.removals)
        outcomes = self._data.publish_all([operation.data for operation in operations])
        for operation, errors in zip(operations, outcomes, strict=True):
            operation.error = next((error for error in errors if error is not None), None)
            operation.done = operation.error is None
            if operation.done:
                self._checkpoint.note(operation.data)
                self._checkpoint.drop([write.key for write in operation.drops])
            else:
                self._take_back(operation, errors)

    def _take_back(self, operation: WriteOperation, errors: Sequence[StorageError | None]) -> None:
        outcomes = zip(operation.data, errors, strict=True)
        touched = [write for write, error in outcomes if error is None or isinstance(error, StorageUnavailableError)]
        try:
            left = self._data.revoke_all(touched)
            self._execute("begin")
            undo = operation.undo[::-1]
            for name, row in undo:
                self._execute(name, row)
            for number in operation.numbers:
                self._execute("forget_journal_entry", (number,))
            if left:
                self._rows.journal(left)
            self._commit_and_log(undo)
            if left:
                self._checkpoint.note_outstanding()
        except (StorageError, apsw.Error) as error:
            self._roll_back(error)
            self.broken = (
                f"data could not be put in place ({operation.error}) and its row could not be taken back ({error}); "
                "nothing more is written. Close the storage, see to the disk, and open it again"
            )
            operation.error = _unsettled(operation.error)

    def _commit_and_log(self, changes: Sequence[Change]) -> None:
        """Commit, with the changes in the row log: before, because what is in no log could not be rebuilt."""
        if changes:
            self._log.append(self._connection, changes)
        try:
            self._execute("commit")
        except BaseException:
            if changes:
                self._log.take_back()
            raise
        self._log.note_commit()

    def _roll_back(self, error: Exception) -> bool:
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

    def _execute(self, name: str, parameters: tuple[object, ...] = ()) -> None:
        self._connection.execute(self._queries[name], parameters)


def _unsettled(error: StorageError | None) -> StorageError | None:
    """Return the error of an operation that failed, and could not be taken back either."""
    if not isinstance(error, StorageIOError):
        return error
    reason = os.strerror(error.errno) if error.errno else "writing failed"
    unsettled = type(error)(error.path, error.errno, reason, unsettled=True)
    unsettled.__cause__ = error
    return unsettled

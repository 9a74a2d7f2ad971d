"""The commit of a group: data staged, rows and journal committed, files put in place, in this order.

A call that fails before the commit has changed nothing. What is committed survives, whatever happens to the files:
opening the store puts them in place from the journal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager

import apsw

from starfish_storage.errors import (
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StoreDamagedError,
)
from starfish_storage.interface import AskedLayout, DataHandler, DataWrite, RowLogHandler
from starfish_storage.keys import DATABASE_FILE
from starfish_storage.metadata.operations import WriteOperation, discard, distinct, runs
from starfish_storage.metadata.queries import sqlite_queries
from starfish_storage.metadata.sqlite.batches import apply_all, mark_done, note_undo
from starfish_storage.metadata.sqlite.checkpoint import Checkpoint
from starfish_storage.metadata.sqlite.connection import (
    BUSY_TIMEOUT_MS,
    Durability,
    check_data_location,
    open_for_writing,
    refuse_foreign_database,
    refuse_lost_database,
    refuse_lost_places,
    set_synchronous,
)
from starfish_storage.metadata.sqlite.data_in_place import DataInPlace
from starfish_storage.metadata.sqlite.deletions import Deletions
from starfish_storage.metadata.sqlite.driver import Connection
from starfish_storage.metadata.sqlite.errors import translate
from starfish_storage.metadata.sqlite.identity import claim_remote_data
from starfish_storage.metadata.sqlite.layout import settle_layout
from starfish_storage.metadata.sqlite.locks import SessionLock, WriterLock
from starfish_storage.metadata.sqlite.logged_changes import LoggedChanges
from starfish_storage.metadata.sqlite.migrate import migrate, migrate_from_starfish, note_migration
from starfish_storage.metadata.sqlite.packing import Packing
from starfish_storage.metadata.sqlite.row_writer import SQLiteRowWriter
from starfish_storage.metadata.sqlite.starfish_migration import Migration
from starfish_storage.metadata.sqlite.transaction import Transaction, unsettled


class GroupCommit:
    """Owns the writing connection. Everything runs in the writer's thread.

    Args:
        root: absolute path of the directory of the database.
        data: where the data lies; it is set up once the database is known to be one of ours.
        row_log: where row changes are noted, to rebuild a lost database from.
        durability: what a commit survives.
        vfs: name of the SQLite file layer; tests pass one that counts or fails.
        data_elsewhere: the data lies in another directory than the database.
        layout: where new record data goes, in a new store; None: into files, or where an existing store puts it.
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
        layout: AskedLayout | None = None,
    ) -> None:
        self.system = "sqlite"
        self._path = f"{root}/{DATABASE_FILE}"
        self._data = data
        self._row_log = row_log
        self._in_place = DataInPlace(data)
        self._durability: Durability = durability
        self._vfs = vfs
        self._queries = sqlite_queries()
        self._broken: str | None = None
        self._data_elsewhere = data_elsewhere
        self._layout: AskedLayout | None = layout
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
    def broken(self) -> str | None:
        """Why nothing more is written before the store is opened again; None if it is."""
        return self._broken or self._transaction.broken

    @property
    def has_unsynced(self) -> bool:
        """Whether the journal holds data that is not known to survive a power cut as files."""
        return self._checkpoint.has_work

    @property
    def most_decided(self) -> int:
        """Any number: nobody else writes at the same time."""
        return sys.maxsize

    def run(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group. Afterwards each operation is durable or has its error."""
        self._stage(group)
        staged = [operation for operation in group if operation.error is None]
        committed: list[WriteOperation] = []
        try:
            if staged:
                with self._locked(), self._deletions.of(staged):
                    committed = self._commit(staged)
                    self._publish(committed)
        except StorageError as error:
            for operation in staged:
                if not operation.done:
                    operation.error = operation.error or error
        if len(committed) < len(group) and self.broken is None:
            self._packing.take_back(list(set(group).difference(committed)), committed)
        for operation in staged:
            if operation.error is not None or operation.stale or len(operation.data) > 1:
                discard(operation)

    def checkpoint_if_due(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Begin to empty the journal if it has grown enough, and copy what deletions have left in the log."""
        self._deletions.copy_if_due()
        if self._checkpoint.due:
            self.checkpoint(hand_in)

    def checkpoint(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Begin to empty the journal; the last step is handed in to the writer's queue."""
        if not self.broken and self._checkpoint.pending:
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
            migrate_from_starfish(connection, self._path, self._data, Migration(backup=True))
            before = migrate(connection, self._path, alone=alone)
            check_data_location(connection, self._path, elsewhere=self._data_elsewhere)
            settle_layout(connection, self._path, self._layout)
            set_synchronous(connection, self._durability)
            self._transaction = Transaction(connection, self._queries, self._log, self._path)
            self._packing = Packing(connection, self._queries, self._data)
            self._deletions = Deletions(connection)
            self._rows = SQLiteRowWriter(connection, self._queries, self._data, self._in_place)
            self._checkpoint = Checkpoint(connection, self._queries, self._data, self._row_log, self.lock, self._path)
            if not self._checkpoint.last_number():  # it may hold all that was ever there
                refuse_lost_places(connection, self._data)
            self._data.setup()
            self._transaction.before_first = claim_remote_data(connection, self._path, self._data)
            if alone or not finished:
                # Alone, the machine may have been off since the last one wrote: the files are not to be trusted.
                self._checkpoint.replay()
            if alone:
                self._data.discard_leftovers()
            self._log.open(connection, alone=alone)
            if before is not None:
                note_migration(self._transaction, self._rows, before)
        except Exception as error:
            self.lock.release(finished=False)
            raise translate(error, self._path, self._open_connection) from error
        self.lock.release()

    def _stage(self, group: Sequence[WriteOperation]) -> None:
        """Do all that can fail for lack of space; an operation for which it does has its error."""
        if not self.broken:
            self._packing.append(group)
            if self._packing.holds_all_of(group):
                return
        for operation in group:
            try:
                if self.broken:
                    raise StoreDamagedError(self._path, self.broken)
                for write in self._packing.files_of(operation) if operation.error is None else ():
                    write.stage()
            except StorageError as error:
                operation.error = error
            if operation.error is not None:
                discard(operation)

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
        overwrites = self._durability == "process" and (self._data.parallel > 1 or self._packing.changes_files(staged))
        self._in_place.begin_group([key for operation in staged for key in operation.refers_to])
        try:
            if overwrites:
                # Half an overwrite or deletion is a tear: no file may change before the journal is safe.
                set_synchronous(self._connection, "power")
            self._transaction.begin()
            self._packing.look()
            self._rows.begin_group()
            applied = [done for run in runs(staged) for done in self._apply_run(run, is_all=len(run) == len(staged))]
            packed = self._packing.journal(applied)
            self._transaction.commit(self._rows.changes())
            self._checkpoint.note_range(packed)
        except (StorageError, apsw.Error) as error:
            reason = translate(error, self._path, self._connection)
            settled = self._transaction.roll_back(error)
            if isinstance(error, apsw.FullError | StorageFullError) and len(staged) > 1 and settled:
                return self._commit_each(staged)
            for operation in staged:
                operation.error = operation.error or (reason if settled else unsettled(reason))
            return []
        finally:
            if overwrites:
                set_synchronous(self._connection, self._durability)
        return applied

    def _commit_each(self, operations: Sequence[WriteOperation]) -> list[WriteOperation]:
        """Commit one after the other what is too large for the disk together, and return what could be.

        Each is appended anew: until then, what was appended of the others would take up the space.
        """
        appended = [bool(operation.places) for operation in operations]
        self._packing.take_back(operations)
        committed: list[WriteOperation] = []
        for operation, again in zip(operations, appended, strict=True):
            if again:
                self._stage([operation])
            done = self._commit([operation]) if operation.error is None else []
            if not done and self.broken is None:
                self._packing.take_back([operation])
            committed += done
        return committed

    def _apply_run(self, run: Sequence[WriteOperation], *, is_all: bool) -> list[WriteOperation]:
        """Apply operations that follow each other, maybe all of the group, and return those that succeeded.

        Records of several operations go into common statements; if one of them is refused, each operation is applied
        by itself, to see which.
        """
        if len(run) > 1:
            self._begin_operation(is_all=is_all)
            try:
                for_good = self._packing.holds_all_of(run)
                rows = [row for operation in run for row in operation.records]
                if for_good:
                    rows.sort()  # their uids are random: neighbours share pages, and a sixth of SQLite's time is saved
                undo = self._rows.save_records(rows, for_good=for_good)
                self._packing.save(run)
                files = [[*self._packing.files_of(operation), *operation.drops] for operation in run if not for_good]
                numbers = self._rows.journal([write for some in files for write in some])
                applied = apply_all(self._rows, run)
            except (StorageError, apsw.Error):
                if not self._undo_operation():
                    raise
            else:
                self._transaction.end_operation()
                if not for_good:
                    note_undo(run, undo, applied, files, numbers)
                return list(run)
        return [operation for operation in run if self._apply(operation, is_all=is_all and len(run) == 1)]

    def _apply(self, operation: WriteOperation, *, is_all: bool) -> bool:
        """Make an operation's row changes and journal its data; if that fails, it alone is taken back."""
        self._begin_operation(is_all=is_all)
        try:
            for_good = self._packing.holds_all_of([operation])
            before = 0 if operation.removals is None else self._checkpoint.last_number()
            applied = () if operation.apply is None else operation.apply(self._rows) or ()
            # One by one where a uid comes twice: what takes back the second is the first.
            parts = [sorted(operation.records)] if distinct(operation.records) else [[row] for row in operation.records]
            saved = [own for part in parts for own in self._rows.save_records(part, for_good=for_good)]
            operation.undo = [*applied, *(change for own in saved for change in own)]
            if operation.removals is not None:
                operation.removals = (before, self._checkpoint.last_number())
            self._packing.save([operation])
            self._packing.drop([write.key for write in operation.drops if write.key not in operation.places])
            operation.numbers = self._rows.journal([*self._packing.files_of(operation), *operation.drops])
        except (StorageError, apsw.Error) as error:
            if not self._undo_operation():
                raise
            operation.error = translate(error, self._path, self._connection)
            return False
        self._transaction.end_operation()
        return True

    def _begin_operation(self, *, is_all: bool) -> None:
        self._transaction.begin_operation(is_all=is_all)
        self._rows.begin_operation()

    def _undo_operation(self) -> bool:
        if not self._transaction.undo_operation():
            return False
        self._rows.undo_operation()
        return True

    def _publish(self, operations: Sequence[WriteOperation]) -> None:
        """Put the data of committed operations in place; where that fails, take the operation's rows back."""
        for operation in operations:
            if operation.removals is not None:  # the first of its group: what follows may write the same keys anew
                operation.done = True
                self._checkpoint.remove_data(*operation.removals)
        if self._packing.holds_all_of(operations):
            mark_done(self._rows, operations)
            return
        files = [self._packing.files_of(operation) for operation in operations]
        outcomes: list[list[StorageError | None]] = self._data.publish_all(files) if any(files) else [[] for _ in files]
        for operation, writes, errors in zip(operations, files, outcomes, strict=True):
            operation.error = next((error for error in errors if error is not None), None)
            if operation.error is not None:
                self._take_back(operation, zip(writes, errors, strict=True))
            elif writes or operation.drops:
                self._checkpoint.note(writes)
                self._checkpoint.drop([write.key for write in operation.drops])
        mark_done(self._rows, operations)

    def _take_back(self, operation: WriteOperation, outcomes: Iterable[tuple[DataWrite, StorageError | None]]) -> None:
        touched = [write for write, error in outcomes if error is None or isinstance(error, StorageUnavailableError)]
        try:
            left = self._data.revoke_all(touched)
            self._transaction.begin()
            undo = operation.undo[::-1]
            for name, row in undo:
                self._execute(name, row)
            self._packing.put_back(operation)
            for number in operation.numbers:
                self._execute("forget_journal_entry", (number,))
            if left:
                self._rows.journal(left)
            self._transaction.commit(undo)
            if left:
                self._checkpoint.note_outstanding()
        except (StorageError, apsw.Error) as error:
            self._transaction.roll_back(error)
            self._broken = (
                f"data could not be put in place ({operation.error}) and its row could not be taken back ({error}); "
                "nothing more is written. Close the storage, see to the disk, and open it again"
            )
            operation.error = unsettled(operation.error)

    def _execute(self, name: str, parameters: tuple[object, ...] = ()) -> None:
        self._connection.execute(self._queries[name], parameters)

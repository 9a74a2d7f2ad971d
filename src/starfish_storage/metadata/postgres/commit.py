"""The commit of a group in PostgreSQL: one transaction, made again on a new connection when that is lost.

Whether a transaction was committed whose answer never came, the server is asked: nothing is stored twice, and nothing
that was stored is reported as failed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import groupby

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from starfish_storage.errors import StorageError, StorageUnavailableError
from starfish_storage.interface import DataHandler
from starfish_storage.metadata.operations import WriteOperation, distinct, runs
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.batches import BATCHES
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import is_lost, is_repeatable, not_opened, translate, unavailable
from starfish_storage.metadata.postgres.migrate import migrate
from starfish_storage.metadata.postgres.row_writer import (
    NeedsSavepointError,
    NeedsStoreAloneError,
    PostgresRowWriter,
)
from starfish_storage.metadata.queries import postgres_queries

logger = logging.getLogger(__name__)

_REMOVED_AT_ONCE = 1000
_LONGEST_PAUSE = 2.0  # between two tries
_REMOVAL_PAUSE = 5.0  # after a removal of data that failed


class _TryAgainError(Exception):
    """The connection was lost, or the server gave the transaction up for the sake of another one; the cause says."""


class PostgresCommit:
    """Owns the writing connection. Everything runs in the writer's thread.

    Args:
        address: where the store lies.
        data: where its data lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
    """

    def __init__(self, address: PostgresAddress, data: DataHandler, patience: float) -> None:
        self._address = address
        self._data = data
        self._patience = patience
        self._queries = postgres_queries()
        self._store = address.lock("store")
        self._connection = PostgresConnection(address)
        self._rows = PostgresRowWriter(self._connection, self._queries, data)
        self._in_doubt: str | None = None
        self._leaves_removals = True  # at first: those of a process that died
        self._no_removal_before = 0.0
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    @property
    def has_unsynced(self) -> bool:
        """Whether there may be objects that are still to be removed."""
        return self._leaves_removals and time.monotonic() >= self._no_removal_before

    def run(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group. Afterwards each operation is durable or has its error."""
        try:
            self._insist(lambda: self._attempt(group))
        except StorageError as error:
            for operation in group:
                operation.error = operation.error or error
        unknown, self._in_doubt = self._in_doubt, None
        for operation in group:
            operation.done = operation.error is None
            if operation.error is not None and unknown is None:
                self._discard(operation)
        if self._rows.removes:
            self._remove_data()

    def checkpoint_if_due(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Nothing is put off until it is due."""

    def checkpoint(self, hand_in: Callable[[Callable[[], None]], None]) -> None:  # noqa: ARG002 (done at once)
        """Remove what could not be removed when it should have been."""
        self._remove_data()

    def close(self) -> None:
        """Close the connection: everything is committed."""
        self._connection.close()

    def leave_to_parent(self) -> None:
        """Do nothing in a forked child: closing the connection would end the parent's session."""

    def _open(self) -> None:
        def connect() -> None:
            try:
                self._connection.open()
                migrate(self._connection, self._queries, self._address)
            except Exception as error:
                if is_lost(error):
                    raise _TryAgainError from error
                raise not_opened(error, self._address.uri) from None

        self._insist(connect)
        self._data.setup()

    def _insist(self, call: Callable[[], None]) -> None:
        """Make a call again while the server does not answer, for as long as that is to be waited for."""
        started = time.monotonic()
        tries = Retrying(
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),
            retry=retry_if_exception_type(_TryAgainError),
            reraise=True,
        )
        try:
            tries(call)
        except _TryAgainError as error:
            cause = error.__cause__ or error
            if is_lost(cause):
                raise self._unavailable(time.monotonic() - started, cause) from None
            raise translate(cause, self._address.uri) from None

    def _unavailable(self, waited: float, cause: BaseException) -> StorageUnavailableError:
        doubt = "" if self._in_doubt is None else "; whether the last write was stored is not known, so make it again"
        return unavailable(self._address.uri, waited, cause, doubt)

    def _attempt(self, group: Sequence[WriteOperation]) -> None:
        """Try once to carry out a group."""
        try:
            if not self._connection.is_open:
                self._connection.open()
            if self._in_doubt is None or not self._was_committed(self._in_doubt):
                self._carry_out(group)
        except (_TryAgainError, StorageError):
            raise
        except Exception as error:
            if is_lost(error):
                self._connection.give_up()
            elif is_repeatable(error):
                self._roll_back()
            else:
                raise
            raise _TryAgainError from error

    def _was_committed(self, transaction: str) -> bool:
        found = self._connection.execute(self._queries["get_transaction_status"], (transaction,)).fetchone()
        status = None if found is None else found[0]
        if status == "in progress":
            raise _TryAgainError from TimeoutError()  # the server has not noticed yet that the connection is gone
        self._in_doubt = None
        return status == "committed"

    def _carry_out(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group: together if that works, else each operation so that it can be refused alone."""
        alone = any(operation.removals is not None for operation in group)
        together = True
        while True:
            try:
                self._run_transaction(group, alone=alone, together=together)
            except NeedsStoreAloneError:
                alone = True
            except NeedsSavepointError:
                together = False
            else:
                return
            self._roll_back()

    def _run_transaction(self, group: Sequence[WriteOperation], *, alone: bool, together: bool) -> None:
        for operation in group:
            operation.error = None
        transaction = self._begin(group, alone=alone)
        if together:
            self._apply_together(group)
        else:
            for operation in group:
                self._apply_alone(operation)
        self._rows.end_group()
        self._in_doubt = transaction
        self._connection.execute(self._queries["commit"])
        self._in_doubt = None

    def _begin(self, group: Sequence[WriteOperation], *, alone: bool) -> str:
        versions = {key: version for operation in group for key, version in operation.versions.items()}
        self._rows.begin_group(versions, alone=alone)
        self._connection.execute(self._queries["begin"])
        name = "begin_group_alone" if alone else "begin_group"
        begun = self._connection.execute(self._queries[name], (self._store,)).fetchone()
        decides = sorted({self._address.lock(name) for operation in group for name in operation.decides})
        if decides:
            # In one order, so that two groups do not wait for each other.
            self._connection.execute(self._queries["lock_names"], (decides,))
        assert begun is not None
        return str(begun[0])

    def _apply_together(self, group: Sequence[WriteOperation]) -> None:
        """Apply operations in few statements; where one is refused, each has to be applied alone."""
        try:
            for name, alike in groupby(group, lambda operation: operation.batch and operation.batch[0]):
                operations = list(alike)
                if name:
                    BATCHES[name](self._rows, [operation.batch[1] for operation in operations if operation.batch])
                    continue
                for run in runs(operations):
                    self._apply_run(run)
        except (NeedsSavepointError, NeedsStoreAloneError):
            raise
        except Exception as error:
            if is_lost(error) or is_repeatable(error):
                raise
            raise NeedsSavepointError("to be found out which") from error

    def _apply_run(self, run: Sequence[WriteOperation]) -> None:
        for operation in run:
            if operation.apply is not None:
                operation.apply(self._rows)
        rows = [row for operation in run for row in operation.records]
        for part in [rows] if distinct(rows) else [[row] for row in rows]:
            self._rows.save_records(part)

    def _apply_alone(self, operation: WriteOperation) -> None:
        self._rows.begin_operation()
        try:
            self._apply_run([operation])
        except NeedsStoreAloneError:
            raise
        except Exception as error:
            if is_lost(error) or is_repeatable(error):
                raise
            self._rows.undo_operation()
            operation.error = translate(error, self._address.uri)
            operation.error.__cause__ = operation.error.__context__ = None  # it may quote what was being written
        else:
            self._rows.end_operation()

    def _roll_back(self) -> None:
        try:
            self._connection.execute(self._queries["rollback"])
        except Exception as error:
            if not is_lost(error):
                raise
            self._connection.give_up()

    def _discard(self, operation: WriteOperation) -> None:
        """Remove the data of an operation that was refused. Never raises: what is left over is collected some day."""
        names = [self._data.version_key(key, version) for key, version in operation.versions.items()]
        try:
            self._data.remove_all(names)
        except StorageError as error:
            logger.warning("data of a write that was refused could not be removed (%s)", error.code)

    def _remove_data(self) -> None:
        """Remove objects that nothing refers to. What cannot be removed now is tried again when there is time."""
        self._leaves_removals = True
        self._no_removal_before = time.monotonic() + _REMOVAL_PAUSE
        try:
            while self._connection.is_open and self._remove_some():
                pass
        except Exception as error:  # noqa: BLE001 (it is not what the caller asked for, and is done later)
            if is_lost(error):
                self._connection.give_up()
            logger.warning("data that nothing refers to could not be removed now (%s)", type(error).__name__)
            return
        self._leaves_removals = not self._connection.is_open

    def _remove_some(self) -> bool:
        """Remove objects, and return whether there may be more."""
        self._connection.execute(self._queries["begin"])
        try:
            taken = self._connection.execute(self._queries["take_removals"], (_REMOVED_AT_ONCE,)).fetchall()
            self._data.remove_all([row[0] for row in taken])
        except BaseException:
            self._roll_back()
            raise
        self._connection.execute(self._queries["commit"])
        return len(taken) == _REMOVED_AT_ONCE

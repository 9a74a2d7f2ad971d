"""The commit of a group in PostgreSQL: one transaction, made again on a new connection when that is lost.

Each transaction notes its number in a row of the writer's. So whether one was committed whose answer never came, the
server can be asked: nothing is stored twice, and nothing that was stored is reported as failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import asyncpg

from starfish_storage.errors import StorageError
from starfish_storage.interface import AskedLayout, DataHandler, Layout
from starfish_storage.keys import packed_at, version_key
from starfish_storage.metadata.operations import WriteOperation, distinct, runs
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.batches import BATCHES
from starfish_storage.metadata.postgres.claimed_place import ClaimedPlace
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.data_removals import DataRemovals
from starfish_storage.metadata.postgres.errors import (
    detached,
    is_hopeless,
    is_lost,
    is_repeatable,
    kind_of,
    not_opened,
    translate,
    unavailable,
)
from starfish_storage.metadata.postgres.migrate import (
    KNOWN_VERSION,
    migrate,
    refuse_migrated,
    settled_layout,
)
from starfish_storage.metadata.postgres.row_writer import (
    NeedsSavepointError,
    NeedsStoreAloneError,
    PostgresRowWriter,
)
from starfish_storage.metadata.postgres.waiting import TryAgainError, Waiting
from starfish_storage.metadata.postgres.whole_groups import WholeGroup, parts_of, whole_group
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import only_value
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_MOST_DECIDED = 32


class PostgresCommit:
    """Owns the writing connection. Everything runs in the writer's thread.

    Args:
        address: where the store lies.
        data: where its data lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
        abandoned: set when nobody waits any more.
        layout: where new record data goes, in a new store; None: into files, or where an existing store puts it.
    """

    def __init__(
        self,
        address: PostgresAddress,
        data: DataHandler,
        patience: float,
        abandoned: threading.Event,
        layout: AskedLayout | None = None,
    ) -> None:
        self.system = "postgresql"
        self._address = address
        self._data = data
        self._waiting = Waiting(patience, abandoned)
        self._queries = postgres_queries()
        self._store = address.lock("store")
        self._connection = PostgresConnection(address, patience)
        self._rows = PostgresRowWriter(self._connection, self._queries, data)
        self._place = ClaimedPlace(self._connection, self._queries, address, data)
        self._number = 0  # of the last transaction
        self._in_doubt: int | None = None
        self._whole: WholeGroup | None = None  # the last group, if it was written at once
        self._removals = DataRemovals(self._connection, self._queries, data)
        self.layout: Layout = "files"
        try:
            self._open(layout)
        except BaseException:
            self._connection.close()
            raise

    @property
    def has_unsynced(self) -> bool:
        """Whether there may be objects that are still to be removed."""
        return self._removals.are_left

    @property
    def most_decided(self) -> int:
        """Few enough for the server's table of locks, which all groups of all processes share.

        It holds 6,400 by default, and a transaction that finds it full fails.
        """
        return _MOST_DECIDED

    def run(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group. Afterwards each operation is durable or has its error."""
        for part in parts_of(group):
            self._run_part(part)

    def _run_part(self, group: Sequence[WriteOperation]) -> None:
        settled = self._insist(group)
        for operation in group:
            operation.done = operation.error is None
        if settled:
            self._discard([operation for operation in group if not operation.done])
        if self._rows.removes:
            self._removals.make()

    def _insist(self, group: Sequence[WriteOperation]) -> bool:
        """Carry out a group, however often that takes; return whether what failed is known not to be stored."""
        waiting, unsettled = list(group), list[bool]()

        def is_over(reason: BaseException) -> bool:
            if self._in_doubt is not None:
                unsettled.append(True)  # who is refused now may have been stored: the data stays
            return self._waiting.refuse_expired(waiting, reason, self._failed)

        reason = self._waiting.failed_just_now(waiting)
        if reason is not None and is_over(reason):
            return True
        try:
            self._waiting.insist(lambda: self._attempt(waiting), is_over)
        except TryAgainError as error:
            for operation in waiting:  # abandoned
                operation.error = self._failed(error.reason, time.monotonic() - operation.accepted)
        except StorageError as error:
            for operation in waiting:
                operation.error = operation.error or detached(error)
        in_doubt, self._in_doubt = self._in_doubt, None
        return in_doubt is None and not unsettled

    def checkpoint_if_due(self, hand_in: Callable[[Callable[[], None]], None]) -> None:
        """Nothing is put off until it is due."""

    def checkpoint(self, hand_in: Callable[[Callable[[], None]], None]) -> None:  # noqa: ARG002 (done at once)
        """Remove what could not be removed when it should have been."""
        self._removals.make_if_due()

    def close(self) -> None:
        """Close the connection: everything is committed."""
        try:
            if self._connection.is_open:
                self._connection.execute(self._queries["forget_commits"], (self._connection.name,))
        except Exception as error:  # noqa: BLE001 (nobody waits for it: it is removed after a day)
            logger.debug("the number of the last group could not be removed (%s)", type(error).__name__)
        self._connection.close()

    def leave_to_parent(self) -> None:
        """Do nothing in a forked child: closing the connection would end the parent's session."""

    def _open(self, layout: AskedLayout | None) -> None:
        def connect() -> None:
            self._connection.open()
            self._connection.end_lost_session()
            migrate(self._connection, self._queries, self._address, layout)
            self.layout = settled_layout(self._connection, self._queries, self._address, layout)

        def claim() -> None:
            if not self._connection.is_open:
                self._connection.open()
                self._connection.end_lost_session()
            self._place.claim()

        self._insist_on_opening(connect)
        self._data.setup()
        self._insist_on_opening(claim)

    def _insist_on_opening(self, step: Callable[[], None]) -> None:
        """Take a step of opening the store, again while the server cannot be reached."""
        started = time.monotonic()
        told: list[bool] = []

        def take() -> None:
            try:
                step()
            except Exception as error:
                if not is_hopeless(error) and (is_lost(error) or is_repeatable(error)):
                    self._connection.give_up()
                    raise TryAgainError from error
                raise not_opened(error, self._address.uri) from None

        def is_over(reason: BaseException) -> bool:
            if not told:
                # At once, for somebody who has mistyped the place and wonders why nothing happens.
                told.append(True)
                seconds = self._waiting.seconds
                logger.warning("%s: %s; it is tried again for %g s", self._address.uri, kind_of(reason), seconds)
            return time.monotonic() - started >= self._waiting.seconds

        try:
            self._waiting.insist(take, is_over)
        except TryAgainError as error:
            raise self._failed(error.reason, time.monotonic() - started) from None
        except StorageError as error:
            raise detached(error) from None

    def _failed(self, reason: BaseException, waited: float) -> StorageError:
        """Return the error of a call that has waited long enough."""
        if not is_lost(reason):
            return translate(reason, self._address.uri)
        doubt = "" if self._in_doubt is None else "; whether the last write was stored is not known, so make it again"
        return unavailable(self._address.uri, waited, reason, doubt)

    def _attempt(self, group: Sequence[WriteOperation]) -> None:
        """Try once to carry out a group."""
        try:
            if not self._connection.is_open:
                self._connection.open()
                self._connection.end_lost_session()
            if self._in_doubt is None or not self._took_place(self._in_doubt):
                self._carry_out(group)
        except TryAgainError:
            raise
        except Exception as error:
            if is_repeatable(error):
                self._roll_back()
                raise TryAgainError from error
            refuse_migrated(error, self._connection, self._queries, self._address)
            self._connection.give_up()  # a transaction that is left open would go into the next one
            if is_lost(error):
                raise TryAgainError from error
            if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                raise translate(error, self._address.uri) from None
            raise

    def _took_place(self, number: int) -> bool:
        """Return whether the commit in doubt took place, once that is certain."""
        row = self._connection.execute(
            self._queries["settle_commit"], (self._connection.name, KNOWN_VERSION)
        ).fetchone()
        took_place = only_value(row) == number
        if took_place and self._whole is not None:
            self._whole.look_again(self._connection)
        self._in_doubt = None
        return took_place

    def _carry_out(self, group: Sequence[WriteOperation]) -> None:
        """Carry out a group: at once or together if that works, else each operation so that it can be refused alone."""
        if self._write_at_once(group):
            return
        alone = any(operation.removals is not None and not operation.shares for operation in group)
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
            # Not `_roll_back`: what comes next needs the connection.
            self._connection.execute(self._queries["rollback"])

    def _write_at_once(self, group: Sequence[WriteOperation]) -> bool:
        """Carry out a group in one round trip, and return whether that worked."""
        self._whole = whole = whole_group(group) if self._place.is_named else None
        if whole is None:
            return False
        for operation in group:
            operation.error = None
        self._rows.begin_group({}, alone=False)
        self._number += 1
        self._in_doubt = self._number
        try:
            given = (self._connection.name, self._number, KNOWN_VERSION, self._store)
            whole.write(self._connection, self._queries, given)
        except Exception as error:
            if is_lost(error):
                raise
            self._in_doubt = self._whole = None
            if is_repeatable(error):
                raise
            return False  # what is written part by part finds out why, and which
        self._in_doubt = None
        return True

    def _run_transaction(self, group: Sequence[WriteOperation], *, alone: bool, together: bool) -> None:
        begun = time.monotonic()
        for operation in group:
            operation.error = None
        self._begin(group, alone=alone)
        if together:
            self._apply_together(group)
        else:
            for operation in group:
                self._apply_alone(operation)
        self._rows.end_group()
        self._in_doubt = self._number
        try:
            self._connection.commit(self._queries["commit"])
        except Exception as error:
            if not is_lost(error):
                self._in_doubt = None  # the server has refused it
            raise
        self._in_doubt = None
        self._place.note_commit()
        for operation in group:
            operation.took = time.monotonic() - begun

    def _begin(self, group: Sequence[WriteOperation], *, alone: bool) -> None:
        versions = {key: version for operation in group for key, version in operation.versions.items()}
        self._rows.begin_group(versions, alone=alone)
        self._number += 1
        given = (self._connection.name, self._number, KNOWN_VERSION, self._store, alone)
        self._connection.execute_at_once(self._queries["begin_known_group"], given)
        self._place.name()
        decides = sorted({self._address.lock(name) for operation in group for name in operation.decides})
        self._lock_names(decides)

    def _lock_names(self, decides: Sequence[int]) -> None:
        """Wait for other groups that decide on the same names; an operation with very many of them has all names."""
        every = (self._address.lock("names"),)
        if len(decides) > _MOST_DECIDED:
            self._connection.execute(self._queries["lock_all_names"], every)
        elif decides:
            self._connection.execute(self._queries["share_names"], every)
            # In one order, so that two groups do not wait for each other.
            self._connection.execute(self._queries["lock_names"], (decides,))

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
            operation.error = detached(translate(error, self._address.uri))
        else:
            self._rows.end_operation()

    def _roll_back(self) -> None:
        try:
            self._connection.execute(self._queries["rollback"])
        except Exception as error:
            if not is_lost(error):
                raise
            self._connection.give_up()

    def _discard(self, refused: Sequence[WriteOperation]) -> None:
        """Remove the data of operations. Never raises: what is left over is collected some day."""
        versions = [item for one in refused for item in one.versions.items()]
        names = [version_key(key, version) for key, version in versions if packed_at(version) is None]
        places = [place for one in refused for place in one.places.values()]
        if places:
            self._data.take_back(places)
        try:
            self._data.remove_all(names)
        except StorageError as error:
            logger.warning("data of a write that was refused could not be removed (%s)", error.code)

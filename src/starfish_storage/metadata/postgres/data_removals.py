"""Removing objects that nothing refers to any more, after the commits that left them."""

from __future__ import annotations

import time

from starfish_storage.interface import DataHandler
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.errors import is_lost
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION
from starfish_storage.metadata.queries import Queries
from starfish_storage.metadata.row import only_values
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

_AT_ONCE = 1000
_PAUSE = 5.0  # after one that failed


class DataRemovals:
    """Makes the removals that commits have noted. Everything runs in the writer's thread.

    Args:
        connection: the writing connection, outside a transaction whenever a method is called.
        queries: the named queries.
        data: where the objects lie.

    Attributes:
        are_left: whether there may be objects that are still to be removed.
    """

    def __init__(self, connection: PostgresConnection, queries: Queries, data: DataHandler) -> None:
        self._connection = connection
        self._queries = queries
        self._data = data
        self.are_left = True  # at first: those of a process that died
        self._not_before = 0.0
        self._looks_again = False
        self._has_forgotten = False

    def make_if_due(self) -> None:
        """Remove what could not be removed when it should have been, unless that has just failed."""
        if time.monotonic() >= self._not_before:
            self.make()

    def make(self) -> None:
        """Remove objects that nothing refers to. What cannot be removed now is tried again when there is time."""
        was_open, self.are_left = self._connection.is_open, True
        self._not_before = time.monotonic() + _PAUSE
        try:
            if not was_open:
                self._connection.open()
                self._connection.end_lost_session()
            if not self._has_forgotten:
                self._connection.execute(self._queries["forget_old_commits"])
                self._has_forgotten = True
            while self._remove_some():
                pass
        except Exception as error:  # noqa: BLE001 (it is not what the caller asked for, and is done later)
            if is_lost(error):
                self._connection.give_up()
                self._looks_again = True
            if was_open:
                logger.warning("data that nothing refers to could not be removed now (%s)", type(error).__name__)
                self._not_before = 0.0 if is_lost(error) else self._not_before
            return
        # The session that was lost may still hold what it was removing when the next one skips what is locked.
        self.are_left, self._looks_again = self._looks_again, False

    def _remove_some(self) -> bool:
        """Remove objects, and return whether there may be more."""
        self._connection.execute_script(self._queries["begin_resting"])  # others pass over what it takes
        try:
            given = (str(KNOWN_VERSION), _AT_ONCE)
            taken = self._connection.execute(self._queries["take_removals"], given).fetchall()
            self._data.remove_all(only_values(taken))
        except BaseException:
            self._roll_back()
            raise
        self._connection.execute(self._queries["commit"])
        return len(taken) == _AT_ONCE

    def _roll_back(self) -> None:
        try:
            self._connection.execute(self._queries["rollback"])
        except Exception as error:
            if not is_lost(error):
                raise
            self._connection.give_up()

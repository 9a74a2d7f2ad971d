"""The writing connection: a thread of its own waits for every answer, as it does for SQLite's.

The thread runs the driver's event loop only while it waits. That the connection was lost meanwhile is noticed by the
next statement, which is early enough.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import asyncpg

from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import (
    LONGEST_IDLE,
    LOOK_AFTER,
    SHORTEST_IDLE,
    answer_of,
    connect,
    end_stopped_neighbours,
    escaped,
    resting,
    seconds_to_connect,
    silence,
)
from starfish_storage.metadata.postgres.errors import is_lost
from starfish_storage.metadata.postgres.sessions import refuse_pooled_transactions
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import Row
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

_CLOSING_SECONDS = 2.0
_UNIQUE = 20  # characters at the end of a connection's name that no other has
_LONGEST_SHOWN = 32  # characters of a worker's id


class Answer:
    """The rows of a statement, all of them at once."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = deque(rows)

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return tuple(self._rows.popleft()) if self._rows else None

    def fetchall(self) -> list[Row]:
        """Return the remaining rows."""
        return list(self)

    def __iter__(self) -> Iterator[Row]:
        while self._rows:
            yield tuple(self._rows.popleft())


class PostgresConnection:
    """A connection to the server, used by one thread; `open` connects again after it was lost.

    Every method raises what the driver raises.

    The server ends a session that rests within a transaction for a second: nobody waits longer for a process that is
    stopped. A process that is held up time and again, so that it commits nothing, gets more time with each connection.

    Args:
        address: where the store lies.
        patience: for how long a silent server, and a lock, is waited for, in seconds.

    Attributes:
        name: the name that groups are noted by; it stays the same when `open` connects again, and is unique.
    """

    def __init__(self, address: PostgresAddress, patience: float) -> None:
        self._address = address
        self._patience = patience
        self.name = self._shown = f"starfish-storage {os.urandom(10).hex()}"
        self._loop = asyncio.new_event_loop()
        self._loop.set_debug(enabled=False)  # in its debug mode it logs what its callbacks are given, such as rows
        self._connection: Any = None
        self._statements: dict[str, Any] = {}
        self._changes = 0
        self._idle = SHORTEST_IDLE
        self._times_ended = 0  # since the last commit
        self._answered = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as that is known."""
        return self._connection is not None and not self._connection.is_closed()

    def open(self) -> None:
        """Connect, giving up an earlier connection."""
        self.give_up()
        self._connection = self._loop.run_until_complete(self._connect())

    def end_lost_session(self) -> None:
        """End the session of an earlier connection: the server may not have noticed yet that the connection is gone.

        Until it does, that session keeps its locks, and a commit that is still on its way might come through.
        """
        self.execute(postgres_queries()["end_session"], (self.name,))

    def show_worker(self, worker_id: str) -> None:
        """Have the server show the worker that this connection is of as its name, from now on.

        The name ends as before, so that `end_lost_session` finds it, and fits into the 63 bytes that the server shows.
        """
        if worker_id.isascii() and len(worker_id) <= _LONGEST_SHOWN:
            self._shown = f"starfish {worker_id} {self.name[-_UNIQUE:]}"
            if "'" in self._shown:
                self.execute(postgres_queries()["show_name"], (self._shown,))
            else:
                self.execute_at_once(postgres_queries()["show_name"], (self._shown,))

    def execute(self, statements: str, bindings: Row = ()) -> Answer:
        """Run a statement, and return its rows."""
        statement = self._statements.get(statements)
        if statement is None:
            statement = self._statements[statements] = self._wait(self._connection.prepare(statements))
        rows = self._wait(statement.fetch(*map(escaped, bindings)))
        self._changes = _changed(statement.get_statusmsg())
        return Answer(rows)

    def commit(self, statement: str) -> None:
        """Commit, and check that the server did: it answers a commit of a failed transaction by rolling back.

        Raises:
            InterfaceError: it rolled back instead.
        """
        self.execute(statement)
        status = self._statements[statement].get_statusmsg()
        if status != statement:
            raise asyncpg.InterfaceError(f"the server answered {status} to a commit")
        self._times_ended = 0

    def execute_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of several rows, sent together."""
        self._wait(self._connection.executemany(statement, rows))

    def execute_script(self, script: str) -> None:
        """Run statements without parameters, whose rows nobody needs."""
        self._wait(self._connection.execute(script))

    def execute_at_once(self, script: str, bindings: Sequence[str | int]) -> None:
        """Run statements in one round trip, whose rows nobody needs.

        Args:
            script: the statements. None of them is prepared: the driver sends prepared ones one after the other.
            bindings: names without quotes, numbers and truth values, which become part of the text.
        """
        for number, value in reversed(list(enumerate(bindings, start=1))):
            script = script.replace(f"${number}", f"'{value}'")
        self.execute_script(script)

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        return self._changes

    def give_up(self) -> None:
        """Drop the connection at once, whatever it is doing."""
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection.terminate()
            self._loop.run_until_complete(asyncio.sleep(0))  # the transport is closed by the loop

    def close(self) -> None:
        """Close the connection and the loop."""
        try:
            if self._connection is not None and not self._connection.is_closed():
                self._loop.run_until_complete(self._connection.close(timeout=_CLOSING_SECONDS))
        except Exception as error:  # noqa: BLE001 (the driver has many for a session that is just being ended)
            # Everything was committed; the server notices by itself that the connection is gone.
            logger.debug("the connection could not be closed in an orderly way (%s)", type(error).__name__)
        finally:
            self.give_up()
            if left := asyncio.all_tasks(self._loop):  # see `end_stopped_neighbours`
                self._loop.run_until_complete(asyncio.wait(left, timeout=_CLOSING_SECONDS))
            self._loop.close()

    def _wait(self, call: Coroutine[Any, Any, Result]) -> Result:
        rested = time.monotonic() - self._answered
        current().round_trip("postgresql")
        try:
            return self._loop.run_until_complete(self._answer(call))
        except Exception as error:
            self._times_ended += rested >= self._idle and is_lost(error)
            raise
        finally:
            self._answered = time.monotonic()

    async def _answer(self, call: Coroutine[Any, Any, Result]) -> Result:
        freeing: list[asyncio.Task[None]] = []

        def free() -> None:
            ending = end_stopped_neighbours(self._connection.get_server_pid(), self._connect_again)
            freeing.append(asyncio.ensure_future(ending))

        freed = self._loop.call_later(LOOK_AFTER, free)
        try:
            return await answer_of(self._connection, call, silence(self._patience), self._connect_again)
        finally:
            freed.cancel()
            for task in freeing:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _connect(self) -> Any:
        seconds = seconds_to_connect(self._patience)
        self._idle = min(SHORTEST_IDLE * 2.0 ** max(0, self._times_ended - 2), LONGEST_IDLE)
        lock_timeout = f"{max(self._patience, 0.001):.3f}s"
        settings = {"application_name": self._shown, "lock_timeout": lock_timeout, **resting(self._idle)}
        try:
            session = await connect(self._address, seconds, **settings)
            try:
                looked = refuse_pooled_transactions(session, self._address, self._connect_again)
                await asyncio.wait_for(looked, seconds)
            except BaseException:
                session.terminate()
                raise
        except OSError as error:
            SPARES.give_way(error)
            raise  # it is tried again
        return session

    async def _connect_again(self) -> Any:
        return await connect(self._address)


def _changed(status: object) -> int:
    """Return the number of rows that a status such as ``INSERT 0 3`` or ``UPDATE 3`` tells."""
    last = str(status).rpartition(" ")[2]
    return int(last) if last.isdigit() else 0

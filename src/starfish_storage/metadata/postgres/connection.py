"""The writing connection: a thread of its own waits for every answer, as it does for SQLite's.

The thread runs the driver's event loop only while it waits. That the connection was lost meanwhile is noticed by the
next statement, which is early enough.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import asyncpg

from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import connect, escaped
from starfish_storage.metadata.row_writer import Row

Result = TypeVar("Result")

_ANSWER_SECONDS = 60.0  # of a statement of a group
_CLOSING_SECONDS = 2.0


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
    """A connection to the server, used by one thread; `open` makes it anew after it was lost.

    Every method raises what the driver raises.

    Args:
        address: where the store lies.
        answer_seconds: the longest that a statement may take; then the connection is given up.
    """

    def __init__(self, address: PostgresAddress, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._address = address
        self._answer_seconds = answer_seconds
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._statements: dict[str, Any] = {}
        self._changes = 0

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as that is known."""
        return self._connection is not None and not self._connection.is_closed()

    def open(self) -> None:
        """Connect, giving up an earlier connection."""
        self.give_up()
        self._connection = self._wait(connect(self._address))

    def execute(self, statements: str, bindings: Row = ()) -> Answer:
        """Run a statement, and return its rows."""
        statement = self._statements.get(statements)
        if statement is None:
            statement = self._statements[statements] = self._wait(self._connection.prepare(statements))
        rows = self._wait(statement.fetch(*map(escaped, bindings)))
        self._changes = _changed(statement.get_statusmsg())
        return Answer(rows)

    def execute_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of several rows, sent together."""
        self._wait(self._connection.executemany(statement, rows))

    def execute_script(self, script: str) -> None:
        """Run statements without parameters, whose rows nobody needs."""
        self._wait(self._connection.execute(script))

    def changes(self) -> int:
        """Return how many rows the last statement changed."""
        return self._changes

    def give_up(self) -> None:
        """Drop the connection at once, whatever it is doing."""
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            connection.terminate()
            self._wait(asyncio.sleep(0))  # the transport is closed by the loop

    def close(self) -> None:
        """Close the connection and the loop."""
        try:
            if self._connection is not None and not self._connection.is_closed():
                self._wait(self._connection.close(timeout=_CLOSING_SECONDS))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pass  # everything was committed; the server notices by itself that the connection is gone
        finally:
            self.give_up()
            self._loop.close()

    def _wait(self, call: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(asyncio.wait_for(call, self._answer_seconds))


def _changed(status: object) -> int:
    """Return the number of rows that a status such as ``INSERT 0 3`` or ``UPDATE 3`` tells."""
    last = str(status).rpartition(" ")[2]
    return int(last) if last.isdigit() else 0

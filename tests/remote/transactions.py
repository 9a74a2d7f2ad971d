"""Transactions of two processes at one store, whose steps a test puts in the order that it wants."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from starfish_storage.data.filesystem import FileSystemDataHandler
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connection import PostgresConnection
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION
from starfish_storage.metadata.postgres.row_writer import PostgresRowWriter
from starfish_storage.metadata.queries import postgres_queries

Result = TypeVar("Result")

_ANSWER_SECONDS = 60


class Transaction:
    """A transaction as that of a group; every step runs in a thread of its own, which may have to wait for a lock.

    Args:
        uri: of the store.
        data: the directory of its data.
    """

    def __init__(self, uri: str, data: Path) -> None:
        self._address = PostgresAddress.of_uri(uri)
        self._queries = postgres_queries()
        self._thread = ThreadPoolExecutor(1)
        self._connection = PostgresConnection(self._address, _ANSWER_SECONDS)
        self._rows = PostgresRowWriter(self._connection, self._queries, FileSystemDataHandler(str(data)))
        self.pid = 0

    def __enter__(self) -> Self:
        self._thread.submit(self._begin).result(_ANSWER_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.submit(self._connection.close).result(_ANSWER_SECONDS)
        self._thread.shutdown()

    def make(self, step: Callable[[PostgresRowWriter], Result]) -> Result:
        """Make a step that has not to wait for anybody."""
        return self.begin(step).result(_ANSWER_SECONDS)

    def begin(self, step: Callable[[PostgresRowWriter], Result]) -> Future[Result]:
        """Begin a step."""
        return self._thread.submit(step, self._rows)

    def begin_waiting(self, step: Callable[[PostgresRowWriter], Result], other: Transaction) -> Future[Result]:
        """Begin a step, and return once it waits for what another transaction has locked, or has ended."""
        begun = self.begin(step)
        while not begun.done() and not other.make(lambda rows: other.holds_up(self.pid)):
            pass  # a question to the server takes its time
        return begun

    def commit(self) -> None:
        """Commit it."""
        self.make(lambda rows: rows.execute("commit"))

    def lock(self, name: str) -> int:
        """Return the number of one of the store's advisory locks."""
        return self._address.lock(name)

    def holds_up(self, pid: int) -> bool:
        """Return, in its thread, whether another transaction waits for a lock."""
        return self._ask("SELECT cardinality(pg_blocking_pids($1)) > 0", pid)

    def holds_up_anybody(self, _: object) -> bool:
        """Return, in its thread, whether anybody waits for what it has locked."""
        return self._ask("SELECT count(*) > 0 FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", self.pid)

    def reads_of_all(self, table: str) -> int:
        """Return how many times it has read a table from end to end."""
        question = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = $1::regclass"
        return self.make(lambda _: next(iter(self._connection.execute(question, (table,))))[0])

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement that is none of the library's."""
        self.make(lambda _: self._connection.execute(statement, parameters))

    def _begin(self) -> None:
        self._connection.open()
        self.pid = next(iter(self._connection.execute("SELECT pg_backend_pid()")))[0]
        self._rows.begin_group({}, alone=False)
        given = (self._connection.name, 1, KNOWN_VERSION, self._address.lock("store"), False)
        self._connection.execute_at_once(self._queries["begin_known_group"], given)

    def _ask(self, question: str, pid: int) -> bool:
        return next(iter(self._connection.execute(question, (pid,))))[0]

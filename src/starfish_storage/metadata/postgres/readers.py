"""Reading connections: a pool in an event loop of its own, for callers in any thread and loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import asyncpg

from starfish_storage.errors import StorageError
from starfish_storage.files.spare_descriptors import SPARES
from starfish_storage.metadata.lifecycle import closed
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import (
    SETTINGS,
    answer_of,
    connect,
    escaped,
    prepare,
    seconds_to_connect,
    silence,
)
from starfish_storage.metadata.postgres.errors import detached
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION
from starfish_storage.metadata.postgres.retrying import insist_in_loop
from starfish_storage.metadata.postgres.sessions import ServerSession, open_session
from starfish_storage.metadata.row import Row
from starfish_storage.telemetry import current
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

_MOST_CONNECTIONS = 4
_CLOSING_SECONDS = 5.0
_READ_ONLY = {"default_transaction_read_only": "on"}


class PostgresReaders:
    """Runs queries outside transactions, again on another connection when one is lost.

    Args:
        address: where the store lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
        read_only: the server refuses every write of theirs.
    """

    def __init__(self, address: PostgresAddress, patience: float, *, read_only: bool = False) -> None:
        self._address = address
        self._patience = patience
        self._settings = {**SETTINGS, "search_path": address.search_path} | (_READ_ONLY if read_only else {})
        self._loop = asyncio.new_event_loop()
        self._loop.set_debug(enabled=False)  # in its debug mode it logs what its callbacks are given, such as rows
        self._thread = threading.Thread(target=self._loop.run_forever, name="starfish-storage-reader", daemon=True)
        self._pool: Any = None
        self._running: set[asyncio.Task[Any] | None] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start the thread. Nothing is connected before the first query."""
        self._thread.start()
        self._submit(self._open()).result()

    async def fetch(self, query: str, parameters: Row) -> list[Row]:
        """Return the rows of a query.

        Raises:
            StorageUnavailableError: the server did not answer for as long as it is waited for.
            StorageClosedError: the readers were closed.
        """
        # Not as the result of the future: in its debug mode the event loop logs that.
        found: list[list[Row] | StorageError] = []
        with self._lock:
            if self._closed:
                raise closed()
            fetching = self._submit(self._fetch(query, parameters, found))
        await asyncio.wrap_future(fetching)
        if isinstance(found[0], StorageError):
            raise found[0]
        return found[0]

    def close(self) -> None:
        """Wait for running queries, but not for a server that is gone, and close every connection. Blocks."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._submit(self._close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, call: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    async def _open(self) -> None:
        seconds = seconds_to_connect(self._patience)

        async def prepared(connection: Any) -> None:
            await asyncio.wait_for(prepare(connection, self._address, known_version=KNOWN_VERSION), seconds)

        async def kept(connection: Any) -> None:
            """Leave a connection as it is: nothing that is run here changes its session."""

        async def connected(*_: Any, **driver: Any) -> Any:
            return await open_session(self._address, seconds, self._settings, **driver)

        pool = asyncpg.create_pool(
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            connect=connected,
            connection_class=ServerSession,
            init=prepared,
            reset=kept,
        )
        self._pool = cast("Any", await pool)

    async def _close(self) -> None:
        running = [task for task in self._running if task is not None]
        if running:
            await asyncio.wait(running, timeout=_CLOSING_SECONDS)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSING_SECONDS)
        except Exception as error:  # noqa: BLE001 (as for the writing connection)
            logger.debug("the readers could not be closed in an orderly way (%s)", type(error).__name__)
            self._pool.terminate()

    async def _fetch(self, query: str, parameters: Row, found: list[list[Row] | StorageError]) -> None:
        """Put the rows, or the error, into ``found``."""
        task = asyncio.current_task()
        self._running.add(task)
        try:
            found.append(await self._insist(query, parameters))
        except asyncio.CancelledError:
            if not self._closed:
                raise  # the caller's own
            found.append(closed())
        except StorageError as error:
            found.append(detached(error))
        finally:
            self._running.discard(task)

    async def _insist(self, query: str, parameters: Row) -> list[Row]:
        found = await insist_in_loop(lambda: self._fetch_once(query, parameters), self._address.uri, self._patience)
        return [tuple(row) for row in found]

    async def _fetch_once(self, query: str, parameters: Row) -> Sequence[Any]:
        try:
            async with self._pool.acquire() as connection:
                current().round_trip("postgresql")
                call = connection.fetch(query, *map(escaped, parameters))
                found = await answer_of(connection, call, silence(self._patience), self._connect_again)
        except OSError as error:
            SPARES.give_way(error)
            raise  # it is tried again
        SPARES.refill()
        return found

    async def _connect_again(self) -> Any:
        return await connect(self._address)

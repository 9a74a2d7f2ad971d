"""Reading connections: a pool in an event loop of its own, for callers in any thread and loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from starfish_storage.errors import StorageClosedError
from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import CONNECT_SECONDS, SETTINGS, escaped, prepare
from starfish_storage.metadata.postgres.errors import is_lost, translate, unavailable
from starfish_storage.metadata.row_writer import Row

Result = TypeVar("Result")

_MOST_CONNECTIONS = 4
_ANSWER_SECONDS = 600.0  # a list of millions of rows takes its time
_LONGEST_PAUSE = 2.0
_CLOSING_SECONDS = 5.0


class PostgresReaders:
    """Runs queries outside transactions, again on another connection when one is lost.

    Args:
        address: where the store lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
    """

    def __init__(self, address: PostgresAddress, patience: float) -> None:
        self._address = address
        self._patience = patience
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="starfish-storage-reader", daemon=True)
        self._pool: Any = None
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
        if self._closed:
            raise StorageClosedError("the storage was closed; call setup() to open it again.")
        # Not as the result of the future: in its debug mode the event loop logs that.
        found: list[list[Row]] = []
        await asyncio.wrap_future(self._submit(self._fetch(query, parameters, found)))
        return found[0]

    def close(self) -> None:
        """Wait for running queries and close every connection. Idempotent. Blocks."""
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
        async def prepared(connection: Any) -> None:
            await prepare(connection, self._address)

        pool = asyncpg.create_pool(
            self._address.dsn,
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            init=prepared,
            timeout=CONNECT_SECONDS,
            command_timeout=_ANSWER_SECONDS,
            server_settings={**SETTINGS, "search_path": self._address.search_path},
        )
        self._pool = cast("Any", await pool)

    async def _close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSING_SECONDS)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    async def _fetch(self, query: str, parameters: Row, found: list[list[Row]]) -> None:
        started = self._loop.time()
        tries = AsyncRetrying(
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),
            retry=retry_if_exception(is_lost),
            reraise=True,
        )
        try:
            rows = cast("list[Any]", await tries(self._pool.fetch, query, *map(escaped, parameters)))
        except Exception as error:  # noqa: BLE001 (translated, whatever it is)
            if is_lost(error):
                raise unavailable(self._address.uri, self._loop.time() - started, error) from None
            raise translate(error, self._address.uri) from None
        found.append([tuple(row) for row in rows])

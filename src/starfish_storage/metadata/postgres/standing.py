"""The standing connection: it renews leases and hears of inputs, whatever the others wait for.

Leases are renewed by single statements outside of groups: a worker whose group waits for a lock is alive.

Who waits for inputs of a run holds a shared lock for it. What frees inputs of the run tries that lock, and tells of
them if it cannot have it. So a group that nobody waits for tells nothing, and none is missed: who asks for the lock
while such a group is under way gets it after its commit, and looks then.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from starfish_storage.metadata.postgres.address import PostgresAddress
from starfish_storage.metadata.postgres.connecting import connect, seconds_to_connect
from starfish_storage.metadata.postgres.errors import kind_of
from starfish_storage.metadata.postgres.migrate import KNOWN_VERSION
from starfish_storage.metadata.queries import postgres_queries
from starfish_storage.metadata.row import Row
from starfish_storage.telemetry.logs import get_logger

logger = get_logger(__name__)

Result = TypeVar("Result")

_CHANNEL = "starfish_storage_inputs"
_LONGEST_CALL = 5.0
"""For a statement of this connection, in seconds: a second is what a stopped process holds a lock for."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
"""Between two tries to connect."""
_CLOSING_SECONDS = 2.0


class StandingConnection:
    """One more connection of a process, in a thread of its own; neither is there before it is needed.

    Nothing of it raises an error of the driver: what it cannot do is done in a group, or looked for.

    Args:
        address: where the store lies.
        patience: for how long a call waits for a server that does not answer, in seconds.
    """

    def __init__(self, address: PostgresAddress, patience: float) -> None:
        self._address = address
        self._queries = postgres_queries()
        self._connecting_seconds = seconds_to_connect(patience)
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._session: Any = None
        self._using = asyncio.Lock()
        self._pause = _SHORTEST_PAUSE
        self._not_before = 0.0
        self._listening: dict[InputSignals, None] = {}
        self._locks: dict[str, int] = {}  # of the runs whose inputs this session waits for
        self._coming_back: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Connect in the background: before a run uses up the descriptors, and while it waits for other things."""

        async def nothing(_: Any) -> None:
            pass

        self._submit(self._use(nothing))

    async def renew(self, worker_id: str, master_job_id: str, seconds: float) -> Row | None:
        """Renew a lease from now on, and return the worker's row; None if that has to be done in a group."""
        parameters = (seconds, worker_id, master_job_id, str(KNOWN_VERSION))

        async def renew(session: Any) -> Any:
            return await session.fetchrow(self._queries["renew_lease"], *parameters)

        found = await self._call(self._use(renew))
        return None if found is None else tuple(found)

    def signals(self, master_job_id: str) -> InputSignals:
        """Return what is heard of the inputs of a run."""
        return InputSignals(self, master_job_id)

    def begin(self, signals: InputSignals) -> None:
        """Hear of the inputs of a run, as soon as that is possible: then the signals are told."""
        self._submit(self._begin(signals))

    def end(self, signals: InputSignals) -> None:
        """Hear no more of them."""
        self._submit(self._end(signals))

    def close(self) -> None:
        """Close the connection and end the thread. Blocks."""
        with self._starting:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    # --- in the thread ---------------------------------------------------------------------------------------------

    async def _use(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        """Make a call on the session; return None if that is not possible now."""
        try:
            async with self._using:
                session = await self._connected()
                try:
                    async with asyncio.timeout(_LONGEST_CALL):
                        if self._listening:
                            await self._listen(session)
                        return await call(session)
                except BaseException:
                    session.terminate()  # nobody knows what it is doing
                    raise
        except Exception as error:  # noqa: BLE001 (whatever it is: it is done without this connection)
            logger.debug("the standing connection cannot be used now (%s)", kind_of(error))
            return None

    async def _connected(self) -> Any:
        """Return the session; connect if there is none."""
        if self._session is not None and not self._session.is_closed():
            return self._session
        if time.monotonic() < self._not_before:
            raise ConnectionError
        try:
            lock_timeout = str(round(_LONGEST_CALL * 1000))
            session = await connect(self._address, self._connecting_seconds, lock_timeout=lock_timeout)
        except BaseException:
            self._not_before = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            raise
        self._pause, self._session = _SHORTEST_PAUSE, session
        self._locks.clear()
        session.add_termination_listener(self._lost)
        return session

    async def _begin(self, signals: InputSignals) -> None:
        self._listening[signals] = None
        await self._use(self._listen)
        self._come_back_if_lost()

    async def _listen(self, session: Any) -> None:
        """Hear of all that somebody waits for, and have those look of whom that is new."""
        if not self._locks:
            await session.add_listener(_CHANNEL, self._heard)
        for run in {signals.master_job_id for signals in self._listening} - self._locks.keys():
            number, _ = await session.fetchrow(self._queries["wait_for_inputs"], run)
            self._locks[run] = number
        for signals in self._listening:
            if not signals.is_hearing:
                signals.hear(is_hearing=True)

    async def _end(self, signals: InputSignals) -> None:
        self._listening.pop(signals, None)

        async def end(session: Any) -> None:
            for run in self._locks.keys() - {one.master_job_id for one in self._listening}:
                await session.fetchrow(self._queries["wait_no_longer"], self._locks.pop(run))
            if not self._locks:
                await session.remove_listener(_CHANNEL, self._heard)

        if self._session is not None and not self._session.is_closed():
            await self._use(end)

    def _heard(self, _session: object, _process: int, _channel: str, payload: str) -> None:
        for signals in self._listening:
            if str(self._locks.get(signals.master_job_id)) == payload:
                signals.hear(is_hearing=True)

    def _lost(self, session: object) -> None:
        if session is not self._session:
            return
        self._locks.clear()
        for signals in self._listening:
            signals.hear(is_hearing=False)
        self._come_back_if_lost()

    def _come_back_if_lost(self) -> None:
        """Connect again, for as long as somebody waits for inputs."""
        is_there = self._session is not None and not self._session.is_closed()
        if is_there or not self._listening or self._closed or self._coming_back is not None:
            return

        async def come_back() -> None:
            while self._listening and not self._locks:
                await asyncio.sleep(max(_SHORTEST_PAUSE, self._not_before - time.monotonic()))  # the server may be away
                await self._use(self._listen)
            self._coming_back = None

        self._coming_back = asyncio.ensure_future(come_back())

    async def _close(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        session, self._session = self._session, None
        if session is None:
            return
        try:
            await session.close(timeout=_CLOSING_SECONDS)
        except Exception as error:  # noqa: BLE001 (as for the writing connection)
            logger.debug("the standing connection could not be closed in an orderly way (%s)", type(error).__name__)
            session.terminate()

    # --- in any thread ---------------------------------------------------------------------------------------------

    async def _call(self, call: Coroutine[Any, Any, Result]) -> Result | None:
        made = self._submit(call)
        # Finished, if the caller is cancelled: what is half done would cost the session.
        try:
            return None if made is None else await asyncio.shield(asyncio.wrap_future(made))
        except asyncio.CancelledError:
            if made is not None and made.cancelled() and self._closed:
                return None  # by `close`, and not the caller
            raise

    def _submit(self, call: Coroutine[Any, Any, Result]) -> Future[Result] | None:
        with self._starting:
            if self._closed:
                call.close()
                return None
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_debug(enabled=False)  # in its debug mode it logs what its callbacks are given
                name = "starfish-storage-standing"
                self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(call, self._loop)


class InputSignals:
    """See `metadata.signals.Signals`.

    Args:
        connection: hears of them.
        master_job_id: the run.
    """

    def __init__(self, connection: StandingConnection, master_job_id: str) -> None:
        self.master_job_id = master_job_id
        self.is_hearing = False
        self._connection = connection
        self._heard = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        """See `Signals`."""
        self._connection.begin(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        """See `Signals`."""
        self._connection.end(self)

    async def wait(self, seconds: float) -> bool:
        """See `Signals.wait`."""
        try:
            async with asyncio.timeout(seconds):  # `wait_for` of Python 3.11 may lose a cancellation
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True

    def hear(self, *, is_hearing: bool) -> None:
        """Note that something may have changed. Called in the thread of the connection."""
        self.is_hearing = is_hearing
        try:
            self._loop.call_soon_threadsafe(self._heard.set)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

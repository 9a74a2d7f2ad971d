"""The paid calls that are under way in this process: nobody pays for a step while somebody else does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from starfish_storage.errors import StorageError, shorten
from starfish_storage.interface import RunLedger

logger = logging.getLogger(__name__)


class StepKey(NamedTuple):
    """A step of an input.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        name: the name of the step.
        call: the how manieth call of that name.
    """

    master_job_id: str
    job_id: str
    name: str
    call: int

    def __str__(self) -> str:
        return f"step {shorten(self.name)} (call {self.call}) of input {self.job_id}"


class UnderWay:
    """The paid calls of a store in one event loop. Only that loop's thread uses it, but for `StepKey`.

    A call may outlive its attempt: nothing can stop a thread, and a task that a function leaves behind goes on. The
    next attempt then waits for it, and so does the end of the run.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._turns: dict[StepKey, tuple[asyncio.Lock, list[None]]] = {}
        self._calls: dict[StepKey, int] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def turn(self, key: StepKey) -> AsyncGenerator[None]:
        """Wait until nobody else asks for a step, then keep others waiting."""
        lock, users = self._turns.setdefault(key, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._turns[key]

    @contextlib.contextmanager
    def paying(self, key: StepKey) -> Generator[None]:
        """Note that a call is made, until its reply is stored."""
        self._calls[key] = self._calls.get(key, 0) + 1
        try:
            yield
        finally:
            self._calls[key] -= 1
            if not self._calls[key]:
                del self._calls[key]
            self._changed.set()

    def store_late(self, key: StepKey, work: Coroutine[Any, Any, Any]) -> None:
        """Store usage of an attempt that has been stored itself; the end of the run waits for that too."""

        async def stored() -> None:
            with self.paying(key):
                try:
                    await work
                except StorageError as error:  # it goes on alone: nobody gets this error
                    logger.warning("what input %s used after its attempt is not in the totals: %s", key.job_id, error)

        task = self.loop.create_task(stored())
        self._tasks.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(self._tasks.discard)

    def of_run(self, master_job_id: str) -> list[StepKey]:
        """Return the calls of a run that are under way."""
        return [key for key in self._calls if key.master_job_id == master_job_id]

    async def wait(self, master_job_id: str, seconds: float, is_over: Callable[[], bool]) -> list[StepKey]:
        """Wait for the calls of a run; return those that are still under way after some seconds, or once it is over."""
        until = self.loop.time() + seconds
        while (left := self.of_run(master_job_id)) and self.loop.time() < until and not is_over():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(0.1, until - self.loop.time()))
        return left


_of_ledgers: WeakKeyDictionary[RunLedger, UnderWay] = WeakKeyDictionary()


def under_way(ledger: RunLedger) -> UnderWay:
    """Return the calls under way of a store, in the event loop that runs."""
    found = _of_ledgers.get(ledger)
    if found is None or found.loop is not asyncio.get_running_loop():
        found = _of_ledgers[ledger] = UnderWay()
    return found

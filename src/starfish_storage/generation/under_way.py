"""The paid calls that are under way in this process: nobody pays for a step while somebody else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from starfish_storage.errors import StorageError, shorten
from starfish_storage.interface import RunLedger
from starfish_storage.telemetry.logs import get_logger
from starfish_storage.wording import number_of

logger = get_logger(__name__)


class StepKey(NamedTuple):
    """A step of an input.

    Attributes:
        master_job_id: the run.
        job_id: the execution job of the input.
        name: the name of the step.
        call: the how manieth call of that name; of a request, among those that are equal.
        request_key: the identity of the request, if it is one of an HTTP client.
    """

    master_job_id: str
    job_id: str
    name: str
    call: int
    request_key: str = ""

    def __str__(self) -> str:
        return f"step {shorten(self.name)} (call {self.call}) of input {self.job_id}"


@dataclass(slots=True)
class _Turn:
    """Whose turn it is to ask for a step, and how many ask or wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class UnderWay:
    """The paid calls of a store in one event loop. Only that loop's thread uses it, but for `StepKey`.

    A call may outlive its attempt: nothing can stop a thread, and a task that a function leaves behind goes on. The
    next attempt then waits for it, and so does the end of the run.
    """

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._turns: dict[StepKey, _Turn] = {}
        self._calls: dict[object, tuple[StepKey, Callable[[], bool]]] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def turn(self, key: StepKey) -> AsyncGenerator[None]:
        """Wait until nobody else asks for a step, then keep others waiting."""
        give_back = await self.take_turn(key)
        try:
            yield
        finally:
            give_back()

    def is_taken(self, key: StepKey) -> bool:
        """Return whether somebody asks for a step now."""
        return key in self._turns

    async def take_turn(self, key: StepKey) -> Callable[[], None]:
        """Wait until nobody else asks for a step; others wait until what this returns is called."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1

        def leave() -> None:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

        try:
            await turn.lock.acquire()
        except BaseException:
            leave()
            raise

        def give_back() -> None:
            turn.lock.release()
            leave()

        return give_back

    @contextlib.contextmanager
    def paying(self, key: StepKey, is_late: Callable[[], bool]) -> Generator[None]:
        """Note that a call is made, until its reply is stored.

        Args:
            key: the step.
            is_late: returns whether its attempt is over.
        """
        call = object()
        self._calls[call] = key, is_late
        try:
            yield
        finally:
            del self._calls[call]
            self._changed.set()

    def store_late(self, key: StepKey, work: Coroutine[Any, Any, Any]) -> None:
        """Store usage of an attempt that has been stored itself; the end of the run waits for that too."""

        async def stored() -> None:
            with self.paying(key, lambda: True):
                try:
                    await work
                except StorageError as error:  # it goes on alone: nobody gets this error
                    logger.warning("what input %s used after its attempt is not in the totals: %s", key.job_id, error)

        task = self.loop.create_task(stored())
        self._tasks.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(self._tasks.discard)

    def late(self, master_job_id: str) -> list[StepKey]:
        """Return the calls of a run that have outlived their attempts."""
        return [key for key, is_late in self._calls.values() if key.master_job_id == master_job_id and is_late()]

    async def wait(self, master_job_id: str, seconds: float, is_over: Callable[[], bool]) -> list[StepKey]:
        """Wait for the late calls of a run; return those that are left after some seconds, or once all is over."""
        until = self.loop.time() + seconds
        while (left := self.late(master_job_id)) and self.loop.time() < until and not is_over():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(0.1, until - self.loop.time()))
        return left

    async def wait_and_tell(
        self, master_job_id: str, seconds: float, is_over: Callable[[], bool], note: Callable[[str], object]
    ) -> None:
        """Do what `wait` does, and say what is waited for, and what is left."""
        going = len(self.late(master_job_id))
        if going and seconds:
            note(f"waiting for {number_of(going, 'call')} of paid steps still under way")
        for key in await self.wait(master_job_id, seconds, is_over):
            logger.warning("%s is still under way at the end of the run; its reply is kept if the program waits", key)


_of_ledgers: WeakKeyDictionary[RunLedger, dict[asyncio.AbstractEventLoop, UnderWay]] = WeakKeyDictionary()


def under_way(ledger: RunLedger) -> UnderWay:
    """Return the calls under way of a store, in the event loop that runs."""
    loop, known = asyncio.get_running_loop(), _of_ledgers.get(ledger, {})
    if loop not in known:  # a new dict: another thread may look just now, for its own loop
        known = {one: calls for one, calls in known.items() if not one.is_closed()} | {loop: UnderWay()}
        _of_ledgers[ledger] = known
    return known[loop]

"""The portal: what is raised, handed on and closed, and where it must not be called."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import signal
import threading
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from starfish_storage import StorageStateError, portal


async def raises(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def thread_name() -> str:
    return threading.current_thread().name


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_raised_has_its_own_traceback_and_ends_nothing_else(kind: type[BaseException]) -> None:
    with pytest.raises(kind) as raised:
        portal.call(raises(kind("no")))
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert names[0] == "test_what_is_raised_has_its_own_traceback_and_ends_nothing_else"
    assert names[-1] == "raises"
    assert portal.call(thread_name()) == "starfish-storage-portal"


def test_a_task_that_would_end_a_program_ends_nothing_but_who_awaits_it() -> None:
    async def waits() -> str:
        task = asyncio.ensure_future(raises(SystemExit(3)))
        try:
            await task
        except SystemExit as error:
            return f"ended with {error.code}"
        return "went on"

    assert portal.call(waits()) == "ended with 3"
    assert portal.call(thread_name()) == "starfish-storage-portal"


def test_context_variables_are_handed_on() -> None:
    variable = contextvars.ContextVar[str]("variable")

    async def value() -> str:
        return variable.get("none")

    variable.set("of the caller")
    assert portal.call(value()) == "of the caller"
    assert contextvars.Context().run(portal.call, value()) == "none"


def test_in_its_own_loop_it_says_what_to_do() -> None:
    async def inside() -> str:
        return portal.call(thread_name())

    with pytest.raises(StorageStateError, match=r"its own event loop, and would wait for itself. Await .*'await store"):
        portal.call(inside())

    async def in_a_thread() -> str:
        return await asyncio.to_thread(portal.call, thread_name())

    assert portal.call(in_a_thread()) == "starfish-storage-portal"


async def test_in_a_loop_that_runs_elsewhere_it_waits() -> None:
    assert portal.call(thread_name()) == "starfish-storage-portal"


def test_many_threads_share_it() -> None:
    async def echo(number: int) -> int:
        await asyncio.sleep(0)
        return number

    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda number: portal.call(echo(number)), range(200))
        assert list(found) == list(range(200))
    assert [one.name for one in threading.enumerate()].count("starfish-storage-portal") == 1


class Counting:
    """Yields numbers, and knows how it ended."""

    def __init__(self, most: int, error: Exception | None = None) -> None:
        self.most = most
        self.error = error
        self.begun = 0
        self.is_closed = threading.Event()

    async def numbers(self) -> AsyncIterator[int]:
        try:
            for number in range(self.most):
                self.begun += 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            await asyncio.sleep(0)  # what closes it must be awaited
            self.is_closed.set()


def test_an_iterator_yields_all_and_raises_behind_what_came_before() -> None:
    assert list(portal.iterate(Counting(1000).numbers())) == list(range(1000))
    failing, seen = Counting(3, ValueError("no")), list[int]()
    with pytest.raises(ValueError, match="no"):
        seen.extend(portal.iterate(failing.numbers()))
    assert seen == [0, 1, 2]
    assert failing.is_closed.is_set()


def test_an_iterator_that_is_abandoned_is_closed() -> None:
    counting = Counting(1_000_000)
    for number in portal.iterate(counting.numbers()):
        if number == 5:
            break
    gc.collect()
    assert counting.is_closed.is_set()
    assert counting.begun <= 100  # and not all was fetched ahead


def test_an_iterator_that_is_dropped_in_the_portal_is_closed_there() -> None:
    counting = Counting(1000)
    held = [portal.iterate(counting.numbers())]
    assert next(held[0]) == 0

    async def drop() -> None:
        held.clear()
        gc.collect()

    portal.call(drop())
    assert counting.is_closed.wait(10)


def test_a_context_manager_is_entered_and_left() -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def manager() -> AsyncIterator[int]:
        try:
            yield 5
        except ValueError as error:
            seen.append(str(error))
        finally:
            await asyncio.sleep(0)
            seen.append("left")

    with portal.entered(manager()) as value:
        seen.append(value)
    with portal.entered(manager()):
        raise ValueError("no")
    assert seen == [5, "left", "no", "left"]
    with pytest.raises(KeyError), portal.entered(manager()):
        raise KeyError


def test_an_interrupted_call_is_cancelled_and_waited_for() -> None:
    seen: list[str] = []
    main = threading.main_thread().ident
    assert main is not None

    async def work() -> None:
        try:
            signal.pthread_kill(main, signal.SIGINT)  # not interrupt_main(), which wakes nobody who waits for a lock
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0)
            seen.append("ended in order")

    with pytest.raises(KeyboardInterrupt):
        portal.call(work())
    assert seen == ["ended in order"]
    assert portal.call(thread_name()) == "starfish-storage-portal"


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_an_interruption_before_or_behind_the_work_waits_for_nothing(is_handed_over: bool) -> None:
    call = portal._PortalCall(thread_name(), portal._running())
    if is_handed_over:
        assert call.result() == "starfish-storage-portal"
    call._portal.run_soon(call._cancel)  # as where Ctrl-C comes just then
    assert call._done.acquire(timeout=10)


def test_a_call_that_is_interrupted_before_it_has_begun_ends() -> None:
    portal.call(thread_name())
    call = portal._PortalCall(asyncio.sleep(1000), portal._running())
    call._portal.run_soon(lambda: (call._begin(), call._cancel()))  # its task has run nothing yet
    assert call._done.acquire(timeout=10)
    assert isinstance(call._error, asyncio.CancelledError)
